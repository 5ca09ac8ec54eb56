using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Pci;

namespace Lamina.Chipset.Tests.Pci;

/// <summary>Configuration mechanisms, base address registers, INTx and MSI-X.</summary>
public sealed class PciTests : IRegisterWindow, IBusMasterTarget
{
    private readonly TestBoard _board = new(1);
    private readonly PciFunction _function;
    private readonly MsixTable _msix;
    private int _masters;

    public PciTests()
    {
        _function = new PciFunction(new CheckedLock(), new PciIdentity(0x1af4, 0x1041, 0x02_0000, 1, 0x1af4, 0x40, 1));
        _msix = new MsixTable(new CheckedLock(), _board.Bus, 3);
        _function.AddBar(0, PciBarKind.Io, 32, this, "test ports");
        _function.AddMsix(1, _msix, "test msix");
        _function.AddBar(4, PciBarKind.PrefetchableMemory64, 0x4000, this, "test memory");
        _function.MasterTarget = this;
        _board.PciBus.Attach(3, 0, _function);
    }

    void IBusMasterTarget.OnBusMaster() => _masters += _function.IsBusMaster ? 1 : 100;

    AccessResult IRegisterWindow.Read(ulong offset, Span<byte> data)
    {
        data.Fill((byte)(0x40 + offset));
        return AccessResult.Done;
    }

    AccessResult IRegisterWindow.Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;

    [Fact]
    public void MechanismOneIsDetectedAsDriversDo()
    {
        _board.Out(0xcfb, 0x01);
        _board.Out(0xcf8, 0x8000_0000, 4);
        Assert.Equal(0x8000_0000u, _board.In(0xcf8, 4));
        Assert.Equal(0x0d57_8086u, _board.In(0xcfc, 4));
        Assert.Equal(0x8086u, _board.In(0xcfc, 2));
        Assert.Equal(0x0d, _board.In(0xcff));
        _board.Out(0xcf8, 0x8000_0008, 4);
        Assert.Equal(0x0600_0000u, _board.In(0xcfc, 4));
        _board.Out(0xcf8, 0x8000_0800, 4);
        Assert.Equal(uint.MaxValue, _board.In(0xcfc, 4));
        _board.Out(0xcf8, 0x0000_0000, 4);
        Assert.Equal(uint.MaxValue, _board.In(0xcfc, 4));
    }

    [Fact]
    public void TheConfigurationWindowShowsTheSame()
    {
        Assert.Equal(0x0d57_8086UL, _board.Load(0xb000_0000));
        Assert.Equal(0x1041_1af4UL, _board.Load(0xb001_8000));
        Assert.Equal(0x1041UL, _board.Load(0xb001_8002, 2));
        Assert.Equal(uint.MaxValue, _board.Load(0xb001_8100));
        Assert.Equal(uint.MaxValue, _board.Load(0xb010_0000));
        _board.Out(0xcf8, 0x8000_1804, 4);
        _board.Out(0xcfc, 0xffff, 2);
        Assert.Equal(0x0547UL, _board.Load(0xb001_8004, 2));
        Assert.Equal(uint.MaxValue, _board.Load(0xb001_8ffe)); // Leaves the function.
    }

    [Fact]
    public void BarsAreSizedByWritingOnes()
    {
        Assert.Equal(0x0000_0001UL, Bar(0));
        Bar(0, 0xffff_ffff);
        Bar(1, 0xffff_ffff);
        Bar(4, 0xffff_ffff);
        Bar(5, 0xffff_ffff);
        Bar(2, 0xffff_ffff);
        Assert.Equal((0xffff_ffe1UL, 0xffff_f000UL, 0xffff_c00cUL, 0xffff_ffffUL, 0UL), (Bar(0), Bar(1), Bar(4), Bar(5), Bar(2)));
    }

    [Fact]
    public void BarsMoveAndAppearWithTheirCommandBits()
    {
        Bar(0, 0xc000);
        Bar(4, 0x1000_0000);
        Bar(5, 0x10);
        Assert.Equal(0xff, _board.In(0xc001));
        Command(1);
        Assert.Equal(0x41, _board.In(0xc001));
        Assert.Equal(uint.MaxValue, _board.Load(0x10_1000_0000));
        Command(3);
        Assert.Equal(0x4444_4444UL, _board.Load(0x10_1000_0004));
        Bar(5, 0x11);
        Assert.Equal(uint.MaxValue, _board.Load(0x10_1000_0004));
        Assert.Equal(0x4444_4444UL, _board.Load(0x11_1000_0004));
        Bar(0, 0xd000);
        Assert.Equal((0xff, 0x41), (_board.In(0xc001), _board.In(0xd001)));
        _function.Reset();
        Assert.Equal(0xff, _board.In(0xd001));
        Assert.False(_function.IsBusMaster);
    }

    [Fact]
    public void ADeviceIsToldWhenItMayTouchMemoryAgain()
    {
        Command(3);
        Assert.Equal(0, _masters);
        Command(7);
        Command(6);
        Assert.Equal(1, _masters);
        Command(3);
        Command(4);
        Assert.Equal(2, _masters);
    }

    [Fact]
    public void AddressesOutsideTheSpaceDisableTheRange()
    {
        Command(3);
        Bar(0, 0xffff_ffff);
        Bar(4, 0xffff_ffff);
        Bar(5, 0xffff_ffff);
        Bar(0, 0xc000);
        Assert.Equal(0x40, _board.In(0xc000));
    }

    [Fact]
    public void CapabilitiesAreChained()
    {
        Assert.Equal(0x0010UL, _board.Load(0xb001_8006, 2));
        ulong offset = _board.Load(0xb001_8034, 1);
        Assert.Equal(0x11UL, _board.Load(0xb001_8000 + offset, 1));
        Assert.Equal(0UL, _board.Load(0xb001_8001 + offset, 1));
        Assert.Equal(2UL, _board.Load(0xb001_8002 + offset, 2)); // Three vectors.
        Assert.Equal(1UL, _board.Load(0xb001_8004 + offset));
        Assert.Equal(0x31UL, _board.Load(0xb001_8008 + offset));
    }

    [Fact]
    public void InterruptPinsShareALineAndCanBeTurnedOff()
    {
        _board.EnableApics();
        _board.Redirect(19, 0xa053); // Level, active low.
        PciFunction other = new(new CheckedLock(), new PciIdentity(1, 2, 0, InterruptPin: 1));
        _board.PciBus.Attach(11, 0, other); // (11 + 0) and (3 + 0) are the same line.
        _function.SetInterrupt(true);
        Assert.Equal((byte)0x53, _board.Acknowledge());
        other.SetInterrupt(true);
        _function.SetInterrupt(false);
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x53, _board.Acknowledge());
        _board.Store(0xb005_8004, 0x0400, 2); // INTx disable.
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
        Assert.Equal(0x08UL, _board.Load(0xb005_8006, 1));
    }

    [Fact]
    public void MsixSendsMasksAndRemembers()
    {
        _board.EnableApics();
        Bar(1, 0xd000_0000);
        Command(6);
        _msix.Raise(0);
        ulong control = 0xb001_8002 + _board.Load(0xb001_8034, 1);
        _board.Store(control, 0x8000, 2);
        Assert.True(_msix.IsEnabled);
        Assert.Null(_board.Acknowledge()); // What was raised while off is gone.
        _board.Store(0xd000_0010, 0xfee0_0000);
        _board.Store(0xd000_0018, 0x61);
        _msix.Raise(1);
        Assert.Null(_board.Acknowledge());
        Assert.Equal(2UL, _board.Load(0xd000_0030, 8));
        _board.Store(0xd000_001c, 0);
        Assert.Equal((byte)0x61, _board.Acknowledge());
        Assert.Equal(0UL, _board.Load(0xd000_0030, 8));
        _board.Apic(0, 0xb0, 0);
        _board.Store(control, 0xc000, 2);
        _msix.Raise(1);
        Assert.Null(_board.Acknowledge());
        _board.Store(control, 0x8000, 2);
        Assert.Equal((byte)0x61, _board.Acknowledge());
        _msix.Raise(-1);
        _msix.Raise(3);
    }

    [Fact]
    public void AMessageThatTheHypervisorMasksIsSentWhateverItsVectorSays()
    {
        MaskingSink sink = new();
        MsixTable table = new(new CheckedLock(), sink, 2);
        PciFunction function = new(new CheckedLock(), new PciIdentity(0x1af4, 0x1041, 0x02_0000, 1, 0x1af4, 0x40, 1));
        function.AddMsix(1, table, "masked msix");
        _board.PciBus.Attach(4, 0, function);
        ulong control = 0xb002_0002 + _board.Load(0xb002_0034, 1);
        _board.Store(control, 0x8000, 2);
        table.Write(0, [0, 0, 0xe0, 0xfe, 0, 0, 0, 0]);
        table.Write(8, [0, 0x43, 0, 0]);
        table.Write(16, [0, 0, 0xe0, 0xfe, 0, 0, 0, 0]);
        table.Write(24, [0x41, 0, 0, 0]);
        table.Raise(0);
        table.Raise(1);
        Assert.Equal([(0xfee0_0000UL, 0x4300u)], sink.Sent);

        // The function's own mask holds for all.
        _board.Store(control, 0xc000, 2);
        table.Raise(0);
        Assert.Single(sink.Sent);
        _board.Store(control, 0x8000, 2);
        Assert.Equal(2, sink.Sent.Count);
    }

    [Fact]
    public void StateComesBackAndIsValidated()
    {
        Bar(0, 0xc000);
        Command(1);
        _function.SetInterrupt(true);
        StateBag saved = new();
        _function.Save(saved, 1);
        _function.Reset();
        Assert.Equal(0xff, _board.In(0xc001));
        Assert.True(_function.Restore(saved, 1));
        Assert.Equal(0x41, _board.In(0xc001));
        StateBag again = new();
        _function.Save(again, 1);
        Assert.Equal(saved.Describe(), again.Describe());
        Array.Fill(saved.Bytes[1], (byte)0xff);
        Assert.True(_function.Restore(saved, 1));
        Assert.Equal(0x1041_1af4UL, _board.Load(0xb001_8000)); // A state cannot change what the device is.
    }

    private ulong Bar(int index) => _board.Load(0xb001_8010 + (ulong)(index * 4));

    private void Bar(int index, uint value) => _board.Store(0xb001_8010 + (ulong)(index * 4), value);

    private void Command(ushort value) => _board.Store(0xb001_8004, value, 2);

    // Of a hypervisor that has another way to mask messages without a vector.
    private sealed class MaskingSink : IMessageInterruptSink
    {
        public List<(ulong Address, uint Data)> Sent { get; } = [];

        public void Send(ulong address, uint data) => Sent.Add((address, data));

        public bool IgnoresMask(ulong address, uint data) => (data & 0xff) == 0;
    }
}
