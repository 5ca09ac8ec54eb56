using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Timers;

/// <summary>
/// 8254 programmable interval timer (Intel 82C54 datasheet, order number 231244) with system control port B. Counter 0 drives interrupt line 0; counter 2
/// is gated and read through port 0x61. Interrupts come at most every 100 us; ticks that the host missed are dropped, not made up for.
/// </summary>
public sealed class Pit : IDevice, ITimerTarget, IBytePorts
{
    /// <summary>Input clock in Hz.</summary>
    public const ulong Frequency = 1_193_182;

    private const int ControlWord = 3;
    private const int SystemControlB = 4;
    private const ulong ShortestInterval = 120; // ticks: 100 us
    private const ulong RefreshInterval = 15_085; // ns: 18 ticks of counter 1, as firmware programs it.
    private const byte SpeakerData = 0x02;
    private const byte CheckBits = 0x0c;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly InterruptLine _interrupt;
    private readonly TickRate _rate = new(Frequency);
    private readonly PitCounter[] _counters = [new PitCounter(gate: true), new PitCounter(gate: true), new PitCounter(gate: false)];
    private byte _systemControl;
    private bool _running;
    private bool _suspended;
    private bool _lineHigh;
    private ulong _nextRise = ulong.MaxValue;
    private ulong _lastRise;

    /// <summary>Makes it, in the state after power-on: nothing counts until it is programmed.</summary>
    public Pit(string name, IMachineClock clock, ILock gate, InterruptLine interrupt)
    {
        Name = name;
        _clock = clock;
        _gate = gate;
        _interrupt = interrupt;
        _timer = clock.CreateTimer(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    private ulong Now => _rate.ToTicks(_clock.Now);

    /// <summary>Maps ports 0x40 to 0x43 and 0x61.</summary>
    public void Map(AddressSpace ports)
    {
        ports.Map(Name, PcAddressMap.Pit, 4, new BytePortWindow(this, 0));
        ports.Map(Name, PcAddressMap.SystemControlB, 1, new BytePortWindow(this, SystemControlB));
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _running = true;
        ArmTimer();
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
        for (int i = 0; i < _counters.Length; i++)
        {
            _counters[i].Reset();
        }

        _systemControl = 0;
        _lastRise = 0;
        _nextRise = ulong.MaxValue;
        _timer.Cancel();
        SetLine(false);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _systemControl);
        state.Write(2, _lineHigh);
        state.Write(3, _nextRise);
        state.Write(4, _lastRise);
        for (int i = 0; i < _counters.Length; i++)
        {
            _counters[i].Save(state, (ushort)(20 * (i + 1)));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, 0x0f, ref _systemControl)
            & state.TryTake(2, ref _lineHigh)
            & state.TryTake(3, ref _nextRise)
            & state.TryTake(4, ref _lastRise);
        for (int i = 0; i < _counters.Length; i++)
        {
            valid &= _counters[i].Restore(state, (ushort)(20 * (i + 1)));
        }

        return valid;
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && !_suspended && _nextRise != ulong.MaxValue)
        {
            if (!RiseIfDue(Now))
            {
                ArmTimer();
            }
        }

        _gate.Exit();
    }

    /// <summary>Writes down its state for an accelerator, and sleeps.</summary>
    internal void HandOver(LineControllerState state)
    {
        _gate.Enter();
        _suspended = true;
        _timer.Cancel();
        ulong now = Now;
        for (int i = 0; i < _counters.Length; i++)
        {
            state.Counters[i] = _counters[i].HandOver(now, _rate);
        }

        state.SpeakerData = (_systemControl & SpeakerData) != 0;
        _gate.Exit();
    }

    /// <summary>Takes an accelerator's, and goes on.</summary>
    internal void TakeBack(LineControllerState state)
    {
        _gate.Enter();
        _suspended = false;
        ulong now = Now;
        for (int i = 0; i < _counters.Length; i++)
        {
            _counters[i].TakeBack(state.Counters[i], now, _rate);
        }

        _systemControl = (byte)((_systemControl & CheckBits) | (state.SpeakerData ? SpeakerData : 0) | (_counters[2].Gate ? 1 : 0));
        _lastRise = now;
        _lineHigh = _counters[0].GetOutput(now);
        Schedule(now);
        _gate.Exit();
    }

    byte IBytePorts.ReadPort(int register)
    {
        _gate.Enter();
        ulong nanoseconds = _clock.Now;
        ulong now = _rate.ToTicks(nanoseconds);
        byte value = register switch
        {
            < ControlWord => _counters[register].Read(now),
            SystemControlB => (byte)(_systemControl
                | (nanoseconds / RefreshInterval % 2 != 0 ? 0x10 : 0)
                | (_counters[2].GetOutput(now) ? 0x20 : 0)),
            _ => 0xff, // The control word cannot be read.
        };
        _gate.Exit();
        return value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        ulong now = Now;
        RiseIfDue(now);
        switch (register)
        {
            case < ControlWord:
                _counters[register].Write(value, now);
                OnProgrammed(register, now);
                break;
            case ControlWord:
                WriteControlWord(value, now);
                break;
            default:
                _systemControl = (byte)(value & (0x01 | SpeakerData | CheckBits));
                _counters[2].SetGate((value & 0x01) != 0, now);
                break;
        }

        _gate.Exit();
    }

    private void WriteControlWord(byte value, ulong now)
    {
        int select = value >> 6;
        if (select == 3)
        {
            // Read-back: bits 5 and 4 are active low.
            for (int i = 0; i < _counters.Length; i++)
            {
                if ((value & (2 << i)) == 0)
                {
                    continue;
                }

                if ((value & 0x20) == 0)
                {
                    _counters[i].LatchCount(now);
                }

                if ((value & 0x10) == 0)
                {
                    _counters[i].LatchStatus(now);
                }
            }

            return;
        }

        byte access = (byte)((value >> 4) & 3);
        if (access == 0)
        {
            _counters[select].LatchCount(now);
            return;
        }

        _counters[select].SetMode(access, (byte)((value >> 1) & 7), (value & 1) != 0);
        OnProgrammed(select, now);
    }

    // Also before a register changes, when the host timer is late.
    private bool RiseIfDue(ulong now)
    {
        if (!_running || _suspended || now < _nextRise)
        {
            return false;
        }

        SetLine(false);
        SetLine(true);
        _lastRise = now;
        Schedule(now);
        return true;
    }

    private void OnProgrammed(int counter, ulong now)
    {
        if (counter == 0)
        {
            SetLine(_counters[0].GetOutput(now));
            Schedule(now);
        }
    }

    private void Schedule(ulong now)
    {
        PitCounter counter = _counters[0];
        _nextRise = counter.GetNextRise(now);
        if (_nextRise != ulong.MaxValue && counter.IsPeriodic && _nextRise < _lastRise + ShortestInterval)
        {
            _nextRise = counter.GetPeriodEndFrom(_lastRise + ShortestInterval);
        }

        ArmTimer();
    }

    private void ArmTimer()
    {
        if (_nextRise == ulong.MaxValue)
        {
            _timer.Cancel();
        }
        else if (_running && !_suspended)
        {
            _timer.Arm(_rate.ToNanoseconds(_nextRise));
        }
    }

    // The line follows OUT at what can be seen of it: rising edges. Mode 2 and 3 fall again just before the next.
    private void SetLine(bool high)
    {
        _lineHigh = high;
        if (!_suspended)
        {
            _interrupt.Set(high);
        }
    }
}
