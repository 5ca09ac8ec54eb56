using Lamina.Machine.Personalities;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>
/// Cached translations that one processor has another drop. It is asked by a note and a bit of attention, which it looks at between two instructions; a processor that executes nothing finds the
/// note before it goes on, and is not waited for. Who asks waits at a safe point, before its own next instruction, and does what others ask of it meanwhile.
/// </summary>
internal sealed unsafe partial class SoftwareProcessor
{
    // Pages in a note. More, and all translations are dropped.
    private const int NotedPages = 32;
    private const ulong Pcide = 1 << 17;

    // The note: written by processors that ask, under the lock, and taken by this one.
    private readonly ulong[] _notedPages = new ulong[NotedPages];
    private SpinLock _noteLock = new(enableThreadOwnerTracking: false);
    private int _notedCount;
    private bool _notedLocal;
    private bool _notedAll;
    private long _notes;
    private long _notesDone;
    private volatile bool _present;

    // What this processor has asked for: of which others, and the number of their note.
    private readonly long[] _awaited = new long[64];
    private ulong _awaits;

    /// <summary>Who drops translations in its place; null if it does.</summary>
    internal ICallingProcessor? Dropper { get; set; }

    /// <inheritdoc/>
    public void DropTranslations(ulong processors, bool withGlobal, ReadOnlySpan<ulong> pages)
    {
        if (Dropper is { } other)
        {
            other.DropTranslations(processors, withGlobal, pages);
            return;
        }

        ReadOnlySpan<SoftwareProcessor> all = _partition.Processors;
        for (int n = 0; n < all.Length; n++)
        {
            if (((processors >> n) & 1) == 0)
            {
                continue;
            }

            if (all[n] == this)
            {
                Drop(_context, pages, local: pages.IsEmpty, all: pages.IsEmpty && withGlobal);
            }
            else if (all[n].Note(withGlobal, pages) is var number and not 0)
            {
                _awaited[n] = number;
                _awaits |= 1UL << n;
            }
        }

        if (_awaits != 0)
        {
            Attend(AttentionBits.AwaitDrops);
        }
    }

    /// <inheritdoc/>
    public void ReadVectors(Span<byte> destination)
    {
        for (int n = 0; n < destination.Length; n++)
        {
            destination[n] = _context->Vectors[VectorOffset(n)];
        }
    }

    /// <inheritdoc/>
    public void WriteVectors(int offset, ReadOnlySpan<byte> source)
    {
        for (int n = 0; n < source.Length; n++)
        {
            _context->Vectors[VectorOffset(offset + n)] = source[n];
        }
    }

    /// <inheritdoc/>
    public void GiveWay() => Thread.Yield();

    // XMM registers are the lower halves of YMM registers.
    private static int VectorOffset(int offset) => ((offset >> 4 << 5) | (offset & 15)) & 511;

    // Takes a note. Answers its number, or 0 if nobody needs to wait for it.
    private long Note(bool withGlobal, ReadOnlySpan<ulong> pages)
    {
        bool taken = false;
        _noteLock.Enter(ref taken);
        if (pages.IsEmpty || _notedCount + pages.Length > NotedPages)
        {
            _notedLocal = true;
            _notedAll |= withGlobal || !pages.IsEmpty;
        }
        else
        {
            pages.CopyTo(_notedPages.AsSpan(_notedCount));
            _notedCount += pages.Length;
        }

        long number = ++_notes;
        _noteLock.Exit(useMemoryBarrier: true);

        // The bit must be visible before the look at whether it executes: BeginPresence does the opposite.
        Attend(AttentionBits.Drop);
        return _present ? number : 0;
    }

    private void BeginPresence(ProcessorContext* c)
    {
        _present = true;
        Interlocked.MemoryBarrier();
        if (_partition.Presence is { } presence && presence.OnEnter(Index))
        {
            MemoryUnit.FlushTlb(c);
        }
    }

    private void EndPresence()
    {
        _partition.Presence?.OnLeave(Index);
        _present = false;
    }

    // Between two instructions: does what others ask, and waits for those that were asked.
    private void AttendDrops(ProcessorContext* c)
    {
        TakeNote(c);
        if (!Take(AttentionBits.AwaitDrops))
        {
            return;
        }

        _inGuest = false;
        ReadOnlySpan<SoftwareProcessor> all = _partition.Processors;
        for (int n = 0; n < all.Length; n++)
        {
            SpinWait spin = default;
            while (((_awaits >> n) & 1) != 0 && all[n]._present && Volatile.Read(ref all[n]._notesDone) < _awaited[n])
            {
                if ((Volatile.Read(ref c->Attention) & (int)AttentionBits.Drop) != 0)
                {
                    // Whoever has the machine to itself changes what a processor at a safe point has cached.
                    _partition.EnterGuest(this);
                    TakeNote(c);
                    _inGuest = false;
                }

                if ((Volatile.Read(ref c->Attention) & (int)AttentionBits.Exit) != 0)
                {
                    // The next run waits on: nothing that a processor does or fails to do keeps the machine from standing still.
                    Attend(AttentionBits.AwaitDrops);
                    _partition.EnterGuest(this);
                    return;
                }

                spin.SpinOnce(sleep1Threshold: -1);
            }

            _awaits &= ~(1UL << n);
        }

        _partition.EnterGuest(this);
    }

    private void TakeNote(ProcessorContext* c)
    {
        if (!Take(AttentionBits.Drop))
        {
            return;
        }

        Span<ulong> pages = stackalloc ulong[NotedPages];
        bool taken = false;
        _noteLock.Enter(ref taken);
        int count = _notedCount;
        _notedPages.AsSpan(0, count).CopyTo(pages);
        (bool local, bool all, long number) = (_notedLocal, _notedAll, _notes);
        (_notedCount, _notedLocal, _notedAll) = (0, false, false);
        _noteLock.Exit(useMemoryBarrier: true);
        Drop(c, pages[..count], local, all);
        Volatile.Write(ref _notesDone, number);
    }

    // Translations of other address spaces than the current one are named by their tags, which who asks does not know.
    private static void Drop(ProcessorContext* c, ReadOnlySpan<ulong> pages, bool local, bool all)
    {
        if (all || ((c->Cr4 & Pcide) != 0 && (local || !pages.IsEmpty)))
        {
            MemoryUnit.FlushTlb(c);
            return;
        }

        if (local)
        {
            MemoryUnit.FlushTlbLocal(c);
        }

        foreach (ulong page in pages)
        {
            if (MemoryUnit.IsCanonical(page))
            {
                MemoryUnit.FlushTlbPage(c, page);
            }
        }
    }
}
