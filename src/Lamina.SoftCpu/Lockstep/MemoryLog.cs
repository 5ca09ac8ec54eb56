using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Lockstep;

/// <summary>
/// Pages of guest RAM as they were before somebody wrote to them, so that the writes can be taken back. Pages are named by their host addresses. One thread.
/// </summary>
internal sealed unsafe class MemoryLog : IDisposable
{
    private const int PageSize = 4096;
    private const int Words = PageSize / sizeof(ulong);
    private readonly List<Page> _pages = [];

    /// <summary>Pages written to since <see cref="Begin"/>.</summary>
    public int Count { get; private set; }

    /// <summary>Forgets everything.</summary>
    public void Begin() => Count = 0;

    /// <summary>Keeps the page that holds an address, unless it is kept already.</summary>
    public void BeforeWrite(byte* address)
    {
        byte* start = PageOf(address);
        if (Find(start) >= 0)
        {
            return;
        }

        if (Count == _pages.Count)
        {
            // SAFETY: freed in Dispose.
            _pages.Add(new Page { Before = Allocate(), First = Allocate(), Second = Allocate() });
        }

        Page page = _pages[Count];
        page.Start = start;
        Copy(start, page.Before);
        _pages[Count++] = page;
    }

    /// <summary>What was just written is to stay when writes are taken back.</summary>
    public void Keep(byte* address, int size)
    {
        int n = Find(PageOf(address));
        if (n >= 0)
        {
            nint offset = (nint)(address - _pages[n].Start);
            Buffer.MemoryCopy(address, _pages[n].Before + offset, PageSize - offset, size);
        }
    }

    /// <summary>Takes all writes back: only words that changed, because a device may have written to others.</summary>
    public void Undo()
    {
        foreach (Page page in Pages)
        {
            Change(page.Start, page.Before);
        }
    }

    /// <summary>Remembers what is there now as the first result.</summary>
    public void SaveFirst()
    {
        foreach (Page page in Pages)
        {
            Copy(page.Start, page.First);
        }
    }

    /// <summary>Remembers what is there now as the second result.</summary>
    public void SaveSecond()
    {
        foreach (Page page in Pages)
        {
            Copy(page.Start, page.Second);
        }
    }

    /// <summary>Makes memory as it was at <see cref="SaveFirst"/>.</summary>
    public void RestoreFirst()
    {
        foreach (Page page in Pages)
        {
            Change(page.Start, page.First);
        }
    }

    /// <summary>The first word in which the results differ.</summary>
    /// <param name="address">Its host address.</param>
    /// <param name="first">In the first result.</param>
    /// <param name="second">In the second.</param>
    public bool TryFindDifference(out byte* address, out ulong first, out ulong second)
    {
        foreach (Page page in Pages)
        {
            for (int n = 0; n < Words; n++)
            {
                first = ((ulong*)page.First)[n];
                second = ((ulong*)page.Second)[n];
                if (first != second)
                {
                    address = page.Start + (n * sizeof(ulong));
                    return true;
                }
            }
        }

        address = null;
        first = second = 0;
        return false;
    }

    public void Dispose()
    {
        foreach (Page page in _pages)
        {
            NativeMemory.AlignedFree(page.Before);
            NativeMemory.AlignedFree(page.First);
            NativeMemory.AlignedFree(page.Second);
        }

        _pages.Clear();
    }

    private Span<Page> Pages => CollectionsMarshal.AsSpan(_pages)[..Count];

    private static byte* PageOf(byte* address) => (byte*)((nuint)address & ~(nuint)(PageSize - 1));

    private static byte* Allocate() => (byte*)NativeMemory.AlignedAlloc(PageSize, PageSize);

    private static void Copy(byte* from, byte* to) => Buffer.MemoryCopy(from, to, PageSize, PageSize);

    private static void Change(byte* memory, byte* wanted)
    {
        for (int n = 0; n < Words; n++)
        {
            if (((ulong*)memory)[n] != ((ulong*)wanted)[n])
            {
                Volatile.Write(ref ((ulong*)memory)[n], ((ulong*)wanted)[n]);
            }
        }
    }

    private int Find(byte* start)
    {
        Span<Page> pages = Pages;
        for (int n = 0; n < pages.Length; n++)
        {
            if (pages[n].Start == start)
            {
                return n;
            }
        }

        return -1;
    }

    private struct Page
    {
        public byte* Start;
        public byte* Before;
        public byte* First;
        public byte* Second;
    }
}
