namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>The 8259 pair, acknowledged by a processor whose local APIC is in virtual wire mode.</summary>
public sealed class PicPairTests
{
    private readonly TestBoard _board = new(1);

    public PicPairTests()
    {
        _board.Apics[0].EnterVirtualWireMode();
        _board.InitializePics(mask: 0x0000);
    }

    [Fact]
    public void AnEdgeReachesTheProcessorOnceWithItsVector()
    {
        _board.Router.SetLine(4, true);
        Assert.True(_board.Apics[0].HasInterrupt);
        Assert.True(_board.Processors[0].Interrupts > 0);
        Assert.Equal((byte)0x34, _board.Acknowledge());
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Out(0x20, 0x20);
        Assert.False(_board.Apics[0].HasInterrupt);
    }

    [Fact]
    public void TheSecondaryAnswersThroughTheCascade()
    {
        _board.Router.SetLine(12, true);
        Assert.Equal((byte)0x3c, _board.Acknowledge());
        _board.Out(0x20, 0x0b);
        _board.Out(0xa0, 0x0b);
        Assert.Equal(0x04, _board.In(0x20));
        Assert.Equal(0x10, _board.In(0xa0));
        _board.Router.SetLine(9, true);
        Assert.False(_board.Apics[0].HasInterrupt); // The primary is not specially nested: its input 2 is in service.
        _board.Out(0xa0, 0x20);
        _board.Out(0x20, 0x62);
        Assert.Equal((byte)0x39, _board.Acknowledge());
    }

    [Fact]
    public void SpecialFullyNestedModeLetsTheSecondaryInterruptItself()
    {
        _board.InitializePics(0, icw4: 0x11);
        _board.Router.SetLine(12, true);
        Assert.Equal((byte)0x3c, _board.Acknowledge());
        _board.Router.SetLine(9, true);
        Assert.Equal((byte)0x39, _board.Acknowledge());
        _board.Router.SetLine(3, true);
        Assert.False(_board.Apics[0].HasInterrupt); // Lower than the cascade.
    }

    [Fact]
    public void PriorityIsByNumberAndServiceBlocksLowerOnes()
    {
        _board.Router.SetLine(5, true);
        _board.Router.SetLine(1, true);
        Assert.Equal((byte)0x31, _board.Acknowledge());
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Router.SetLine(0, true);
        Assert.Equal((byte)0x30, _board.Acknowledge());
        _board.Out(0x20, 0x20); // Ends 0.
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Out(0x20, 0x20); // Ends 1.
        Assert.Equal((byte)0x35, _board.Acknowledge());
    }

    [Fact]
    public void RotationMakesTheServedInputLowest()
    {
        _board.Router.SetLine(3, true);
        Assert.Equal((byte)0x33, _board.Acknowledge());
        _board.Out(0x20, 0xa0); // Rotate on non-specific end.
        _board.Router.SetLine(3, false);
        _board.Router.SetLine(3, true);
        _board.Router.SetLine(4, true);
        Assert.Equal((byte)0x34, _board.Acknowledge());
        _board.Out(0x20, 0xc7); // Set priority: 7 is lowest, as at first.
        _board.Out(0x20, 0x64);
        Assert.Equal((byte)0x33, _board.Acknowledge());
    }

    [Fact]
    public void SpecialMaskModeAdmitsLowerPriorities()
    {
        _board.Router.SetLine(1, true);
        Assert.Equal((byte)0x31, _board.Acknowledge());
        _board.Router.SetLine(6, true);
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Out(0x21, 0x02);
        _board.Out(0x20, 0x68);
        Assert.Equal((byte)0x36, _board.Acknowledge());
    }

    [Fact]
    public void AutomaticEndLeavesNothingInService()
    {
        _board.InitializePics(0, icw4: 0x03);
        _board.Router.SetLine(7, true);
        Assert.Equal((byte)0x37, _board.Acknowledge());
        _board.Out(0x20, 0x0b);
        Assert.Equal(0, _board.In(0x20));
    }

    [Fact]
    public void ARequestThatVanishesIsSpuriousAndNotInService()
    {
        _board.Out(0x4d0, 0x20); // Input 5 is a level.
        _board.Router.SetLine(5, true);
        Assert.True(_board.Apics[0].HasInterrupt);
        _board.Router.SetLine(5, false);
        Assert.False(_board.Apics[0].HasInterrupt);

        _board.Out(0x4d1, 0x04); // Input 10 is a level, and goes while the primary still has the edge of the cascade.
        _board.Router.SetLine(10, true);
        _board.Router.SetLine(10, false);
        Assert.Equal((byte)0x3f, _board.Acknowledge());
        _board.Out(0xa0, 0x0b);
        Assert.Equal(0, _board.In(0xa0));
    }

    [Fact]
    public void ALevelComesBackAfterItsEndWhileAsserted()
    {
        _board.Out(0x4d1, 0x02);
        _board.Router.SetLine(9, true);
        Assert.Equal((byte)0x39, _board.Acknowledge());
        _board.Out(0xa0, 0x61);
        _board.Out(0x20, 0x62);
        Assert.Equal((byte)0x39, _board.Acknowledge());
        _board.Router.SetLine(9, false);
        _board.Out(0xa0, 0x61);
        _board.Out(0x20, 0x62);
        Assert.False(_board.Apics[0].HasInterrupt);
    }

    [Fact]
    public void TheEdgeLevelRegisterKeepsSystemInputsEdges()
    {
        _board.Out(0x4d0, 0xffff, 2);
        Assert.Equal(0xdef8u, _board.In(0x4d0, 2));
    }

    [Fact]
    public void APollAcknowledges()
    {
        _board.Router.SetLine(6, true);
        _board.Out(0x20, 0x0c);
        Assert.Equal(0x86, _board.In(0x20));
        _board.Out(0x20, 0x0b);
        Assert.Equal(0x40, _board.In(0x20));
        _board.Out(0x20, 0x0c);
        Assert.Equal(0x00, _board.In(0x20));
    }

    [Fact]
    public void MasksReadBackAndHoldRequests()
    {
        _board.Out(0x21, 0xfb);
        _board.Out(0xa1, 0xff);
        Assert.Equal(0xfb, _board.In(0x21));
        _board.Router.SetLine(4, true);
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Out(0x21, 0x00);
        Assert.Equal((byte)0x34, _board.Acknowledge());
    }

    [Fact]
    public void TheOutputReachesInputZeroOfTheIoApicAsExtInt()
    {
        _board.Apic(0, 0x350, 0x1_0700); // LINT0 is closed.
        _board.Redirect(0, 0x0000_0000_0000_0700);
        _board.Router.SetLine(4, true);
        Assert.Equal((byte)0x34, _board.Acknowledge());
    }
}
