using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Serial;

/// <summary>
/// 16550A UART (National Semiconductor PC16550D datasheet). A byte written is sent at once: the transmitter is always empty, and says so with an interrupt
/// each time. The other end heeds flow control: bytes come in while the guest asserts RTS or takes received-data interrupts, and wait
/// otherwise, so that input typed before the guest's driver is up is not lost.
/// </summary>
public sealed partial class Uart : IDevice, ICharacterInput, ITimerTarget, IBytePorts
{
    private const int FifoSize = 16;

    private readonly ILock _gate;
    private readonly InterruptLine _interrupt;
    private readonly ICharacterOutput _output;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly byte[] _fifo = new byte[FifoSize];
    private readonly byte[] _sending = new byte[1];
    private ICharacterInputReady? _readyTarget;
    private int _count;
    private int _first;
    private byte _interruptEnable;
    private byte _fifoControl;
    private byte _lineControl;
    private byte _modemControl;
    private byte _lineErrors;
    private byte _modemStatus;
    private byte _scratch;
    private ushort _divisor;
    private bool _transmitterPending;
    private bool _timeoutPending;
    private bool _refused;
    private bool _running;
    private ulong _timeoutDeadline;

    /// <summary>Makes it, in the state after power-on.</summary>
    /// <param name="name">Device name ("uart0").</param>
    /// <param name="clock">For the receive time-out.</param>
    /// <param name="gate">The device's lock.</param>
    /// <param name="interrupt">Its interrupt.</param>
    /// <param name="output">Where bytes go; called with the lock held, so it may not call back.</param>
    public Uart(string name, IMachineClock clock, ILock gate, InterruptLine interrupt, ICharacterOutput output)
    {
        Name = name;
        _clock = clock;
        _gate = gate;
        _interrupt = interrupt;
        _output = output;
        _timer = clock.CreateTimer(this);
        ResetRegisters();
    }

    /// <inheritdoc/>
    public string Name { get; }

    private bool FifoEnabled => (_fifoControl & (byte)FifoControl.Enable) != 0;

    private bool Loopback => (_modemControl & (byte)ModemControl.Loopback) != 0;

    private bool AcceptsInput => !Loopback
        && ((_modemControl & (byte)ModemControl.RequestToSend) != 0 || (_interruptEnable & (byte)InterruptEnable.Received) != 0);

    private int TriggerLevel => (_fifoControl >> 6) switch
    {
        0 => 1,
        1 => 4,
        2 => 8,
        _ => 14,
    };

    /// <summary>Maps the eight ports at <paramref name="address"/>.</summary>
    public void Map(AddressSpace ports, ushort address) => ports.Map(Name, address, 8, new BytePortWindow(this, 0));

    /// <inheritdoc/>
    public int Receive(ReadOnlySpan<byte> data)
    {
        _gate.Enter();
        int taken = 0;
        if (AcceptsInput)
        {
            int room = (FifoEnabled ? FifoSize : 1) - _count;
            taken = Math.Clamp(data.Length, 0, Math.Max(0, room));
            for (int i = 0; i < taken; i++)
            {
                Push(data[i]);
            }
        }

        _refused = taken < data.Length;
        if (taken > 0)
        {
            OnReceived();
        }

        _gate.Exit();
        return taken;
    }

    /// <inheritdoc/>
    public void SetReadyTarget(ICharacterInputReady target) => _readyTarget = target;

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _running = true;
        if (_timeoutDeadline != 0)
        {
            _timer.Arm(_timeoutDeadline);
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _running = false;
        _timer.Cancel();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        ResetRegisters();
        UpdateInterrupt();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && _timeoutDeadline != 0)
        {
            if (_clock.Now < _timeoutDeadline)
            {
                _timer.Arm(_timeoutDeadline);
            }
            else
            {
                _timeoutDeadline = 0;
                _timeoutPending = FifoEnabled && _count > 0;
                UpdateInterrupt();
            }
        }

        _gate.Exit();
    }

    private void Push(byte value)
    {
        _fifo[(_first + _count) % FifoSize] = value;
        _count++;
    }

    private byte Pop()
    {
        byte value = _fifo[_first];
        if (_count > 0)
        {
            _first = (_first + 1) % FifoSize;
            _count--;
        }

        return value;
    }

    private void ClearReceiver()
    {
        _count = 0;
        _first = 0;
        _lineErrors = 0;
        SetTimeout(false);
    }

    private void OnReceived()
    {
        SetTimeout(FifoEnabled && _count > 0);
        UpdateInterrupt();
    }

    // The time-out interrupt comes four character times after the last arrival or read, while bytes are left (PC16550D, "FIFO interrupt mode").
    private void SetTimeout(bool armed)
    {
        _timeoutPending = false;
        if (!armed)
        {
            if (_timeoutDeadline != 0)
            {
                _timeoutDeadline = 0;
                _timer.Cancel();
            }

            return;
        }

        const ulong bitTimePerDivisor = 8_681; // ns: 16 / 1.8432 MHz
        const ulong bits = 4 * 10;
        const ulong longest = 10_000_000;
        ulong wait = Math.Min(longest, Math.Max(1, (ulong)_divisor) * bitTimePerDivisor * bits);
        _timeoutDeadline = TickRate.AddSaturating(_clock.Now, Math.Max(100_000, wait));
        if (_running)
        {
            _timer.Arm(_timeoutDeadline);
        }
    }

    private void UpdateInterrupt() => _interrupt.Set(Identify() != (byte)InterruptIdentification.None);

    // By falling priority.
    private byte Identify()
    {
        if ((_interruptEnable & (byte)InterruptEnable.LineStatus) != 0 && _lineErrors != 0)
        {
            return (byte)InterruptIdentification.LineStatus;
        }

        if ((_interruptEnable & (byte)InterruptEnable.Received) != 0)
        {
            if (_count >= (FifoEnabled ? TriggerLevel : 1))
            {
                return (byte)InterruptIdentification.Received;
            }

            if (_timeoutPending)
            {
                return (byte)InterruptIdentification.Timeout;
            }
        }

        if ((_interruptEnable & (byte)InterruptEnable.TransmitterEmpty) != 0 && _transmitterPending)
        {
            return (byte)InterruptIdentification.TransmitterEmpty;
        }

        if ((_interruptEnable & (byte)InterruptEnable.ModemStatus) != 0 && (_modemStatus & 0x0f) != 0)
        {
            return (byte)InterruptIdentification.ModemStatus;
        }

        return (byte)InterruptIdentification.None;
    }

    private void ResetRegisters()
    {
        _interruptEnable = 0;
        _fifoControl = 0;
        _lineControl = 0;
        _modemControl = 0;
        _scratch = 0;
        _divisor = 12;
        _transmitterPending = false;
        _refused = false;
        _modemStatus = (byte)(ModemStatus.ClearToSend | ModemStatus.DataSetReady | ModemStatus.CarrierDetect);
        ClearReceiver();
    }
}
