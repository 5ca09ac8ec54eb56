using Lamina.Machine.Memory;

namespace Lamina.Machine.Display;

/// <summary>
/// A picture that lies in guest memory, in pages anywhere: what a personality's frame buffer shows. What a guest says of it is checked here; its pages are looked up with each use.
/// </summary>
/// <param name="gate">Its own lock.</param>
/// <param name="memory">Guest RAM.</param>
/// <param name="maximumLength">Most bytes of a picture.</param>
public sealed class DisplaySurface(ILock gate, GuestMemory memory, int maximumLength) : IDisplay
{
    private readonly ulong[] _pages = new ulong[(maximumLength + GuestMemory.PageSize - 1) / GuestMemory.PageSize + 1];
    private DisplayMode _mode;
    private DisplayRectangle _changed;
    private uint _offset;
    private bool _shown;

    /// <summary>Shows a picture that lies in one piece.</summary>
    /// <param name="mode">How it is.</param>
    /// <param name="address">Guest-physical address of its first pixel.</param>
    /// <returns><c>false</c> if it cannot be, or lies where there is no RAM; nothing is shown then.</returns>
    public bool TryShow(in DisplayMode mode, ulong address)
    {
        Hide();
        if (!mode.IsValid || mode.Length > (ulong)maximumLength || memory.GetHostAddress(address, mode.Length) == 0)
        {
            return false;
        }

        gate.Enter();
        ulong first = address & ~(ulong)(GuestMemory.PageSize - 1);
        uint offset = (uint)(address - first);
        int count = GetPageCount(mode, offset);
        for (int i = 0; i < count; i++)
        {
            _pages[i] = first + ((ulong)i * GuestMemory.PageSize);
        }

        Show(mode, offset);
        gate.Exit();
        return true;
    }

    /// <summary>Shows a picture that lies in pages.</summary>
    /// <param name="mode">How it is.</param>
    /// <param name="pages">Their guest-physical addresses.</param>
    /// <param name="offset">Where in them its first pixel is, in bytes.</param>
    /// <returns><c>false</c> if it cannot be, or they are too few; nothing is shown then.</returns>
    public bool TryShow(in DisplayMode mode, ReadOnlySpan<ulong> pages, uint offset)
    {
        Hide();
        pages = pages[Math.Min(pages.Length, (int)(offset / GuestMemory.PageSize))..];
        offset %= GuestMemory.PageSize;
        if (!mode.IsValid || mode.Length > (ulong)maximumLength || GetPageCount(mode, offset) > pages.Length)
        {
            return false;
        }

        gate.Enter();
        pages[..GetPageCount(mode, offset)].CopyTo(_pages);
        Show(mode, offset);
        gate.Exit();
        return true;
    }

    /// <summary>Shows nothing.</summary>
    public void Hide()
    {
        gate.Enter();
        _shown = false;
        gate.Exit();
    }

    /// <summary>The guest says that a part of the picture has changed.</summary>
    public void Change(DisplayRectangle part)
    {
        gate.Enter();
        if (_shown)
        {
            _changed = _changed.Join(part.Clip(_mode));
        }

        gate.Exit();
    }

    /// <inheritdoc/>
    public bool TryGetMode(out DisplayMode mode)
    {
        gate.Enter();
        mode = _mode;
        bool shown = _shown;
        gate.Exit();
        return shown;
    }

    /// <inheritdoc/>
    public bool TryReadLine(in DisplayMode mode, int line, Span<byte> pixels)
    {
        gate.Enter();
        bool valid = _shown && mode == _mode && (uint)line < (uint)mode.Height && pixels.Length == mode.LineLength;
        ulong at = valid ? _offset + ((ulong)line * (ulong)mode.Stride) : 0;
        while (valid && !pixels.IsEmpty)
        {
            uint offset = (uint)(at % GuestMemory.PageSize);
            int length = Math.Min(pixels.Length, GuestMemory.PageSize - (int)offset);
            if (!memory.TryRead(_pages[at / GuestMemory.PageSize] + offset, pixels[..length]))
            {
                // A page that is no RAM is black.
                pixels[..length].Clear();
            }

            pixels = pixels[length..];
            at += (ulong)length;
        }

        gate.Exit();
        return valid;
    }

    /// <inheritdoc/>
    public bool TryTakeChanged(out DisplayRectangle changed)
    {
        gate.Enter();
        changed = _shown ? _changed : default;
        _changed = default;
        gate.Exit();
        return !changed.IsEmpty;
    }

    private static int GetPageCount(in DisplayMode mode, uint offset) => (int)((offset + mode.Length + GuestMemory.PageSize - 1) / GuestMemory.PageSize);

    private void Show(in DisplayMode mode, uint offset)
    {
        (_mode, _offset, _shown) = (mode, offset, true);
        _changed = new DisplayRectangle(0, 0, mode.Width, mode.Height);
    }
}
