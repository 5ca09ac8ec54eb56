namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>The I/O APIC.</summary>
public sealed class IoApicTests
{
    private const ulong Level = 0x8000;
    private const ulong ActiveLow = 0x2000;
    private const ulong RemoteRequest = 0x4000;
    private const ulong Masked = 0x1_0000;

    private readonly TestBoard _board = new(4);

    public IoApicTests() => _board.EnableApics();

    [Fact]
    public void VersionAndIdentifierAreAsTheDatasheetSays()
    {
        _board.Store(0xfec0_0000, 1);
        Assert.Equal(0x0017_0020UL, _board.Load(0xfec0_0010));
        _board.Store(0xfec0_0000, 0);
        _board.Store(0xfec0_0010, 0xffff_ffff);
        Assert.Equal(0x0f00_0000UL, _board.Load(0xfec0_0010));
        Assert.Equal(Masked, _board.Redirection(5));
    }

    [Fact]
    public void ReadOnlyBitsOfAnEntryStayAsTheyAre()
    {
        _board.Redirect(3, 0xffff_ffff_ffff_ffff & ~Masked & ~(0x700UL) & ~Level);
        Assert.Equal(0xff00_0000_0000_28ffUL, _board.Redirection(3));
    }

    [Fact]
    public void AnEdgeIsDeliveredOnceAndLostWhileMasked()
    {
        _board.Redirect(4, 0x41);
        _board.Router.SetLine(4, true);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
        _board.Router.SetLine(4, false);
        _board.Redirect(4, 0x41 | Masked);
        _board.Router.SetLine(4, true);
        _board.Redirect(4, 0x41);
        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void LineZeroIsInputTwo()
    {
        _board.Redirect(0, 0x40);
        _board.Redirect(2, 0x42);
        _board.Router.SetLine(0, true);
        Assert.Equal((byte)0x42, _board.Acknowledge());
    }

    [Fact]
    public void ALevelWaitsForItsEndAndComesAgainWhileAsserted()
    {
        _board.Redirect(17, 0x51 | Level | ActiveLow);
        _board.Router.SetLine(17, true);
        Assert.Equal((byte)0x51, _board.Acknowledge());
        Assert.NotEqual(0UL, _board.Redirection(17) & RemoteRequest);
        Assert.NotEqual(0u, _board.Apic(0, 0x180 + (0x10 * (0x51 / 32))) & (1u << (0x51 % 32)));
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x51, _board.Acknowledge());
        _board.Router.SetLine(17, false);
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
        Assert.Equal(0UL, _board.Redirection(17) & RemoteRequest);
    }

    [Fact]
    public void TheEndOfInterruptRegisterEndsALevelWhenTheBroadcastIsSuppressed()
    {
        _board.Apic(0, 0xf0, 0x11ff);
        _board.Redirect(17, 0x51 | Level | ActiveLow);
        _board.Router.SetLine(17, true);
        Assert.Equal((byte)0x51, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.NotEqual(0UL, _board.Redirection(17) & RemoteRequest);
        _board.Router.SetLine(17, false);
        _board.Store(0xfec0_0040, 0x51);
        Assert.Equal(0UL, _board.Redirection(17) & RemoteRequest);
    }

    [Fact]
    public void GoingToEdgeClearsTheRemoteRequest()
    {
        _board.Redirect(17, 0x51 | Level | ActiveLow);
        _board.Router.SetLine(17, true);
        _board.Redirect(17, 0x51 | ActiveLow | Masked);
        _board.Redirect(17, 0x51 | Level | ActiveLow | Masked);
        Assert.Equal(0UL, _board.Redirection(17) & RemoteRequest);
    }

    [Fact]
    public void PolarityOfThePciWiresIsLowAndOfTheIsaWiresHigh()
    {
        _board.Redirect(9, 0x49 | Level);
        Assert.Null(_board.Acknowledge());
        _board.Router.SetLine(9, true);
        Assert.Equal((byte)0x49, _board.Acknowledge());
        _board.Router.SetLine(9, false);
        _board.Apic(0, 0xb0, 0);
        _board.Redirect(20, 0x54 | Level); // The wrong polarity: idle looks active.
        Assert.Equal((byte)0x54, _board.Acknowledge());
    }

    [Theory]
    [InlineData(0x0000_0000_0000_0041UL, 0b0001)] // Physical 0.
    [InlineData(0x0200_0000_0000_0041UL, 0b0100)] // Physical 2.
    [InlineData(0xff00_0000_0000_0041UL, 0b1111)] // Physical, all.
    [InlineData(0x0a00_0000_0000_0841UL, 0b1010)] // Logical flat.
    public void DestinationsAreHonoured(ulong entry, int expected)
    {
        for (int i = 0; i < 4; i++)
        {
            _board.Apic(i, 0xd0, 1u << (24 + i));
        }

        _board.Redirect(4, entry);
        _board.Router.SetLine(4, true);
        int taken = 0;
        for (int i = 0; i < 4; i++)
        {
            taken |= _board.Acknowledge(i) == 0x41 ? 1 << i : 0;
        }

        Assert.Equal(expected, taken);
    }

    [Fact]
    public void LowestPriorityGoesToTheLeastBusyOfTheSet()
    {
        for (int i = 0; i < 4; i++)
        {
            _board.Apic(i, 0xd0, 1u << (24 + i));
            _board.Apic(i, 0x80, (uint)(0x80 - (0x10 * i)));
        }

        _board.Redirect(4, 0x0700_0000_0000_09a1); // Processors 0 to 2.
        _board.Router.SetLine(4, true);
        Assert.Equal([null, null, (byte?)0xa1, null], Enumerable.Range(0, 4).Select(i => _board.Acknowledge(i)));
    }

    [Fact]
    public void OtherDeliveryModesSignalTheProcessor()
    {
        _board.Redirect(4, 0x0100_0000_0000_0400);
        _board.Router.SetLine(4, true);
        _board.Redirect(5, 0x0100_0000_0000_0200);
        _board.Router.SetLine(5, true);
        _board.Redirect(6, 0x0100_0000_0000_0500);
        _board.Router.SetLine(6, true);
        Assert.Equal((1, 1, 1), (_board.Processors[1].NonMaskable, _board.Processors[1].SystemManagement, _board.Processors[1].Inits));
    }

    [Fact]
    public void MessagesFromDevicesAreDelivered()
    {
        _board.Bus.Send(0xfee0_3000, 0x61);
        Assert.Equal((byte)0x61, _board.Acknowledge(3));
        _board.Bus.Send(0xfee0_3000, 0x0400);
        Assert.Equal(1, _board.Processors[3].NonMaskable);
        _board.Bus.Send(0xfed0_3000, 0x62);
        _board.Bus.Send(0xfee3_f000, 0x62);
        Assert.Null(_board.Acknowledge(3));
    }
}
