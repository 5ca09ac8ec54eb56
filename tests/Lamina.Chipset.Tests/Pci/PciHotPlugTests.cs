using Lamina.Chipset.Pci;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Pci;

namespace Lamina.Chipset.Tests.Pci;

/// <summary>Slots whose functions come and go, seen as the DSDT's methods see them.</summary>
public sealed class PciHotPlugTests : IRegisterWindow
{
    private const ulong Inserted = PcAddressMap.PciHotPlug;
    private const ulong Requested = PcAddressMap.PciHotPlug + 4;
    private const ulong Eject = PcAddressMap.PciHotPlug + 8;
    private const ulong Removable = PcAddressMap.PciHotPlug + 12;
    private const ulong EventStatus = PcAddressMap.GeneralPurposeEvent;
    private const ulong Identity = PcAddressMap.PciConfigurationWindow + (5 << 15);
    private readonly TestBoard _board = new(1);

    AccessResult IRegisterWindow.Read(ulong offset, Span<byte> data)
    {
        data.Fill(0x42);
        return AccessResult.Done;
    }

    AccessResult IRegisterWindow.Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;

    [Fact]
    public void AnInsertedFunctionRaisesTheEventAndIsShownOnce()
    {
        _board.Out(EventStatus + 2, 2);
        Assert.Equal(uint.MaxValue, _board.Load(Identity));
        _board.HotPlug.Insert(5, CreateFunction());
        Assert.Equal(2, _board.In(EventStatus));
        _board.Out(EventStatus, 2);
        Assert.Equal(0, _board.In(EventStatus));
        Assert.Equal(0x1041_1af4UL, _board.Load(Identity));
        Assert.Equal(1u << 5, _board.In(Inserted, 4));
        Assert.Equal(0u, _board.In(Inserted, 4));
        Assert.Equal(1u << 5, _board.In(Removable, 4));
    }

    [Fact]
    public void AnEjectedFunctionIsGoneWithItsRegisters()
    {
        _board.HotPlug.Insert(5, CreateFunction());
        _board.Store(Identity + 0x10, 0xd000_0000);
        _board.Store(Identity + 4, 2, 2);
        Assert.Equal(0x4242_4242UL, _board.Load(0xd000_0000));
        int mappings = _board.Mmio.Mappings.Length;
        _board.HotPlug.RequestRemoval(5);
        Assert.Equal(1u << 5, _board.In(Requested, 4));
        Assert.Equal(0u, _board.In(Requested, 4));
        Assert.Empty(_board.Events.Ejections);
        _board.Out(Eject, 1u << 5, 4);
        Assert.Equal([5], _board.Events.Ejections);
        Assert.Equal(uint.MaxValue, _board.Load(Identity));
        Assert.Equal(uint.MaxValue, _board.Load(0xd000_0000));
        Assert.Equal(mappings - 1, _board.Mmio.Mappings.Length);

        // Once, and what came into the slot since is another matter.
        _board.Out(Eject, 1u << 5, 4);
        Assert.Equal([5], _board.Events.Ejections);
        _board.HotPlug.Insert(5, CreateFunction());
        Assert.Equal(0x1041_1af4UL, _board.Load(Identity));
        _board.HotPlug.Reset();
        Assert.Equal([5], _board.Events.Ejections);
    }

    [Fact]
    public void AFunctionThatDrivesItsPinDoesNotDriveItAfterwards()
    {
        RecordingLines lines = new();
        PciBus bus = new(new CheckedLock(), _board.Ports, _board.Mmio, lines);
        PciFunction function = CreateFunction();
        bus.Attach(5, 0, function);
        function.SetInterrupt(true);
        int line = PcAddressMap.PciInterruptLine(5, 0);
        Assert.True(lines[line]);
        bus.Detach(5);
        Assert.False(lines[line]);
        function.SetInterrupt(true);
        Assert.False(lines[line]);
    }

    [Fact]
    public void TheGuestEjectsOnlyWhatMayGo()
    {
        _board.PciBus.Attach(5, 0, CreateFunction());
        _board.Out(Eject, uint.MaxValue, 4);
        Assert.Empty(_board.Events.Ejections);
        Assert.Equal(0x1041_1af4UL, _board.Load(Identity));
        Assert.Equal(0x0d57_8086UL, _board.Load(PcAddressMap.PciConfigurationWindow));
        _board.HotPlug.RequestRemoval(5);
        Assert.Equal(0u, _board.In(Requested, 4));
    }

    [Fact]
    public void WhatTheGuestDidNotGiveUpGoesWithTheReset()
    {
        _board.HotPlug.Insert(5, CreateFunction());
        _board.HotPlug.RequestRemoval(5);
        Assert.Equal(1u << 5, _board.In(Requested, 4));
        _board.HotPlug.Reset();
        Assert.Equal([5], _board.Events.Ejections);
        Assert.Equal(uint.MaxValue, _board.Load(Identity));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void TheRegistersAre32BitsWide(int width)
    {
        _board.HotPlug.Insert(5, CreateFunction());
        Assert.Equal(width == 1 ? 0xffu : 0xffff, _board.In(Inserted, width));
        _board.Out(Eject, uint.MaxValue, width);
        Assert.Empty(_board.Events.Ejections);
        Assert.Equal(1u << 5, _board.In(Inserted, 4));
    }

    private PciFunction CreateFunction()
    {
        PciFunction function = new(new CheckedLock(), new PciIdentity(0x1af4, 0x1041, 0x02_0000, 1, 0x1af4, 0x40, 1));
        function.AddBar(0, PciBarKind.Memory32, 0x1000, this, "registers");
        return function;
    }
}
