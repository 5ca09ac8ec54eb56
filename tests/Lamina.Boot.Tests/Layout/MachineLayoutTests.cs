using Lamina.Boot.Layout;
using Lamina.Machine.Memory;

namespace Lamina.Boot.Tests.Layout;

public sealed class MachineLayoutTests
{
    private const ulong Gibibyte = 1UL << 30;
    private static readonly nint Host = unchecked((nint)0x7000_0000_0000);

    [Theory]
    [InlineData(4UL << 20, 4UL << 20, 0UL)]
    [InlineData(Gibibyte / 2, Gibibyte / 2, 0UL)]
    [InlineData(0xb000_0000UL, 0xb000_0000UL, 0UL)]
    [InlineData(0xb010_0000UL, 0xb000_0000UL, 1UL << 20)]
    [InlineData(8 * Gibibyte, 0xb000_0000UL, 8 * Gibibyte - 0xb000_0000UL)]
    public void RamGoesAroundTheHoles(ulong size, ulong lowEnd, ulong upperLength)
    {
        MachineLayout layout = new(size);
        Assert.Equal((lowEnd, upperLength), (layout.LowMemoryEnd, layout.UpperMemoryLength));
        GuestMemoryRegion[] regions = layout.CreateRegions(Host);
        Assert.Equal(size - 0x2_0000, regions.Aggregate(0UL, (sum, r) => sum + r.Length));
        Assert.All(regions, r => Assert.True(r.HostAddress >= Host && (ulong)(r.HostAddress - Host) + r.Length <= size));
        Assert.Equal(Host + 0xc_0000, regions[1].HostAddress);
        Assert.DoesNotContain(regions, r => r.Address < 0xc_0000 && r.End > 0xa_0000);
        Assert.DoesNotContain(regions, r => r.Address < 1UL << 32 && r.End > 0xb000_0000);
    }

    [Theory]
    [InlineData(4UL << 20)]
    [InlineData(8 * Gibibyte)]
    public void TheMapIsSortedAndWhatItCallsUsableIsRam(ulong size)
    {
        MachineLayout layout = new(size);
        GuestMemoryRegion[] regions = layout.CreateRegions(0x1000_0000);
        ulong end = 0;
        foreach (MemoryRange range in layout.MemoryMap)
        {
            Assert.True(range.Address >= end && range.Length > 0);
            end = range.End;
            if (range.Type == MemoryRangeType.Usable)
            {
                Assert.Contains(regions, r => r.Address <= range.Address && r.End >= range.End);
            }
        }

        MemoryRange window = new(0xb000_0000, 0x1000_0000, MemoryRangeType.Reserved);
        Assert.Contains(window, layout.MemoryMap);
        Assert.Equal(layout.MemoryMap.Where(r => r != window), new MachineLayout(size, hasConfigurationWindow: false).MemoryMap);
    }

    [Theory]
    [InlineData(Gibibyte / 2, 4 * Gibibyte)]
    [InlineData(0xb000_0000UL, 4 * Gibibyte)]
    [InlineData(0xb010_0000UL, (4 * Gibibyte) + (128UL << 20))]
    [InlineData((4 * Gibibyte) + (1 << 20), (4 * Gibibyte) + (1408UL << 20))]
    public void WhatMayBeAddedLiesBehindAllAndTheGuestIsNotTold(ulong size, ulong start)
    {
        MachineLayout layout = new(size, 256 << 20);
        Assert.Equal((start, start + (256 << 20)), (layout.HotAddStart, layout.End));
        GuestMemoryRegion[] regions = layout.CreateRegions(Host);
        Assert.Equal(new GuestMemoryRegion(start, 256 << 20, unchecked(Host + (nint)size)), regions[^1]);
        Assert.Equal(new MachineLayout(size).CreateRegions(Host), regions[..^1]);
        Assert.Equal(new MachineLayout(size).MemoryMap, layout.MemoryMap);
        Assert.Throws<ArgumentOutOfRangeException>(() => new MachineLayout(size, 64 << 20));
    }

    [Theory]
    [InlineData(Gibibyte / 2)]
    [InlineData(4 * Gibibyte)]
    public void AScreensMemoryIsRamThatTheGuestIsNotToldOf(ulong size)
    {
        MachineLayout layout = new(size, 0, 4 << 20);
        MachineLayout other = new(size);
        Assert.Equal(other.LowMemoryEnd, layout.LowMemoryEnd + (4 << 20));
        Assert.Equal(other.CreateRegions(Host), layout.CreateRegions(Host));
        Assert.DoesNotContain(layout.MemoryMap, r => r.Address < other.LowMemoryEnd && r.End > layout.LowMemoryEnd);
        Assert.Throws<ArgumentOutOfRangeException>(() => new MachineLayout(5 << 20, 0, 4 << 20));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL << 20)]
    [InlineData((4UL << 20) + 4096)]
    public void OddSizesAreRefused(ulong size) => Assert.Throws<ArgumentOutOfRangeException>(() => new MachineLayout(size));
}
