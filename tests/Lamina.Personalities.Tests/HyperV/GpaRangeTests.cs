using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Pages that a packet names, where RAM that was added lies behind other RAM.</summary>
public sealed class GpaRangeTests : IDisposable
{
    private const int PageSize = 4096;
    private const ulong Start = 0x1_0000_0000;

    // Two regions that follow each other, as those of the start and of what is added do.
    private readonly byte[] _ram = GC.AllocateArray<byte>(9 * PageSize, pinned: true);
    private readonly GuestMemory _memory;
    private readonly nint _host;

    public GpaRangeTests()
    {
        _host = (Marshal.UnsafeAddrOfPinnedArrayElement(_ram, 0) + PageSize - 1) & ~(nint)(PageSize - 1);
        _memory = new GuestMemory([new GuestMemoryRegion(Start, 4 * PageSize, _host), new GuestMemoryRegion(Start + (4 * PageSize), 4 * PageSize, _host + (4 * PageSize))]);
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void APieceThatLiesInTwoRegionsIsTakenInTwo()
    {
        GuestBuffer[] pieces = new GuestBuffer[8];
        Assert.True(TryCollect(pieces, out int count, (Start + (2 * PageSize) + 512, 3 * PageSize)), "Every page of it is RAM.");
        Assert.Equal(
            [(Start + (2 * PageSize) + 512, (2 * PageSize) - 512), (Start + (4 * PageSize), PageSize + 512)],
            pieces[..count].Select(static p => (p.Address, (int)p.Length)));
        Assert.All(pieces[..count], p => Assert.Equal(_host + (nint)(p.Address - Start), p.HostAddress));

        // In one region it is one piece.
        Assert.True(TryCollect(pieces, out count, (Start, 4 * PageSize)));
        Assert.Equal((1, 4 * PageSize), (count, (int)pieces[0].Length));
    }

    [Fact]
    public void WhatIsNotAllRamOrTooManyPiecesIsRefused()
    {
        Assert.False(TryCollect(new GuestBuffer[8], out _, (Start + (7 * PageSize), 2 * PageSize)));
        Assert.False(TryCollect(new GuestBuffer[1], out _, (Start + (2 * PageSize), 4 * PageSize)));
        Assert.False(TryCollect(new GuestBuffer[1], out _, (Start, PageSize), (Start + (2 * PageSize), PageSize)));
    }

    private bool TryCollect(GuestBuffer[] pieces, out int count, params (ulong Address, int Length)[] ranges)
    {
        byte[] header = VmBusGuest.Ranges(ranges);
        byte[] bytes = [9, 0, (byte)((16 + header.Length) / 8), 0, (byte)((16 + header.Length) / 8), 0, 0, 0, .. new byte[8], .. header];
        Assert.True(VmBusPacket.TryParse(bytes, out VmBusPacket packet));
        count = 0;
        return GpaRange.TryCollect(_memory, packet, uint.MaxValue, pieces, ref count);
    }
}
