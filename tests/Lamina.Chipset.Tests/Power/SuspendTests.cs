using Lamina.Chipset.Power;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Power;

/// <summary>S3: what sends the machine to sleep, and what wakes it (ACPI 6.5, sections 4.8.3 and 16.1).</summary>
public sealed class SuspendTests
{
    private const ushort Status = 0x600;
    private const ushort Enable = 0x602;
    private const ushort Control = 0x604;
    private const uint Suspend = 0x2401; // SLP_EN with SLP_TYP 1.
    private const uint Button = 1 << 8;
    private const uint Clock = 1 << 10;
    private const uint Wake = 1 << 15;

    private readonly TestBoard _board = new(1);

    [Fact]
    public void TypeOneSuspendsAndTheButtonWakes()
    {
        _board.Out(Control, Suspend, 2);
        Assert.Equal(SleepState.Suspended, _board.Power.Sleep);
        Assert.Equal(1, _board.Events.SleepChanges);
        _board.Out(Control, Suspend, 2);
        Assert.Equal(1, _board.Events.SleepChanges);
        Assert.Equal(0u, _board.In(Status, 2));

        _board.Power.PressPowerButton();
        Assert.Equal(SleepState.Waking, _board.Power.Sleep);
        Assert.Equal(2, _board.Events.SleepChanges);
        Assert.Equal(Button | Wake, _board.In(Status, 2));
        _board.Power.PressPowerButton();
        Assert.Equal(2, _board.Events.SleepChanges);
        _board.Power.FinishWaking();
        Assert.Equal(SleepState.Working, _board.Power.Sleep);

        _board.Out(Status, Wake | Button, 2);
        Assert.Equal(0u, _board.In(Status, 2));
        _board.Power.PressPowerButton();
        Assert.Equal(Button, _board.In(Status, 2));
        Assert.Equal(0, _board.Events.PowerOffs);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheAlarmOfTheClockWakesWhereItIsEnabled(bool enabled)
    {
        _board.Power.Start();
        _board.Rtc.Start();
        _board.Out(Enable, enabled ? Clock : 0, 2);
        SetAlarmEverySecond();
        _board.Out(Control, Suspend, 2);
        Assert.Equal(SleepState.Suspended, _board.Power.Sleep);
        _board.Clock.Advance(1_500_000_000);
        Assert.Equal(enabled ? SleepState.Waking : SleepState.Suspended, _board.Power.Sleep);
        Assert.Equal(enabled ? Clock | Wake : Clock, _board.In(Status, 2));
    }

    [Fact]
    public void AnAlarmThatHasGoneOffBeforeWakesAtOnce()
    {
        _board.Power.Start();
        _board.Rtc.Start();
        _board.Out(Enable, Clock, 2);
        SetAlarmEverySecond();
        _board.Clock.Advance(1_500_000_000);
        Assert.Equal(Clock, _board.In(Status, 2));
        Assert.Equal(0, _board.Events.SleepChanges);
        _board.Out(Control, Suspend, 2);
        Assert.Equal(SleepState.Waking, _board.Power.Sleep);
        Assert.Equal(1, _board.Events.SleepChanges);
    }

    [Fact]
    public void AResetEndsTheSleep()
    {
        _board.Out(Control, Suspend, 2);
        _board.Power.Reset();
        Assert.Equal(SleepState.Working, _board.Power.Sleep);
    }

    [Fact]
    public void AMachineWithoutSleepIgnoresTheTypeAndASavedSleep()
    {
        RecordingEvents events = new();
        AcpiPowerManagement power = new("acpi-pm", _board.Clock, new CheckedLock(), new InterruptLine(_board.Router, 9), events, canSuspend: false, PowerLayout.Pc);
        IBytePorts ports = power;
        ports.WritePort(5, 0x24);
        Assert.Equal(SleepState.Working, power.Sleep);
        Assert.Equal(0, events.SleepChanges);

        _board.Out(Control, Suspend, 2);
        StateBag state = new();
        _board.Power.Save(state);
        Assert.False(power.Restore(state));
        Assert.Equal(SleepState.Working, power.Sleep);
    }

    [Fact]
    public void ASavedMachineSleepsOnAndOneOfBeforeWorks()
    {
        _board.Out(Control, Suspend, 2);
        StateBag state = new();
        _board.Power.Save(state);
        TestBoard other = new(1);
        Assert.True(other.Power.Restore(state));
        Assert.Equal(SleepState.Suspended, other.Power.Sleep);
        other.Power.PressPowerButton();
        Assert.Equal(SleepState.Waking, other.Power.Sleep);

        state.Integers.Remove(7);
        Assert.True(other.Power.Restore(state));
        Assert.Equal(SleepState.Working, other.Power.Sleep);
        state.Write(7, 3);
        Assert.False(other.Power.Restore(state));
    }

    private void SetAlarmEverySecond()
    {
        foreach ((uint register, uint value) in ((uint, uint)[])[(1, 0xff), (3, 0xff), (5, 0xff), (0x0b, 0x22)])
        {
            _board.Out(0x70, register);
            _board.Out(0x71, value);
        }
    }
}
