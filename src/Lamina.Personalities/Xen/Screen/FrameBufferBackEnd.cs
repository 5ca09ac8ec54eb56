using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Display;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Screen;

/// <summary>
/// The back end of a frame buffer (xen/include/public/io/fbif.h): a page of the guest's, by its number, says how the picture is and has a directory of the pages in which it lies; the guest tells what it has drawn. Page and
/// directory are read once.
/// </summary>
public sealed class FrameBufferBackEnd : BackEnd, IEventTarget
{
    /// <summary>Most bytes of a picture.</summary>
    public const int MaximumLength = 4 << 20;

    private const int PageSize = GuestMemory.PageSize;
    private const ulong FrameMask = (1UL << 40) - 1;
    private const ulong OutConsumer = 8;
    private const ulong OutProducer = 12;
    private const int WidthOffset = 16;
    private const int MemoryLengthOffset = 28;
    private const int DepthOffset = 32;
    private const int DirectoryOffset = 40;
    private const int DirectoryLength = 256;
    private const int FramesPerPage = PageSize / sizeof(ulong);
    private const ulong OutRing = 2048;
    private const uint RingLength = 51;
    private const int EventLength = 40;
    private const byte UpdateEvent = 2;
    private const byte ResizeEvent = 3;
    private const ushort SavedEnd = 1;

    private readonly int _width;
    private readonly int _height;
    private readonly DisplaySurface _surface;
    private readonly ulong[] _pages = new ulong[(MaximumLength / PageSize) + 1];
    private int _pageCount;
    private ulong _page;
    private uint _port;
    private uint _consumed;
    private bool _open;

    // How the picture was said to be.
    private uint _pictureWidth;
    private uint _pictureHeight;
    private uint _stride;
    private uint _depth;
    private uint _offset;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="surfaceLock">The picture's own lock.</param>
    /// <param name="width">Pixels of a line, as it is offered.</param>
    /// <param name="height">Lines.</param>
    public FrameBufferBackEnd(XenBusController bus, ILock gate, ILock surfaceLock, int width, int height)
        : base(bus, gate, "vfb", 0, 0)
    {
        ArgumentNullException.ThrowIfNull(bus);
        (_width, _height) = (width, height);
        _surface = new DisplaySurface(surfaceLock, Domain.Memory, MaximumLength);
        bus.Add(this);
    }

    /// <summary>What it shows.</summary>
    public IDisplay Display => _surface;

    /// <inheritdoc/>
    private protected override bool IsIdle => true;

    void IEventTarget.OnEvent()
    {
        Gate.Enter();
        Serve();
        Gate.Exit();
    }

    /// <inheritdoc/>
    private protected override void Describe()
    {
        PutBack("videoram"u8, MaximumLength >> 20);
        PutBack("width"u8, (ulong)_width);
        PutBack("height"u8, (ulong)_height);
        PutBack("feature-resize"u8, 1);
        PutBack("request-update"u8, 1);
    }

    /// <inheritdoc/>
    private protected override bool TryConnect()
    {
        Span<byte> protocol = stackalloc byte[16];
        int length = GetFront("protocol"u8, protocol);
        if (!TryReadFront("page-ref"u8, out uint frame) || !TryReadFront("event-channel"u8, out uint port) || (length > 0 && !protocol[..length].SequenceEqual("x86_64-abi"u8)))
        {
            return false;
        }

        Span<byte> page = stackalloc byte[DirectoryOffset + (DirectoryLength * sizeof(ulong))];
        _page = (ulong)frame * PageSize;
        if (!Domain.Memory.TryRead(_page, page) || !TryReadPages(page) || !TryShow() || !Domain.Events.TryBind(port, this))
        {
            _surface.Hide();
            return false;
        }

        (_port, _open) = (port, true);
        _consumed = BinaryPrimitives.ReadUInt32LittleEndian(page[(int)OutConsumer..]);
        return true;
    }

    /// <inheritdoc/>
    private protected override void Disconnect()
    {
        if (_port != 0)
        {
            Domain.Events.Unbind(_port, this);
        }

        (_port, _pageCount, _open) = (0, 0, false);
        _surface.Hide();
    }

    /// <inheritdoc/>
    private protected override void Serve()
    {
        if (!_open || !IsRunning || !Domain.Memory.TryRead(_page + OutProducer, out uint produced))
        {
            return;
        }

        Interlocked.MemoryBarrier();
        uint count = produced - _consumed;
        if (count == 0)
        {
            return;
        }

        if (count > RingLength)
        {
            Fail("the ring's indices cannot be"u8);
            return;
        }

        Span<byte> happened = stackalloc byte[EventLength];
        for (; _consumed != produced; _consumed++)
        {
            Domain.Memory.TryRead(_page + OutRing + (_consumed % RingLength * EventLength), happened);
            Take(happened);
        }

        Interlocked.MemoryBarrier();
        Domain.Memory.TryWrite(_page + OutConsumer, _consumed);
        Domain.Events.Signal(_port, this);
    }

    /// <inheritdoc/>
    private protected override void Drain()
    {
    }

    /// <inheritdoc/>
    private protected override void SaveQueues(IStateWriter state, ushort field)
    {
        state.Write(field, _open);
        Domain.Events.SaveEnd(state, (ushort)(field + SavedEnd), _port, this);
        state.Write((ushort)(field + 3), _page);
        state.Write((ushort)(field + 4), (ulong)_consumed);
        state.Write((ushort)(field + 5), (ulong)_pictureWidth);
        state.Write((ushort)(field + 6), (ulong)_pictureHeight);
        state.Write((ushort)(field + 7), (ulong)_stride);
        state.Write((ushort)(field + 8), (ulong)_depth);
        state.Write((ushort)(field + 9), (ulong)_offset);
        state.Write((ushort)(field + 10), MemoryMarshal.AsBytes(_pages.AsSpan(0, _pageCount)));
    }

    /// <inheritdoc/>
    private protected override bool RestoreQueues(IStateReader state, ushort field, bool mayBeOpen)
    {
        bool open = false;
        bool valid = state.TryTake(field, ref open) & Domain.Events.RestoreEnd(state, (ushort)(field + SavedEnd), this, out _port) & state.TryTake((ushort)(field + 3), ref _page)
            & state.TryTake((ushort)(field + 4), ref _consumed) & state.TryTake((ushort)(field + 5), ref _pictureWidth) & state.TryTake((ushort)(field + 6), ref _pictureHeight)
            & state.TryTake((ushort)(field + 7), ref _stride) & state.TryTake((ushort)(field + 8), ref _depth) & state.TryTake((ushort)(field + 9), ref _offset);
        int length = state.TryRead((ushort)(field + 10), MemoryMarshal.AsBytes(_pages.AsSpan()));
        _pageCount = Math.Max(length, 0) / sizeof(ulong);
        foreach (ref ulong page in _pages.AsSpan(0, _pageCount))
        {
            page &= FrameMask * PageSize;
        }

        _page &= FrameMask * PageSize;
        _open = valid && open;
        valid &= length >= 0 && length % sizeof(ulong) == 0 && (mayBeOpen || !open);
        if (_open)
        {
            // What the guest resized it to may have been nothing that can be.
            TryShow();
        }

        return valid;
    }

    private void Take(ReadOnlySpan<byte> happened)
    {
        int first = BinaryPrimitives.ReadInt32LittleEndian(happened[4..]);
        int second = BinaryPrimitives.ReadInt32LittleEndian(happened[8..]);
        int third = BinaryPrimitives.ReadInt32LittleEndian(happened[12..]);
        int fourth = BinaryPrimitives.ReadInt32LittleEndian(happened[16..]);
        if (happened[0] == UpdateEvent)
        {
            _surface.Change(new DisplayRectangle(first, second, (int)Math.Min((long)first + third, int.MaxValue), (int)Math.Min((long)second + fourth, int.MaxValue)));
        }
        else if (happened[0] == ResizeEvent)
        {
            (_pictureWidth, _pictureHeight, _stride, _depth, _offset) = ((uint)first, (uint)second, (uint)third, (uint)fourth, BinaryPrimitives.ReadUInt32LittleEndian(happened[20..]));
            TryShow();
        }
    }

    // The numbers of all pages, through the directory's.
    private bool TryReadPages(ReadOnlySpan<byte> page)
    {
        _pictureWidth = BinaryPrimitives.ReadUInt32LittleEndian(page[WidthOffset..]);
        _pictureHeight = BinaryPrimitives.ReadUInt32LittleEndian(page[(WidthOffset + 4)..]);
        _stride = BinaryPrimitives.ReadUInt32LittleEndian(page[(WidthOffset + 8)..]);
        uint length = Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(page[MemoryLengthOffset..]), MaximumLength);
        (_depth, _offset) = (page[DepthOffset], 0);
        _pageCount = (int)((length + PageSize - 1) / PageSize);
        for (int i = 0; i < _pageCount; i++)
        {
            ulong directory = (BinaryPrimitives.ReadUInt64LittleEndian(page[(DirectoryOffset + (i / FramesPerPage * sizeof(ulong)))..]) & FrameMask) * PageSize;
            if (!Domain.Memory.TryRead(directory + ((ulong)(i % FramesPerPage) * sizeof(ulong)), out ulong frame))
            {
                return false;
            }

            _pages[i] = (frame & FrameMask) * PageSize;
        }

        return true;
    }

    private bool TryShow()
    {
        if (_depth is not (16 or 32) || _pictureWidth > DisplayMode.MaximumLength || _pictureHeight > DisplayMode.MaximumLength || _stride > 8 * DisplayMode.MaximumLength || _offset > MaximumLength)
        {
            _surface.Hide();
            return false;
        }

        DisplayMode mode = new((int)_pictureWidth, (int)_pictureHeight, (int)_stride, _depth == 32 ? PixelFormat.Rgb32 : PixelFormat.Rgb16);
        return _surface.TryShow(mode, _pages.AsSpan(0, _pageCount), _offset);
    }
}
