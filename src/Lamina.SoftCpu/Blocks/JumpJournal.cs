using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Blocks;

/// <summary>Which entries of a <see cref="JumpCache"/> are flushed together, and in which pages they lie.</summary>
internal sealed class JumpJournal(uint firstStamp)
{
    private const int JournalSize = 8192;
    private const int PageWords = 512;

    // A bit for each page, by the low bits of its number.
    private readonly ulong[] _pages = new ulong[PageWords];

    /// <summary>Numbers of the entries that have been filled since the last flush.</summary>
    public FlushJournal<int> Entries { get; } = new(JournalSize);

    /// <summary>What marks the entries that are named here since the last flush. Those of global pages have odd numbers, the others even ones.</summary>
    public uint Stamp { get; private set; } = firstStamp;

    /// <summary>Some look-up in this page may be cached.</summary>
    public void NotePage(ulong linear) => _pages[Word(linear)] |= Bit(linear);

    /// <summary>Whether some look-up in this page may be cached.</summary>
    public bool MayHavePage(ulong linear) => (_pages[Word(linear)] & Bit(linear)) != 0;

    /// <summary>Nothing is cached any more.</summary>
    /// <returns>False: the stamps begin again, so that all marks must be taken away.</returns>
    public bool Reset()
    {
        Entries.Reset();
        Array.Clear(_pages);
        Stamp += 2;
        if (Stamp > 1)
        {
            return true;
        }

        Stamp += 2;
        return false;
    }

    private static int Word(ulong linear) => (int)(linear >> 18) & (PageWords - 1);

    private static ulong Bit(ulong linear) => 1UL << (int)((linear >> 12) & 63);
}
