using Lamina.Machine.Devices;

namespace Lamina.Chipset.Serial;

/// <content>Registers and saved state.</content>
public sealed partial class Uart
{
    private const byte DivisorAccess = 0x80;
    private const byte BreakControl = 0x40;

    private bool DivisorSelected => (_lineControl & DivisorAccess) != 0;

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _interruptEnable);
        state.Write(2, _fifoControl);
        state.Write(3, _lineControl);
        state.Write(4, _modemControl);
        state.Write(5, _lineErrors);
        state.Write(6, _modemStatus);
        state.Write(7, _scratch);
        state.Write(8, _divisor);
        state.Write(9, _transmitterPending);
        state.Write(10, _timeoutPending);
        state.Write(11, _timeoutDeadline);
        Span<byte> waiting = stackalloc byte[FifoSize];
        for (int i = 0; i < _count; i++)
        {
            waiting[i] = _fifo[(_first + i) % FifoSize];
        }

        state.Write(12, waiting[.._count]);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        int count = state.TryRead(12, _fifo);
        _count = Math.Max(0, count);
        _first = 0;
        _refused = true; // Whatever was refused then is to be offered again.
        return count >= 0
            & state.TryTake(1, 0x0f, ref _interruptEnable)
            & state.TryTake(2, ref _fifoControl)
            & state.TryTake(3, ref _lineControl)
            & state.TryTake(4, 0x1f, ref _modemControl)
            & state.TryTake(5, 0x1e, ref _lineErrors)
            & state.TryTake(6, ref _modemStatus)
            & state.TryTake(7, ref _scratch)
            & state.TryTake(8, ref _divisor)
            & state.TryTake(9, ref _transmitterPending)
            & state.TryTake(10, ref _timeoutPending)
            & state.TryTake(11, ref _timeoutDeadline);
    }

    byte IBytePorts.ReadPort(int register)
    {
        _gate.Enter();
        byte value = ReadRegister(register);
        bool ready = TakeReady();
        _gate.Exit();
        if (ready)
        {
            _readyTarget?.OnInputReady();
        }

        return value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        WriteRegister(register, value);
        bool ready = TakeReady();
        _gate.Exit();
        if (ready)
        {
            _readyTarget?.OnInputReady();
        }
    }

    // The sender is told when the FIFO has run empty, not at each byte.
    private bool TakeReady()
    {
        if (!_refused || _count > 0 || !AcceptsInput)
        {
            return false;
        }

        _refused = false;
        return true;
    }

    private byte ReadRegister(int register)
    {
        switch (register)
        {
            case 0 when DivisorSelected:
                return (byte)_divisor;
            case 0:
                byte received = Pop();
                OnReceived();
                return received;
            case 1 when DivisorSelected:
                return (byte)(_divisor >> 8);
            case 1:
                return _interruptEnable;
            case 2:
                byte identification = Identify();
                if (identification == (byte)InterruptIdentification.TransmitterEmpty)
                {
                    _transmitterPending = false;
                    UpdateInterrupt();
                }

                return (byte)(identification | (FifoEnabled ? 0xc0 : 0));
            case 3:
                return _lineControl;
            case 4:
                return _modemControl;
            case 5:
                return ReadLineStatus();
            case 6:
                byte status = _modemStatus;
                _modemStatus &= 0xf0;
                UpdateInterrupt();
                return status;
            default:
                return _scratch;
        }
    }

    private byte ReadLineStatus()
    {
        const byte idle = (byte)(LineStatus.TransmitterHoldingEmpty | LineStatus.TransmitterEmpty);
        const byte inFifo = (byte)(LineStatus.Parity | LineStatus.Framing | LineStatus.Break);
        byte value = (byte)(idle | _lineErrors);
        if (_count > 0)
        {
            value |= (byte)LineStatus.DataReady;
        }

        if (FifoEnabled && (_lineErrors & inFifo) != 0)
        {
            value |= (byte)LineStatus.FifoError;
        }

        _lineErrors = 0;
        UpdateInterrupt();
        return value;
    }

    private void WriteRegister(int register, byte value)
    {
        switch (register)
        {
            case 0 when DivisorSelected:
                _divisor = (ushort)((_divisor & 0xff00) | value);
                break;
            case 0:
                Transmit(value);
                break;
            case 1 when DivisorSelected:
                _divisor = (ushort)((_divisor & 0xff) | (value << 8));
                break;
            case 1:
                WriteInterruptEnable((byte)(value & 0x0f));
                break;
            case 2:
                WriteFifoControl(value);
                break;
            case 3:
                WriteLineControl(value);
                break;
            case 4:
                _modemControl = (byte)(value & 0x1f);
                UpdateModemStatus();
                break;
            case 7:
                _scratch = value;
                break;
            default:
                break; // The status registers are for factory test.
        }
    }

    private void Transmit(byte value)
    {
        // Down and up again: a further empty transmitter is a further edge.
        _transmitterPending = false;
        UpdateInterrupt();
        if (Loopback)
        {
            if (_count < (FifoEnabled ? FifoSize : 1))
            {
                Push(value);
            }
            else
            {
                _lineErrors |= (byte)LineStatus.Overrun;
                if (!FifoEnabled)
                {
                    _fifo[_first] = value;
                }
            }

            SetTimeout(FifoEnabled && _count > 0);
        }
        else
        {
            _sending[0] = value;
            _output.Write(_sending);
        }

        _transmitterPending = true;
        UpdateInterrupt();
    }

    private void WriteInterruptEnable(byte value)
    {
        // Enabling the interrupt while the transmitter is empty raises it; drivers test for this.
        if ((value & ~_interruptEnable & (byte)InterruptEnable.TransmitterEmpty) != 0)
        {
            _transmitterPending = true;
        }

        _interruptEnable = value;
        UpdateInterrupt();
    }

    private void WriteFifoControl(byte value)
    {
        bool enable = (value & (byte)FifoControl.Enable) != 0;
        if (enable != FifoEnabled || (enable && (value & (byte)FifoControl.ClearReceiver) != 0))
        {
            ClearReceiver();
        }

        if (enable != FifoEnabled || (enable && (value & (byte)FifoControl.ClearTransmitter) != 0))
        {
            _transmitterPending = true;
        }

        // The other bits count only together with the enable bit.
        _fifoControl = enable ? (byte)(value & (byte)(FifoControl.Enable | FifoControl.TriggerMask)) : (byte)0;
        UpdateInterrupt();
    }

    private void WriteLineControl(byte value)
    {
        bool breakBegins = (value & ~_lineControl & BreakControl) != 0;
        _lineControl = value;
        if (!breakBegins || !Loopback)
        {
            return;
        }

        // A break arrives as a zero byte with the break and framing bits.
        if (_count < (FifoEnabled ? FifoSize : 1))
        {
            Push(0);
        }

        _lineErrors |= (byte)(LineStatus.Break | LineStatus.Framing);
        OnReceived();
    }

    private void UpdateModemStatus()
    {
        ModemStatus lines = ModemStatus.ClearToSend | ModemStatus.DataSetReady | ModemStatus.CarrierDetect;
        if (Loopback)
        {
            ModemControl control = (ModemControl)_modemControl;
            lines = ((control & ModemControl.RequestToSend) != 0 ? ModemStatus.ClearToSend : 0)
                | ((control & ModemControl.DataTerminalReady) != 0 ? ModemStatus.DataSetReady : 0)
                | ((control & ModemControl.Output1) != 0 ? ModemStatus.RingIndicator : 0)
                | ((control & ModemControl.Output2) != 0 ? ModemStatus.CarrierDetect : 0);
        }

        ModemStatus before = (ModemStatus)_modemStatus & (ModemStatus)0xf0;
        ModemStatus changed = before ^ lines;
        ModemStatus deltas = (ModemStatus)_modemStatus & (ModemStatus)0x0f;
        deltas |= (changed & ModemStatus.ClearToSend) != 0 ? ModemStatus.DeltaClearToSend : 0;
        deltas |= (changed & ModemStatus.DataSetReady) != 0 ? ModemStatus.DeltaDataSetReady : 0;
        deltas |= (changed & ModemStatus.CarrierDetect) != 0 ? ModemStatus.DeltaCarrierDetect : 0;
        deltas |= (changed & before & ModemStatus.RingIndicator) != 0 ? ModemStatus.TrailingRingIndicator : 0;
        _modemStatus = (byte)(lines | deltas);
        UpdateInterrupt();
    }
}
