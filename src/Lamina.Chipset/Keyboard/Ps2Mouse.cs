using Lamina.Machine.Devices;

namespace Lamina.Chipset.Keyboard;

/// <summary>A PS/2 mouse that nobody moves: it answers commands (IBM PS/2 hardware interface technical reference, "Auxiliary device").</summary>
internal sealed class Ps2Mouse
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte Error = 0xfc;
    private const byte SelfTestPassed = 0xaa;
    private const byte Scaling1To1 = 0xe6;
    private const byte Scaling2To1 = 0xe7;
    private const byte SetResolution = 0xe8;
    private const byte StatusRequest = 0xe9;
    private const byte StreamMode = 0xea;
    private const byte ReadData = 0xeb;
    private const byte ResetWrapMode = 0xec;
    private const byte WrapMode = 0xee;
    private const byte RemoteMode = 0xf0;
    private const byte ReadDeviceType = 0xf2;
    private const byte SetSampleRate = 0xf3;
    private const byte Enable = 0xf4;
    private const byte Disable = 0xf5;
    private const byte SetDefaults = 0xf6;
    private const byte ResetCommand = 0xff;
    private const byte Remote = 0x40;
    private const byte Enabled = 0x20;
    private const byte DoubleScale = 0x10;

    private byte _expecting;
    private byte _status;
    private byte _resolution = 2;
    private byte _sampleRate = 100;
    private byte _last;
    private bool _wrap;

    public ByteQueue Output { get; } = new();

    public void Reset()
    {
        Output.Clear();
        RestoreDefaults();
        _expecting = 0;
        _last = 0;
        _wrap = false;
    }

    public void Write(byte value)
    {
        if (_wrap && value is not (ResetWrapMode or ResetCommand))
        {
            Answer(value);
            return;
        }

        byte command = _expecting;
        _expecting = 0;
        if (command == 0)
        {
            WriteCommand(value);
        }
        else if (command == SetSampleRate)
        {
            _sampleRate = value;
            Answer(Acknowledge);
        }
        else if (value <= 3)
        {
            _resolution = value;
            Answer(Acknowledge);
        }
        else
        {
            Answer(Error);
        }
    }

    public void Save(IStateWriter state, ushort first)
    {
        state.Write(first, _expecting);
        state.Write((ushort)(first + 1), _status);
        state.Write((ushort)(first + 2), _resolution);
        state.Write((ushort)(first + 3), _sampleRate);
        state.Write((ushort)(first + 4), _last);
        state.Write((ushort)(first + 5), _wrap);
        Output.Save(state, (ushort)(first + 6));
    }

    public bool Restore(IStateReader state, ushort first)
    {
        return state.TryTake(first, ref _expecting)
            & state.TryTake((ushort)(first + 1), ref _status)
            & state.TryTake((ushort)(first + 2), 3, ref _resolution)
            & state.TryTake((ushort)(first + 3), ref _sampleRate)
            & state.TryTake((ushort)(first + 4), ref _last)
            & state.TryTake((ushort)(first + 5), ref _wrap)
            & Output.Restore(state, (ushort)(first + 6));
    }

    private void WriteCommand(byte value)
    {
        switch (value)
        {
            case Scaling1To1:
                SetStatus(DoubleScale, false);
                break;
            case Scaling2To1:
                SetStatus(DoubleScale, true);
                break;
            case SetResolution:
            case SetSampleRate:
                _expecting = value;
                Answer(Acknowledge);
                break;
            case StatusRequest:
                Answer(Acknowledge);
                Answer(_status);
                Answer(_resolution);
                Answer(_sampleRate);
                break;
            case StreamMode:
                SetStatus(Remote, false);
                break;
            case RemoteMode:
                SetStatus(Remote, true);
                break;
            case ReadData:
                Answer(Acknowledge);
                Answer(0x08); // No button, no movement.
                Answer(0);
                Answer(0);
                break;
            case WrapMode:
                _wrap = true;
                Answer(Acknowledge);
                break;
            case ResetWrapMode:
                _wrap = false;
                Answer(Acknowledge);
                break;
            case ReadDeviceType:
                Answer(Acknowledge);
                Answer(0);
                break;
            case Enable:
                SetStatus(Enabled, true);
                break;
            case Disable:
                SetStatus(Enabled, false);
                break;
            case SetDefaults:
                RestoreDefaults();
                Answer(Acknowledge);
                break;
            case Resend:
                Output.Add(_last);
                break;
            case ResetCommand:
                Reset();
                Answer(Acknowledge);
                Answer(SelfTestPassed);
                Answer(0);
                break;
            default:
                Answer(Resend);
                break;
        }
    }

    private void SetStatus(byte bit, bool value)
    {
        _status = (byte)(value ? _status | bit : _status & ~bit);
        Answer(Acknowledge);
    }

    private void RestoreDefaults()
    {
        _status = 0;
        _resolution = 2;
        _sampleRate = 100;
    }

    private void Answer(byte value)
    {
        _last = value;
        Output.Add(value);
    }
}
