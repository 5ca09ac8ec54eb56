using System.Runtime.InteropServices;
using Lamina.Machine.Display;
using Lamina.Machine.Memory;

namespace Lamina.Machine.Tests.Display;

/// <summary>A picture in guest memory: what a guest says of it is held against what can be.</summary>
public sealed unsafe class DisplaySurfaceTests : IDisposable
{
    private const ulong Start = 0x10_0000;
    private const int Length = 1 << 20;
    private const int MaximumLength = 512 << 10;
    private static readonly DisplayMode Mode = new(64, 48, 300, PixelFormat.Rgb32);
    private readonly void* _bytes = NativeMemory.AlignedAlloc(Length, 4096);
    private readonly GuestMemory _memory;
    private readonly DisplaySurface _surface;

    public DisplaySurfaceTests()
    {
        NativeMemory.Clear(_bytes, Length);
        _memory = new GuestMemory([new GuestMemoryRegion(Start, Length, (nint)_bytes)]);
        _surface = new DisplaySurface(new TestLock(), _memory, MaximumLength);
    }

    public void Dispose()
    {
        _memory.Dispose();
        NativeMemory.AlignedFree(_bytes);
    }

    [Fact]
    public void Lines_are_read_where_the_guest_has_them_in_one_piece_or_in_pages()
    {
        byte[] line = new byte[Mode.LineLength];
        Assert.False(_surface.TryGetMode(out _));
        Assert.False(_surface.TryReadLine(Mode, 0, line));
        Assert.True(_surface.TryShow(Mode, Start + 8));
        Put(Start + 8, 7);
        Put(Start + 8 + (47 * 300) + 252, 9);
        Check(0, 0, 7);
        Check(47, 252, 9);
        Assert.True(_surface.TryGetMode(out DisplayMode mode));
        Assert.Equal(Mode, mode);

        // Four pages in another order, from the second half of the first on.
        ulong[] pages = [Start + 0x4000, Start + 0x3000, Start + 0x9000, Start + 0x7000, 0];
        Assert.True(_surface.TryShow(Mode, pages, 0x800));
        Put(Start + 0x4800, 1);
        Put(Start + 0x3000 + (8 * 300) - 0x800, 2);
        Put(Start + 0x7000 + (41 * 300) + 0x800 - 0x3000, 3);
        Check(0, 0, 1);
        Check(8, 0, 2);
        Check(41, 0, 3);

        // A page that is no RAM is black.
        pages[1] = 0xffff_ffff_ffff_f000;
        Assert.True(_surface.TryShow(Mode, pages, 0x800));
        Check(8, 0, 0);
        _surface.Hide();
        Assert.False(_surface.TryReadLine(Mode, 0, line));

        void Check(int number, int offset, byte expected)
        {
            Assert.True(_surface.TryReadLine(Mode, number, line));
            Assert.Equal(expected, line[offset]);
        }
    }

    [Fact]
    public void What_cannot_be_is_not_shown()
    {
        DisplayMode[] modes =
        [
            Mode with { Width = 0 }, Mode with { Height = -1 }, Mode with { Width = 4097, Stride = 20000 }, Mode with { Height = 4097 }, Mode with { Stride = 255 }, Mode with { Stride = 40000 },
            new(4096, 4096, 16384, PixelFormat.Rgb32), new(512, 512, 2048, PixelFormat.Rgb32),
        ];
        foreach (DisplayMode mode in modes)
        {
            Assert.True(_surface.TryShow(Mode, Start));
            Assert.False(_surface.TryShow(mode, Start + 1), mode.ToString());
            Assert.False(_surface.TryGetMode(out _));
        }

        Assert.False(_surface.TryShow(Mode, Start + Length - 100));
        Assert.False(_surface.TryShow(Mode, 0));
        Assert.False(_surface.TryShow(Mode, ulong.MaxValue - 5));
        Assert.False(_surface.TryShow(Mode, [Start, Start, Start], 0));
        Assert.False(_surface.TryShow(Mode, [], uint.MaxValue));
        Assert.True(_surface.TryShow(Mode, Start));
        Assert.False(_surface.TryReadLine(Mode, 48, new byte[Mode.LineLength]));
        Assert.False(_surface.TryReadLine(Mode, -1, new byte[Mode.LineLength]));
        Assert.False(_surface.TryReadLine(Mode, 0, new byte[Mode.LineLength - 1]));
        Assert.False(_surface.TryReadLine(Mode with { Width = 32 }, 0, new byte[128]));
    }

    [Fact]
    public void Changed_parts_are_joined_and_lie_in_the_picture()
    {
        Assert.True(_surface.TryShow(Mode, Start));
        Assert.True(_surface.TryTakeChanged(out DisplayRectangle changed));
        Assert.Equal(new DisplayRectangle(0, 0, 64, 48), changed);
        Assert.False(_surface.TryTakeChanged(out _));
        _surface.Change(new DisplayRectangle(10, 10, 12, 12));
        _surface.Change(new DisplayRectangle(int.MinValue, 30, 5, 31));
        _surface.Change(new DisplayRectangle(60, 40, 50, int.MaxValue));
        Assert.True(_surface.TryTakeChanged(out changed));
        Assert.Equal(new DisplayRectangle(0, 10, 12, 31), changed);
    }

    private void Put(ulong address, byte value) => Assert.True(_memory.TryWrite(address, value));
}
