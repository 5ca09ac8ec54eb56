using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Input;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Keyboard;

/// <summary>
/// i8042 keyboard controller (IBM PS/2 hardware interface technical reference) with a keyboard, and a mouse that answers every command but has nobody to use it. The pulse of output bit 0 (command 0xfe) resets the machine. The A20 bit can be read back; address line 20 is always open.
/// </summary>
public sealed class KeyboardController : IDevice, IBytePorts, IKeyboard
{
    private const int DataPort = 0;
    private const int CommandPort = 1;
    private const byte OutputFull = 0x01;
    private const byte SystemFlag = 0x04;
    private const byte LastWasCommand = 0x08;
    private const byte NotLocked = 0x10;
    private const byte AuxiliaryFull = 0x20;
    private const byte KeyboardInterrupt = 0x01;
    private const byte AuxiliaryInterrupt = 0x02;
    private const byte KeyboardDisabled = 0x10;
    private const byte AuxiliaryDisabled = 0x20;
    private const byte Translate = 0x40;
    private const byte CommandByteAfterReset = KeyboardInterrupt | SystemFlag | AuxiliaryDisabled | Translate;
    private const byte OutputResetBit = 0x01;
    private const byte OutputA20Bit = 0x02;
    private const byte ReleasePrefix = 0xf0;
    private const byte ReleaseBit = 0x80;
    private const int MemorySize = 32;

    private readonly ILock _gate;
    private readonly InterruptLine _keyboardInterrupt;
    private readonly InterruptLine _auxiliaryInterrupt;
    private readonly IPlatformEvents _events;
    private readonly Ps2Keyboard _keyboard = new();
    private readonly Ps2Mouse _mouse = new();
    private readonly ByteQueue _answers = new();
    private readonly byte[] _memory = new byte[MemorySize];
    private ControllerCommand _expecting;
    private byte _outputPort;
    private byte _data;
    private bool _full;
    private bool _fromAuxiliary;
    private bool _answersAreAuxiliary;
    private bool _lastWasCommand;

    /// <summary>Makes it, in the state after power-on, as firmware leaves it: keyboard on and translated, auxiliary port off.</summary>
    public KeyboardController(string name, ILock gate, InterruptLine keyboardInterrupt, InterruptLine auxiliaryInterrupt, IPlatformEvents events)
    {
        Name = name;
        _gate = gate;
        _keyboardInterrupt = keyboardInterrupt;
        _auxiliaryInterrupt = auxiliaryInterrupt;
        _events = events;
        ResetRegisters();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsListening
    {
        get
        {
            _gate.Enter();
            bool listening = IsHeard;
            _gate.Exit();
            return listening;
        }
    }

    private ref byte CommandByte => ref _memory[0];

    private bool IsHeard => (CommandByte & (KeyboardDisabled | KeyboardInterrupt)) == KeyboardInterrupt && _keyboard.IsScanning;

    /// <summary>Maps ports 0x60 and 0x64.</summary>
    public void Map(AddressSpace ports)
    {
        ports.Map(Name, PcAddressMap.KeyboardData, 1, new BytePortWindow(this, DataPort));
        ports.Map(Name, PcAddressMap.KeyboardCommand, 1, new BytePortWindow(this, CommandPort));
    }

    /// <inheritdoc/>
    public bool TrySend(KeyStroke stroke)
    {
        _gate.Enter();
        bool sent = IsHeard && _keyboard.TrySend(stroke);
        if (sent)
        {
            Fill();
            UpdateInterrupts();
        }

        _gate.Exit();
        return sent;
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        ResetRegisters();
        UpdateInterrupts();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _memory);
        state.Write(2, (byte)_expecting);
        state.Write(3, _outputPort);
        state.Write(4, _data);
        state.Write(5, _full);
        state.Write(6, _fromAuxiliary);
        state.Write(7, _answersAreAuxiliary);
        state.Write(8, _lastWasCommand);
        _answers.Save(state, 9);
        _keyboard.Save(state, 20);
        _mouse.Save(state, 40);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        byte expecting = 0;
        bool valid = state.TryTake(1, _memory)
            & state.TryTake(2, ref expecting)
            & state.TryTake(3, ref _outputPort)
            & state.TryTake(4, ref _data)
            & state.TryTake(5, ref _full)
            & state.TryTake(6, ref _fromAuxiliary)
            & state.TryTake(7, ref _answersAreAuxiliary)
            & state.TryTake(8, ref _lastWasCommand)
            & _answers.Restore(state, 9)
            & _keyboard.Restore(state, 20)
            & _mouse.Restore(state, 40);
        _expecting = (ControllerCommand)expecting;
        return valid;
    }

    byte IBytePorts.ReadPort(int register)
    {
        _gate.Enter();
        byte value = register == DataPort ? ReadData() : ReadStatus();
        _gate.Exit();
        return value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        bool reset;
        if (register == DataPort)
        {
            reset = WriteData(value);
        }
        else
        {
            reset = WriteCommand(value);
        }

        Fill();
        UpdateInterrupts();
        _gate.Exit();
        if (reset)
        {
            _events.Reset();
        }
    }

    private byte ReadStatus()
    {
        return (byte)(NotLocked
            | (CommandByte & SystemFlag)
            | (_full ? OutputFull : 0)
            | (_full && _fromAuxiliary ? AuxiliaryFull : 0)
            | (_lastWasCommand ? LastWasCommand : 0));
    }

    private byte ReadData()
    {
        byte value = _data;
        if (_full)
        {
            // Down before the next byte raises it: each byte is an edge.
            _full = false;
            UpdateInterrupts();
            Fill();
            UpdateInterrupts();
        }

        return value;
    }

    private void Fill()
    {
        if (_full)
        {
            return;
        }

        if (!_answers.IsEmpty)
        {
            Put(_answers.Take(), _answersAreAuxiliary);
        }
        else if ((CommandByte & KeyboardDisabled) == 0 && !_keyboard.Output.IsEmpty)
        {
            byte value = _keyboard.Output.Take();
            bool translates = (CommandByte & Translate) != 0;
            byte released = 0;
            if (translates && value == ReleasePrefix && !_keyboard.Output.IsEmpty)
            {
                // The prefix becomes a bit of the code that follows.
                released = ReleaseBit;
                value = _keyboard.Output.Take();
            }

            Put(translates ? (byte)(ScanCodes.ToFirst(value) | released) : value, auxiliary: false);
        }
        else if ((CommandByte & AuxiliaryDisabled) == 0 && !_mouse.Output.IsEmpty)
        {
            Put(_mouse.Output.Take(), auxiliary: true);
        }
    }

    private void Put(byte value, bool auxiliary)
    {
        _data = value;
        _full = true;
        _fromAuxiliary = auxiliary;
    }

    private void UpdateInterrupts()
    {
        _keyboardInterrupt.Set(_full && !_fromAuxiliary && (CommandByte & KeyboardInterrupt) != 0);
        _auxiliaryInterrupt.Set(_full && _fromAuxiliary && (CommandByte & AuxiliaryInterrupt) != 0);
    }

    private void Answer(byte value, bool auxiliary = false)
    {
        // The controller holds one answer; a new one replaces it.
        _answers.Clear();
        _answers.Add(value);
        _answersAreAuxiliary = auxiliary;
    }

    private bool WriteCommand(byte value)
    {
        _lastWasCommand = true;
        _expecting = ControllerCommand.None;
        ControllerCommand command = (ControllerCommand)value;
        switch (command)
        {
            case >= ControllerCommand.FirstReadMemory and <= ControllerCommand.LastReadMemory:
                Answer(_memory[value & (MemorySize - 1)]);
                break;
            case >= ControllerCommand.FirstWriteMemory and <= ControllerCommand.LastWriteMemory:
            case >= ControllerCommand.WriteOutputPort and <= ControllerCommand.WriteAuxiliaryDevice:
                _expecting = command;
                break;
            case ControllerCommand.TestPassword:
                Answer(0xf1); // None is installed.
                break;
            case ControllerCommand.DisableAuxiliary:
                CommandByte |= AuxiliaryDisabled;
                break;
            case ControllerCommand.EnableAuxiliary:
                CommandByte &= unchecked((byte)~AuxiliaryDisabled);
                break;
            case ControllerCommand.TestAuxiliary:
            case ControllerCommand.TestKeyboard:
            case ControllerCommand.ReadTestInputs:
                Answer(0x00);
                break;
            case ControllerCommand.SelfTest:
                CommandByte |= SystemFlag;
                Answer(0x55);
                break;
            case ControllerCommand.DisableKeyboard:
                CommandByte |= KeyboardDisabled;
                break;
            case ControllerCommand.EnableKeyboard:
                CommandByte &= unchecked((byte)~KeyboardDisabled);
                break;
            case ControllerCommand.ReadInputPort:
                Answer(0x80); // Not locked.
                break;
            case ControllerCommand.ReadOutputPort:
                Answer((byte)(_outputPort | (_full && !_fromAuxiliary ? 0x10 : 0) | (_full && _fromAuxiliary ? 0x20 : 0)));
                break;
            case >= ControllerCommand.FirstPulse:
                return (value & OutputResetBit) == 0;
            default:
                break;
        }

        return false;
    }

    private bool WriteData(byte value)
    {
        _lastWasCommand = false;
        ControllerCommand command = _expecting;
        _expecting = ControllerCommand.None;
        switch (command)
        {
            case >= ControllerCommand.FirstWriteMemory and <= ControllerCommand.LastWriteMemory:
                _memory[(byte)command & (MemorySize - 1)] = value;
                break;
            case ControllerCommand.WriteOutputPort:
                _outputPort = (byte)((value & OutputA20Bit) | OutputResetBit);
                return (value & OutputResetBit) == 0;
            case ControllerCommand.WriteKeyboardBuffer:
                Answer(value);
                break;
            case ControllerCommand.WriteAuxiliaryBuffer:
                Answer(value, auxiliary: true);
                break;
            case ControllerCommand.WriteAuxiliaryDevice:
                CommandByte &= unchecked((byte)~AuxiliaryDisabled);
                _mouse.Write(value);
                break;
            default:
                // Sending to a device opens its interface.
                CommandByte &= unchecked((byte)~KeyboardDisabled);
                _keyboard.Write(value);
                break;
        }

        return false;
    }

    private void ResetRegisters()
    {
        _keyboard.Reset();
        _mouse.Reset();
        _answers.Clear();
        Array.Clear(_memory);
        CommandByte = CommandByteAfterReset;
        _expecting = ControllerCommand.None;
        _outputPort = OutputA20Bit | OutputResetBit;
        _data = 0;
        _full = false;
        _fromAuxiliary = false;
        _answersAreAuxiliary = false;
        _lastWasCommand = false;
    }
}
