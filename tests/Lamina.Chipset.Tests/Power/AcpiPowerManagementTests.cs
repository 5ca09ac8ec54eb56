namespace Lamina.Chipset.Tests.Power;

/// <summary>ACPI fixed hardware, reset registers.</summary>
public sealed class AcpiPowerManagementTests
{
    private readonly TestBoard _board = new(1);

    [Fact]
    public void TheTimerCountsAtItsFrequency()
    {
        uint before = _board.In(0x608, 4);
        _board.Clock.Advance(1_000_000_000);
        Assert.InRange(_board.In(0x608, 4) - before, 3_579_544u, 3_579_546u);
        _board.Out(0x608, 0, 4);
        Assert.Equal((_board.In(0x608, 4) >> 8) & 0xff, _board.In(0x609));
    }

    [Fact]
    public void ThePowerButtonInterruptsUntilItsStatusIsCleared()
    {
        _board.EnableApics();
        _board.Redirect(9, 0x8049);
        _board.Power.PressPowerButton();
        Assert.Null(_board.Acknowledge());
        _board.Out(0x602, 0x0100, 2);
        Assert.Equal((byte)0x49, _board.Acknowledge());
        Assert.Equal(0x0100u, _board.In(0x600, 2));
        _board.Out(0x600, 0x0100, 2);
        Assert.Equal(0u, _board.In(0x600, 2));
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void TheTopBitOfTheTimerSetsItsStatus()
    {
        _board.EnableApics();
        _board.Redirect(9, 0x8049);
        _board.Out(0x602, 1, 2);
        _board.Clock.Advance(590_000_000_000);
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(20_000_000_000);
        Assert.Equal((byte)0x49, _board.Acknowledge());
        Assert.Equal(1u, _board.In(0x600, 2) & 1);
    }

    [Fact]
    public void AcpiModeIsAlwaysOnAndOnlyTypeFiveSwitchesOff()
    {
        Assert.Equal(1u, _board.In(0x604, 2) & 1);
        _board.Out(0x604, 0x2801, 2); // Type 2.
        Assert.Equal(0, _board.Events.PowerOffs);
        _board.Out(0x604, 0x1401, 2); // Type 5, not yet enabled.
        Assert.Equal(0, _board.Events.PowerOffs);
        Assert.Equal(0x1401u, _board.In(0x604, 2));
        _board.Out(0x604, 0x3401, 2);
        Assert.Equal(1, _board.Events.PowerOffs);
        Assert.Equal(0u, _board.In(0x604, 2) & 0x2000);
    }

    [Fact]
    public void GeneralPurposeEventsHaveStatusAndEnable()
    {
        _board.Out(0x622, 0xffff, 2);
        Assert.Equal(0xffff_0000u, _board.In(0x620, 4));
    }

    [Fact]
    public void EveryWayToResetTheMachineWorks()
    {
        _board.Out(0xcf9, 0x02);
        Assert.Equal(0, _board.Events.Resets);
        Assert.Equal(0x02, _board.In(0xcf9));
        _board.Out(0xcf9, 0x06);
        Assert.Equal(1, _board.Events.Resets);
        _board.Out(0x92, 0x02);
        Assert.Equal(1, _board.Events.Resets);
        _board.Out(0x92, 0x03);
        Assert.Equal(2, _board.Events.Resets);
        _board.Out(0x64, 0xfe);
        Assert.Equal(3, _board.Events.Resets);
    }

    [Fact]
    public void DiagnosticsPortsReport()
    {
        Assert.Equal(3, _board.In(0x505));
        _board.Out(0x505, 0xf8);
        Assert.Equal(Chipset.Diagnostics.PanicEvents.None, _board.Events.Panics);
        _board.Out(0x505, 0x01);
        Assert.Equal(Chipset.Diagnostics.PanicEvents.Panicked, _board.Events.Panics);
        _board.Out(0xf4, 0x1234_5678, 4);
        Assert.Equal(0x1234_5678u, _board.Events.ExitValue);
        _board.Out(0x80, 0x5a);
        Assert.Equal(0x5a, _board.In(0x80));
    }
}
