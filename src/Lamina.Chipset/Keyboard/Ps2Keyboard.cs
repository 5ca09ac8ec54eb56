using Lamina.Machine.Devices;
using Lamina.Machine.Input;

namespace Lamina.Chipset.Keyboard;

/// <summary>A PS/2 keyboard: it answers commands and sends keys, in the sets 1 and 2 (IBM PS/2 hardware interface technical reference, "Keyboard").</summary>
internal sealed class Ps2Keyboard
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte SelfTestPassed = 0xaa;
    private const byte SetLeds = 0xed;
    private const byte Echo = 0xee;
    private const byte SelectSet = 0xf0;
    private const byte Identify = 0xf2;
    private const byte SetRate = 0xf3;
    private const byte EnableScanning = 0xf4;
    private const byte DisableScanning = 0xf5;
    private const byte SetDefaults = 0xf6;
    private const byte FirstAllKeys = 0xf7;
    private const byte LastAllKeys = 0xfa;
    private const byte FirstOneKey = 0xfb;
    private const byte LastOneKey = 0xfd;
    private const byte ResetCommand = 0xff;

    private const byte ExtendedPrefix = 0xe0;
    private const byte ReleasePrefix = 0xf0;
    private const byte ReleaseBit = 0x80;
    private const int LongestKey = 3;
    private const byte LastSet = 2;

    private byte _expecting;
    private byte _scanCodeSet = 2;
    private byte _leds;
    private byte _rate = 0x2b;
    private byte _last;
    private bool _scanning = true;

    public ByteQueue Output { get; } = new();

    /// <summary>Whether it sends keys.</summary>
    public bool IsScanning => _scanning && _scanCodeSet <= LastSet;

    /// <summary>Sends a key.</summary>
    /// <returns><c>false</c> if there is no room for all of its bytes.</returns>
    public bool TrySend(KeyStroke stroke)
    {
        if (!IsScanning || !stroke.IsValid || Output.Room < LongestKey)
        {
            return false;
        }

        if (stroke.IsExtended)
        {
            Output.Add(ExtendedPrefix);
        }

        if (_scanCodeSet == 1)
        {
            Output.Add((byte)(stroke.Make | (stroke.IsReleased ? ReleaseBit : 0)));
            return true;
        }

        if (stroke.IsReleased)
        {
            Output.Add(ReleasePrefix);
        }

        Output.Add(ScanCodes.ToSecond(stroke.Make));
        return true;
    }

    public void Reset()
    {
        Output.Clear();
        RestoreDefaults();
        _leds = 0;
        _expecting = 0;
        _last = 0;
    }

    public void Write(byte value)
    {
        byte command = _expecting;
        _expecting = 0;
        if (command != 0 && value < SetLeds)
        {
            WriteParameter(command, value);
            return;
        }

        WriteCommand(value);
    }

    public void Save(IStateWriter state, ushort first)
    {
        state.Write(first, _expecting);
        state.Write((ushort)(first + 1), _scanCodeSet);
        state.Write((ushort)(first + 2), _leds);
        state.Write((ushort)(first + 3), _rate);
        state.Write((ushort)(first + 4), _last);
        state.Write((ushort)(first + 5), _scanning);
        Output.Save(state, (ushort)(first + 6));
    }

    public bool Restore(IStateReader state, ushort first)
    {
        return state.TryTake(first, ref _expecting)
            & state.TryTake((ushort)(first + 1), 3, ref _scanCodeSet)
            & state.TryTake((ushort)(first + 2), ref _leds)
            & state.TryTake((ushort)(first + 3), ref _rate)
            & state.TryTake((ushort)(first + 4), ref _last)
            & state.TryTake((ushort)(first + 5), ref _scanning)
            & Output.Restore(state, (ushort)(first + 6));
    }

    private void WriteCommand(byte value)
    {
        switch (value)
        {
            case SetLeds:
            case SelectSet:
            case SetRate:
            case >= FirstOneKey and <= LastOneKey:
                _expecting = value;
                Answer(Acknowledge);
                break;
            case Echo:
                Answer(Echo);
                break;
            case Identify:
                Answer(Acknowledge);
                Answer(0xab);
                Answer(0x83);
                break;
            case EnableScanning:
                Output.Clear();
                _scanning = true;
                Answer(Acknowledge);
                break;
            case DisableScanning:
                RestoreDefaults();
                _scanning = false;
                Answer(Acknowledge);
                break;
            case SetDefaults:
                RestoreDefaults();
                Answer(Acknowledge);
                break;
            case >= FirstAllKeys and <= LastAllKeys:
                Answer(Acknowledge);
                break;
            case Resend:
                Output.Add(_last);
                break;
            case ResetCommand:
                Reset();
                Answer(Acknowledge);
                Answer(SelfTestPassed);
                break;
            default:
                Answer(Resend);
                break;
        }
    }

    private void WriteParameter(byte command, byte value)
    {
        switch (command)
        {
            case SetLeds:
                _leds = value;
                Answer(Acknowledge);
                break;
            case SetRate:
                _rate = value;
                Answer(Acknowledge);
                break;
            case SelectSet when value == 0:
                Answer(Acknowledge);
                Answer(_scanCodeSet);
                break;
            case SelectSet when value <= 3:
                _scanCodeSet = value;
                Answer(Acknowledge);
                break;
            case SelectSet:
                Answer(Resend);
                break;
            default:
                // One key's behaviour in set 3: the list goes on until a command.
                _expecting = command;
                Answer(Acknowledge);
                break;
        }
    }

    private void RestoreDefaults()
    {
        _scanCodeSet = 2;
        _rate = 0x2b;
        _scanning = true;
    }

    private void Answer(byte value)
    {
        _last = value;
        Output.Add(value);
    }
}
