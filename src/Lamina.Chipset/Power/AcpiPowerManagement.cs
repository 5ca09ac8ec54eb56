using Lamina.Chipset.Timers;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Power;

/// <summary>
/// ACPI fixed hardware (ACPI 6.5, chapter 4): PM1a event and control block, 32-bit power management timer, general-purpose event block 0. The machine
/// is always in ACPI mode (the FADT has no SMI command port). The layout's sleep type switches off, <see cref="SuspendType"/> suspends to RAM where the
/// machine offers that; others do nothing. What wakes it is the power button, and the alarm of the real-time clock where RTC_EN is set. The upper bytes of control block and status are the sleep control and status
/// registers of a machine that names these (section 4.8.3.7), whose bits are the same.
/// </summary>
public sealed class AcpiPowerManagement : IDevice, ITimerTarget, IBytePorts, IAlarmObserver
{
    /// <summary>SLP_TYP of the PC's S5, as the DSDT's \_S5 says.</summary>
    public const byte SoftOffType = 5;

    /// <summary>SLP_TYP of S3, as the DSDT's \_S3 says.</summary>
    public const byte SuspendType = 1;

    /// <summary>Frequency of the power management timer in Hz (ACPI 6.5, section 4.8.2.1).</summary>
    public const ulong TimerFrequency = 3_579_545;

    private const int EventPorts = 0;
    private const int ControlPorts = 4;
    private const int GeneralEventPorts = 8;
    private const int ResetPort = 12;
    private const byte NoRegister = 0xff;
    private const ushort TimerStatus = 1 << 0;
    private const ushort GlobalStatus = 1 << 5;
    private const ushort PowerButtonStatus = 1 << 8;
    private const ushort SleepButtonStatus = 1 << 9;
    private const ushort ClockStatus = 1 << 10;
    private const ushort WakeStatus = 1 << 15;
    private const ushort StatusBits = TimerStatus | GlobalStatus | PowerButtonStatus | SleepButtonStatus | ClockStatus | WakeStatus;
    private const ushort EnableBits = TimerStatus | GlobalStatus | PowerButtonStatus | SleepButtonStatus | ClockStatus;
    private const ushort SciEnable = 1 << 0;
    private const ushort SleepEnable = 1 << 13;
    private const ushort ControlBits = 0x1c02; // SLP_TYP and BM_RLD; the rest is write-only or not there.
    private const ulong HalfTurn = 1UL << 31;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly InterruptLine _sci;
    private readonly IPlatformEvents _events;
    private readonly bool _canSuspend;
    private readonly PowerLayout _layout;
    private readonly TickRate _rate = new(TimerFrequency);
    private ushort _status;
    private ushort _enable;
    private ushort _control;
    private ushort _generalStatus;
    private ushort _generalEnable;
    private ulong _seenTurns;
    private ulong _deadline;
    private SleepState _sleep;
    private bool _running;

    /// <summary>Makes it, in the state after power-on.</summary>
    /// <param name="name">Device name.</param>
    /// <param name="clock">The machine clock.</param>
    /// <param name="gate">The device's lock.</param>
    /// <param name="sci">System control interrupt, a level.</param>
    /// <param name="events">Told of S5, S3 and resets.</param>
    /// <param name="canSuspend">Whether the machine offers S3.</param>
    /// <param name="layout">Where its registers are.</param>
    public AcpiPowerManagement(string name, IMachineClock clock, ILock gate, InterruptLine sci, IPlatformEvents events, bool canSuspend, PowerLayout layout)
    {
        Name = name;
        _clock = clock;
        _gate = gate;
        _sci = sci;
        _events = events;
        _canSuspend = canSuspend;
        _layout = layout;
        _timer = clock.CreateTimer(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Whether the machine sleeps, or is about to wake. Any thread.</summary>
    public SleepState Sleep
    {
        get
        {
            _gate.Enter();
            SleepState state = _sleep;
            _gate.Exit();
            return state;
        }
    }

    private ulong Ticks => _rate.ToTicks(_clock.Now);

    /// <summary>Maps the PM1 blocks, the timer, the general-purpose event block, and the reset register if the layout has one.</summary>
    public void Map(AddressSpace ports)
    {
        ports.Map(Name, _layout.Event, 4, new BytePortWindow(this, EventPorts));
        ports.Map(Name, _layout.Control, 2, new BytePortWindow(this, ControlPorts));
        ports.Map(Name, _layout.Timer, 4, new PowerTimerWindow(_clock, _rate));
        ports.Map(Name, _layout.GeneralPurposeEvent, PcAddressMap.GeneralPurposeEventLength, new BytePortWindow(this, GeneralEventPorts));
        if (_layout.Reset != 0)
        {
            ports.Map(Name, _layout.Reset, 1, new BytePortWindow(this, ResetPort));
        }
    }

    /// <summary>The person at the machine presses the power button (a fixed event), which also wakes a machine that sleeps. Any thread.</summary>
    public void PressPowerButton()
    {
        _gate.Enter();
        _status |= PowerButtonStatus;
        bool wakes = TryWake(true);
        UpdateInterrupt();
        _gate.Exit();
        if (wakes)
        {
            _events.SleepChanged();
        }
    }

    /// <inheritdoc/>
    public void OnAlarm()
    {
        _gate.Enter();
        _status |= ClockStatus;
        bool wakes = TryWake(false);
        UpdateInterrupt();
        _gate.Exit();
        if (wakes)
        {
            _events.SleepChanged();
        }
    }

    /// <summary>Processor 0 has been brought to where the guest wakes: the machine works again. On the control thread, while no processor runs.</summary>
    public void FinishWaking()
    {
        _gate.Enter();
        _sleep = SleepState.Working;
        _gate.Exit();
    }

    /// <summary>Raises a general-purpose event, 0 to 15. Any thread.</summary>
    public void RaiseGeneralEvent(int number)
    {
        _gate.Enter();
        _generalStatus |= (ushort)(1 << number);
        UpdateInterrupt();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _running = true;
        Schedule();
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
        _status = 0;
        _enable = 0;
        _control = 0;
        _generalStatus = 0;
        _generalEnable = 0;
        _sleep = SleepState.Working;
        _seenTurns = Ticks / HalfTurn;
        UpdateInterrupt();
        Schedule();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _status);
        state.Write(2, _enable);
        state.Write(3, _control);
        state.Write(4, _generalStatus);
        state.Write(5, _generalEnable);
        state.Write(6, _seenTurns);
        state.Write(7, (byte)_sleep);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        // Machines of before could not sleep.
        bool sleepValid = !state.TryRead(7, out ulong sleep) || sleep <= (_canSuspend ? (ulong)SleepState.Waking : 0);
        _sleep = sleepValid ? (SleepState)sleep : SleepState.Working;
        return sleepValid
            & state.TryTake(1, ref _status)
            & state.TryTake(2, ref _enable)
            & state.TryTake(3, ref _control)
            & state.TryTake(4, ref _generalStatus)
            & state.TryTake(5, ref _generalEnable)
            & state.TryTake(6, ref _seenTurns)
            & (_status & ~StatusBits) == 0
            & (_enable & ~EnableBits) == 0
            & (_control & ~ControlBits) == 0;
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && _deadline != 0)
        {
            Advance();
            UpdateInterrupt();
            Schedule();
        }

        _gate.Exit();
    }

    byte IBytePorts.ReadPort(int register)
    {
        _gate.Enter();
        Advance();
        int value = register switch
        {
            0 => _status,
            1 => _status >> 8,
            2 => _enable,
            3 => _enable >> 8,
            4 => _control | SciEnable,
            5 => _control >> 8,
            8 => _generalStatus,
            9 => _generalStatus >> 8,
            10 => _generalEnable,
            11 => _generalEnable >> 8,
            _ => NoRegister, // The reset register is for writing only.
        };
        _gate.Exit();
        return (byte)value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        bool off = false;
        bool sleeps = false;
        bool resets = false;
        _gate.Enter();
        Advance();
        ushort high = (ushort)(value << 8);
        switch (register)
        {
            case 0:
                _status &= (ushort)~value;
                break;
            case 1:
                _status &= (ushort)~high;
                break;
            case 2:
                _enable = (ushort)(((_enable & 0xff00) | value) & EnableBits);
                break;
            case 3:
                _enable = (ushort)(((_enable & 0x00ff) | high) & EnableBits);
                break;
            case 4:
                _control = (ushort)(((_control & 0xff00) | value) & ControlBits);
                break;
            case 5:
                _control = (ushort)(((_control & 0x00ff) | high) & ControlBits);
                int type = (_control >> 10) & 7;
                off = (high & SleepEnable) != 0 && type == _layout.SoftOffType;
                sleeps = (high & SleepEnable) != 0 && type == SuspendType && _canSuspend && _sleep == SleepState.Working;
                break;
            case 8:
                _generalStatus &= (ushort)~value;
                break;
            case 9:
                _generalStatus &= (ushort)~high;
                break;
            case 10:
                _generalEnable = (ushort)((_generalEnable & 0xff00) | value);
                break;
            case 11:
                _generalEnable = (ushort)((_generalEnable & 0x00ff) | high);
                break;
            default:
                resets = value == PowerLayout.ResetValue;
                break;
        }

        if (sleeps)
        {
            // An event that has come before wakes it at once.
            _sleep = SleepState.Suspended;
            TryWake((_status & _enable & PowerButtonStatus) != 0);
        }

        UpdateInterrupt();
        Schedule();
        _gate.Exit();
        if (off)
        {
            _events.PowerOff();
        }
        else if (sleeps)
        {
            _events.SleepChanged();
        }
        else if (resets)
        {
            _events.Reset();
        }
    }

    // WAK_STS says to the guest that it has slept (section 4.8.3.1.1).
    private bool TryWake(bool buttonPressed)
    {
        if (_sleep != SleepState.Suspended || (!buttonPressed && (_status & _enable & ClockStatus) == 0))
        {
            return false;
        }

        _sleep = SleepState.Waking;
        _status |= WakeStatus;
        return true;
    }

    private void UpdateInterrupt() => _sci.Set((_status & _enable & EnableBits) != 0 || (_generalStatus & _generalEnable) != 0);

    // TMR_STS is set whenever the top bit of the timer changes.
    private void Advance()
    {
        ulong turns = Ticks / HalfTurn;
        if (turns != _seenTurns)
        {
            _seenTurns = turns;
            _status |= TimerStatus;
        }
    }

    private void Schedule()
    {
        _deadline = 0;
        if (!_running || (_enable & ~_status & TimerStatus) == 0)
        {
            _timer.Cancel();
            return;
        }

        _deadline = _rate.ToNanoseconds(((Ticks / HalfTurn) + 1) * HalfTurn);
        _timer.Arm(_deadline);
    }
}
