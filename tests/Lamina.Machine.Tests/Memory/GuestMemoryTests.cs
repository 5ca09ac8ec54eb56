using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Machine.Tests.Memory;

public sealed unsafe class GuestMemoryTests : IDisposable
{
    private const ulong High = 1UL << 32;
    private readonly byte* _host = (byte*)NativeMemory.AlignedAlloc(0x4000, 4096);
    private readonly GuestMemory _memory;

    public GuestMemoryTests()
    {
        new Span<byte>(_host, 0x4000).Clear();
        _memory = new GuestMemory([new(High, 0x1000, (nint)_host + 0x3000), new(0, 0x2000, (nint)_host), new(0x2000, 0x1000, (nint)_host + 0x2000)]);
    }

    public void Dispose()
    {
        _memory.Dispose();
        NativeMemory.AlignedFree(_host);
    }

    [Fact]
    public void RegionsAreSortedAndCounted()
    {
        Assert.Equal(0x4000UL, _memory.Size);
        Assert.Equal([0UL, 0x2000UL, High], _memory.Regions.ToArray().Select(r => r.Address));
        Assert.Equal(0x2000UL, _memory.Regions[0].End);
    }

    [Fact]
    public void ARangeOverTwoRegionsIsFoundInParts()
    {
        Assert.Equal(1, _memory.Seams);
        GuestBuffer[] buffers = new GuestBuffer[2];
        int count = 0;
        Assert.True(GuestBuffers.TryAdd(_memory, buffers, ref count, 0x1800, 0x1000));
        Assert.Equal([new GuestBuffer(0x1800, (nint)_host + 0x1800, 0x800), new GuestBuffer(0x2000, (nint)_host + 0x2000, 0x800)], buffers);
        count = 0;
        Assert.True(GuestBuffers.TryAdd(_memory, buffers, ref count, 0x2000, 0x1000));
        Assert.Equal((1, new GuestBuffer(0x2000, (nint)_host + 0x2000, 0x1000)), (count, buffers[0]));

        // No room, more than there is, nothing there, and beyond all addresses.
        Assert.False(GuestBuffers.TryAdd(_memory, buffers, ref count, 0x1800, 0x1000));
        foreach ((ulong address, uint length) in new[] { (0x1800UL, 0x1801u), (0x3000UL, 1u), (High + 0x800, 0x801u), (ulong.MaxValue, 2u) })
        {
            count = 0;
            Assert.False(GuestBuffers.TryAdd(_memory, buffers, ref count, address, length));
        }
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x1ffcUL)]
    [InlineData(0x2000UL)]
    [InlineData(High + 0xffc)]
    public void ValuesComeBack(ulong address)
    {
        Assert.True(_memory.TryWrite(address, 0x1234_5678u));
        Assert.True(_memory.TryRead(address, out uint value));
        Assert.Equal(0x1234_5678u, value);
        Assert.True(_memory.TryWrite(address, "wxyz"u8));
        byte[] bytes = new byte[4];
        Assert.True(_memory.TryRead(address, bytes));
        Assert.Equal("wxyz"u8, bytes);
        Assert.NotEqual(0, _memory.GetHostAddress(address, 4));
    }

    [Theory]
    [InlineData(0x1ffdUL)]
    [InlineData(0x2ffdUL)]
    [InlineData(0x3000UL)]
    [InlineData(High - 1)]
    [InlineData(High + 0xffd)]
    [InlineData(High + 0x1000)]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 3)]
    public void WhatLeavesItsRegionIsRefusedAndTouchesNothing(ulong address)
    {
        Assert.False(_memory.TryWrite(address, uint.MaxValue));
        Assert.False(_memory.TryWrite(address, new byte[] { 1, 2, 3, 4 }));
        Assert.False(_memory.TryRead(address, out uint value));
        Assert.Equal(0u, value);
        Assert.False(_memory.TryRead(address, new byte[4]));
        Assert.Equal(0, _memory.GetHostAddress(address, 4));
        Assert.Equal(-1, new ReadOnlySpan<byte>(_host, 0x4000).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void BitsAreSetKeptAndReplacedWhereAnAlignedWordIsAndNowhereElse()
    {
        _memory.TryWrite(0x1ffc, 0x0f0fu);
        Assert.True(_memory.TryOr(0x1ffc, 0xf000, out uint before));
        Assert.Equal(0x0f0fu, before);
        Assert.True(_memory.TryAnd(0x1ffc, ~0x0fu, out before));
        Assert.Equal(0xff0fu, before);
        Assert.True(_memory.TryCompareExchange(0x1ffc, 1, 0xff00, out before));
        Assert.Equal(0xff00u, before);
        Assert.True(_memory.TryRead(0x1ffc, out uint value));
        Assert.Equal(1u, value);
        foreach (ulong wrong in new ulong[] { 0x1ffd, 0x1ffe, 0x3000, High - 4, High + 0x1000 })
        {
            Assert.False(_memory.TryOr(wrong, 1, out _) || _memory.TryAnd(wrong, 1, out _) || _memory.TryCompareExchange(wrong, 1, 0, out _), $"{wrong:x}");
        }
    }

    [Fact]
    public void WritesLeaveDirtyPagesAndOnlyThose()
    {
        Assert.True(_memory.TryWrite(0xffe, 1u));
        Assert.Equal(PageAttributes.Dirty, (PageAttributes)(*_memory.GetPageAttributes(0)));
        Assert.Equal(PageAttributes.Dirty, (PageAttributes)(*_memory.GetPageAttributes(0x1fff)));
        Assert.Equal(PageAttributes.None, (PageAttributes)(*_memory.GetPageAttributes(0x2000)));
        Assert.True(_memory.TryWrite(High, default(ReadOnlySpan<byte>)));
        Assert.Equal(PageAttributes.None, (PageAttributes)(*_memory.GetPageAttributes(High)));
        Assert.True(_memory.RemovePageAttributes(0x10, PageAttributes.Dirty));
        Assert.Equal(PageAttributes.None, (PageAttributes)(*_memory.GetPageAttributes(0)));
        Assert.True(_memory.GetPageAttributes(0x3000) == null);
        Assert.False(_memory.AddPageAttributes(0x3000, PageAttributes.Code));
        Assert.False(_memory.RemovePageAttributes(0x3000, PageAttributes.Code));
    }

    [Fact]
    public void AWriteIntoCodeIsToldAfterItHappened()
    {
        Recorder recorder = new(_memory);
        _memory.AddCodeInvalidator(recorder);
        Assert.True(_memory.AddPageAttributes(0x1000, PageAttributes.Code));
        Assert.True(_memory.TryWrite(0x0, 7u));
        Assert.Empty(recorder.Calls);
        Assert.True(_memory.TryWrite(0xffe, 0x0707_0707u));
        Assert.Equal([(0xffeUL, 4UL, (byte)7)], recorder.Calls);
    }

    [Fact]
    public void PagesOfAnOverlayAreMemoryWhereThereIsNone()
    {
        const ulong Elsewhere = 0xf000_0000;
        GuestMemoryOverlay overlay = _memory.CreateOverlay(2);
        Assert.Throws<InvalidOperationException>(() => _memory.CreateOverlay(1));
        Assert.False(_memory.TryWrite(Elsewhere, 1u));

        // Not over RAM, nor where no page begins.
        foreach (ulong wrong in new ulong[] { 0, 0x1000, High, Elsewhere + 8 })
        {
            Assert.False(overlay.TryPlace(wrong), $"{wrong:x}");
        }

        Assert.True(overlay.TryPlace(Elsewhere));
        Assert.True(_memory.TryWrite(Elsewhere + 0xffc, 0x1234_5678u));
        Assert.True(overlay.TryPlace(Elsewhere), "It is there already.");
        Assert.True(_memory.TryRead(Elsewhere + 0xffc, out uint value));
        Assert.Equal(0x1234_5678u, value);
        Assert.NotEqual(0, _memory.GetHostAddress(Elsewhere, 0x1000));
        Assert.Equal(PageAttributes.Dirty, (PageAttributes)(*_memory.GetPageAttributes(Elsewhere)));

        // A range is of one page, as it is of one region; and there are no more pages than there are.
        Assert.True(overlay.TryPlace(Elsewhere + 0x1000));
        Assert.False(_memory.TryWrite(Elsewhere + 0xffe, 1u));
        Assert.Equal(0, _memory.GetHostAddress(Elsewhere, 0x1001));
        Assert.Equal(0, _memory.GetHostAddress(Elsewhere - 1, 2));
        Assert.False(overlay.TryPlace(Elsewhere + 0x2000));
        Assert.Equal(3, _memory.Regions.Length);
        Assert.Equal(0x4000UL, _memory.Size);

        // Code in it is watched like code anywhere, and the pages are gone afterwards, with what they held.
        Recorder recorder = new(_memory);
        Assert.True(_memory.AddPageAttributes(Elsewhere, PageAttributes.Code));
        _memory.AddCodeInvalidator(recorder);
        Assert.True(_memory.TryWrite(Elsewhere + 4, 7u));
        Assert.Equal([(Elsewhere + 4, 4UL, (byte)7)], recorder.Calls);
        _memory.RemoveCodeInvalidator(recorder);
        overlay.Clear();
        Assert.False(_memory.TryRead(Elsewhere + 0xffc, out value));
        Assert.True(_memory.GetPageAttributes(Elsewhere) == null);
        Assert.True(overlay.TryPlace(Elsewhere + 0x2000));
        Assert.True(_memory.TryRead(Elsewhere + 0x2ffc, out value));
        Assert.Equal(0u, value);
        Assert.Equal(PageAttributes.None, (PageAttributes)(*_memory.GetPageAttributes(Elsewhere + 0x2000)));
    }

    [Fact]
    public void WhoMapsMemoryIsToldOfPagesOfAnOverlayAndMayRefuseThem()
    {
        const ulong Elsewhere = 0xf000_0000;
        Map early = new();
        Assert.True(_memory.TryAddOverlayListener(early));
        GuestMemoryOverlay overlay = _memory.CreateOverlay(3);
        Assert.True(overlay.TryPlace(Elsewhere));
        Assert.True(overlay.TryPlace(Elsewhere));
        Assert.Equal([(0, Elsewhere, _memory.GetHostAddress(Elsewhere, 1))], early.Pages);

        // Who comes later is told of those that are there; one who cannot have them is not added.
        Assert.False(_memory.TryAddOverlayListener(new Map { Refuses = Elsewhere }));
        Map late = new() { Refuses = Elsewhere + 0x1000 };
        Assert.True(_memory.TryAddOverlayListener(late));
        Assert.Equal(early.Pages, late.Pages);

        // A page that one of them refuses is nowhere.
        Assert.False(overlay.TryPlace(Elsewhere + 0x1000));
        Assert.False(_memory.TryRead(Elsewhere + 0x1000, out byte _));
        Assert.Single(early.Pages);
        Assert.True(overlay.TryPlace(Elsewhere + 0x2000));
        Assert.Equal((1, Elsewhere + 0x2000, _memory.GetHostAddress(Elsewhere + 0x2000, 1)), early.Pages[1]);

        _memory.RemoveOverlayListener(late);
        overlay.Clear();
        Assert.Empty(early.Pages);
        Assert.Equal(2, late.Pages.Count);
    }

    [Theory]
    [InlineData(1UL, 0x1000UL)]
    [InlineData(0UL, 0x1001UL)]
    [InlineData(0UL, 0UL)]
    [InlineData(0x1000UL, 0x1000UL)]
    public void UnsoundRegionsAreRefused(ulong address, ulong length)
    {
        nint host = (nint)_host;
        Assert.Throws<ArgumentException>(() => new GuestMemory([new(address, length, host), new(0x1000, 0x1000, host)]));
        Assert.Throws<ArgumentException>(() => new GuestMemory([new(0, 0x1000, 0)]));
    }

    private sealed class Recorder(GuestMemory memory) : ICodeInvalidator
    {
        public List<(ulong Address, ulong Length, byte First)> Calls { get; } = [];

        public void InvalidateCode(ulong address, ulong length)
        {
            Assert.True(memory.TryRead(address, out byte first));
            Calls.Add((address, length, first));
        }
    }

    private sealed class Map : IOverlayListener
    {
        public List<(int Page, ulong Address, nint Host)> Pages { get; } = [];

        public ulong Refuses { get; init; }

        public bool TryMap(int page, ulong address, nint host)
        {
            if (address == Refuses)
            {
                return false;
            }

            Pages.Add((page, address, host));
            return true;
        }

        public void Unmap(int page) => Assert.Equal(1, Pages.RemoveAll(p => p.Page == page));
    }
}
