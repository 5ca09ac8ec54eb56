using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Memory;

/// <summary>
/// The first-level TLBs of one processor, in native memory that emitted code reads. A flush clears the entries that were filled since the last one; those of
/// global pages outlive a load of CR3 (Intel SDM volume 3, section 4.10.2.4).
/// </summary>
internal sealed unsafe class Tlb : IDisposable
{
    /// <summary>The array of supervisor accesses.</summary>
    public const int Supervisor = 0;

    /// <summary>The array of user accesses.</summary>
    public const int User = 1;

    /// <summary>The array of supervisor accesses while RFLAGS.AC switches SMAP off.</summary>
    public const int SupervisorWithoutSmap = 2;

    /// <summary>The array that never holds anything.</summary>
    public const int AlwaysMiss = 3;

    private const int JournalSize = 4096;
    private readonly FlushJournal _local = new(JournalSize);
    private readonly FlushJournal _global = new(JournalSize);

    // A bit for each 2 MiB and each 1 GiB of linear addresses, hashed, of which a part of a larger page may be cached.
    private readonly ulong[] _large = new ulong[16];
    private readonly ulong[] _huge = new ulong[16];

    public Tlb()
    {
        // SAFETY: freed in Dispose; every entry is made invalid before anyone sees it.
        Entries = (TlbEntry*)NativeMemory.AlignedAlloc((nuint)(sizeof(TlbEntry) * TlbEntry.Total), 64);
        new Span<TlbEntry>(Entries, TlbEntry.Total).Fill(TlbEntry.Invalid);
    }

    /// <summary>All arrays, one behind the other.</summary>
    public TlbEntry* Entries { get; }

    /// <summary>One array.</summary>
    public TlbEntry* Array(int array) => Entries + (array * TlbEntry.Stride);

    /// <summary>Remembers a translation.</summary>
    public void Fill(TlbEntry* entry, ulong page, nint addend, bool global)
    {
        (global ? _global : _local).Add((int)(entry - Entries));
        entry->Tag = page;
        entry->Addend = addend;
    }

    /// <summary>Says that what is cached for this address may be a part of a larger page.</summary>
    public void NoteLargePage(ulong linear, ulong size)
    {
        if (size == 1 << 21)
        {
            _large[Word(linear >> 21)] |= 1UL << (int)((linear >> 21) & 63);
        }
        else
        {
            _huge[Word(linear >> 30)] |= 1UL << (int)((linear >> 30) & 63);
        }
    }

    /// <summary>Whether what is cached for this address may be a part of a larger page, so that there may be other parts.</summary>
    public bool MayBeLarge(ulong linear)
    {
        return (((_large[Word(linear >> 21)] >> (int)((linear >> 21) & 63)) | (_huge[Word(linear >> 30)] >> (int)((linear >> 30) & 63))) & 1) != 0;
    }

    /// <summary>Drops the translations of one page of 4 KiB.</summary>
    public void FlushPage(ulong linear)
    {
        for (int array = 0; array < TlbEntry.ArrayCount; array++)
        {
            TlbEntry.ForRead(Array(array), linear)->Tag = TlbEntry.NoPage;
            TlbEntry.ForWrite(Array(array), linear)->Tag = TlbEntry.NoPage;
        }
    }

    /// <summary>Drops the translations of all pages that are not global.</summary>
    public void FlushLocal() => Flush(_local);

    /// <summary>Drops everything.</summary>
    public void FlushAll()
    {
        Flush(_local);
        Flush(_global);
        System.Array.Clear(_large);
        System.Array.Clear(_huge);
    }

    /// <summary>Drops the write entries of a page, given by its host address.</summary>
    public void DropWrites(nint host)
    {
        for (int array = 0; array < TlbEntry.ArrayCount; array++)
        {
            TlbEntry* entry = TlbEntry.ForWrite(Array(array), 0);
            for (int i = 0; i < TlbEntry.Count; i++, entry++)
            {
                if ((nint)entry->Tag + entry->Addend == host)
                {
                    entry->Tag = TlbEntry.NoPage;
                }
            }
        }
    }

    public void Dispose() => NativeMemory.AlignedFree(Entries);

    private static int Word(ulong number) => (int)((number >> 6) ^ (number >> 12)) & 15;

    private void Flush(FlushJournal journal)
    {
        if (journal.Overflowed)
        {
            new Span<TlbEntry>(Entries, TlbEntry.Total).Fill(TlbEntry.Invalid);
        }
        else
        {
            foreach (ushort index in journal.Entries)
            {
                Entries[index].Tag = TlbEntry.NoPage;
            }
        }

        journal.Reset();
    }
}
