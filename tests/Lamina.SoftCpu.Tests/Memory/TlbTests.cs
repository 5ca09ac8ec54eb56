using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Tests.Memory;

/// <summary>The two levels, and who empties what.</summary>
public sealed unsafe class TlbTests : IDisposable
{
    private const ulong Page = 0x7f00_0012_3000;
    private const nint Addend = 0x1000_0000;

    // Equal low bits: they displace each other in the first level.
    private const ulong Rival = Page + (TlbEntry.Count << 12);

    private readonly ulong[] _slotMemory = GC.AllocateArray<ulong>(2 * ProcessorContext.SlotCount, pinned: true);
    private readonly Tlb _tlb;

    public TlbTests()
    {
        fixed (ulong* slots = _slotMemory)
        {
            _tlb = new Tlb(slots);
        }
    }

    private TlbEntry* User => _tlb.Array(Tlb.User);

    public void Dispose() => _tlb.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ADisplacedPageIsFoundInTheSecondLevel(bool write)
    {
        _tlb.Fill(User, Page, Addend, write, global: false);
        _tlb.Fill(User, Rival, 2 * Addend, write, global: false);
        Assert.Equal(Rival, First(Page, write)->Tag);
        TlbEntry* found = Tlb.Refill(User, Page, write);
        Assert.True(found != null && found == First(Page, write), "not copied to the first level");
        Assert.Equal((Page, Addend), (found->Tag, found->Addend));
        Assert.True(Tlb.Refill(User, Page, !write) == null, "reads and writes share an entry");
        Assert.True(Tlb.Refill(_tlb.Array(Tlb.Supervisor), Page, write) == null, "privileges share an entry");
    }

    [Fact]
    public void ANewOneHoldsNoPage()
    {
        // An access of several bytes is looked for in the entry of its first byte by the page of its last one.
        for (int array = 0; array < TlbEntry.ArrayCount; array++)
        {
            if (array > Tlb.AlwaysMiss)
            {
                _tlb.SwitchSpace(array - Tlb.AlwaysMiss);
            }

            foreach (ulong first in (ReadOnlySpan<ulong>)[0, ulong.MaxValue - 2])
            {
                const ulong Last = 0;
                Assert.True(TlbEntry.ForRead(_tlb.Array(array), first)->Tag != Last, $"Array {array} has page zero for reads at {first:x}.");
                Assert.True(TlbEntry.ForWrite(_tlb.Array(array), first)->Tag != Last, $"Array {array} has page zero for writes at {first:x}.");
            }

            Assert.True(Tlb.Refill(_tlb.Array(array), 0, write: false) == null && Tlb.Refill(_tlb.Array(array), 0, write: true) == null, $"Array {array} has page zero in its second level.");
        }
    }

    [Fact]
    public void OnlyGlobalPagesOutliveALocalFlush()
    {
        _tlb.Fill(User, Page, Addend, write: true, global: false);
        _tlb.Fill(User, Rival, Addend, write: true, global: true);
        _tlb.FlushLocal();
        Assert.True(Tlb.Refill(User, Page, write: true) == null, "a local page is still there");
        Assert.True(Tlb.Refill(User, Rival, write: true) != null, "a global page is gone");
        _tlb.FlushAll();
        Assert.True(Tlb.Refill(User, Rival, write: true) == null, "a global page is still there");
        Assert.Equal(TlbEntry.NoPage, First(Page, write: true)->Tag);
    }

    [Fact]
    public void WhatUsersAccessInASpaceIsKeptWhileAnotherIsCurrent()
    {
        _tlb.Fill(_tlb.UserArray, Page, Addend, write: false, global: false);
        _tlb.Fill(_tlb.Array(Tlb.Supervisor), Page, Addend, write: false, global: false);
        _tlb.SwitchSpace(3);
        Assert.True(Tlb.Refill(_tlb.UserArray, Page, write: false) == null, "it is seen from another space");
        Assert.True(Tlb.Refill(_tlb.Array(Tlb.Supervisor), Page, write: false) == null, "a supervisor's is seen from another space");
        _tlb.Fill(_tlb.UserArray, Page, 2 * Addend, write: false, global: false);
        _tlb.FlushLocal();
        Assert.True(Tlb.Refill(_tlb.UserArray, Page, write: false) == null, "the flush of the current space leaves it");
        _tlb.SwitchSpace(0);
        TlbEntry* kept = Tlb.Refill(_tlb.UserArray, Page, write: false);
        Assert.True(kept != null && kept->Addend == Addend, "it is not kept");
        _tlb.SwitchSpace(3);
        _tlb.FlushSpace(0);
        _tlb.SwitchSpace(0);
        Assert.True(Tlb.Refill(_tlb.UserArray, Page, write: false) == null, "it outlives a flush of its space");
    }

    [Fact]
    public void AFlushedPageIsGoneFromEveryArrayAndLevel()
    {
        for (int array = 0; array < Tlb.AlwaysMiss; array++)
        {
            _tlb.Fill(_tlb.Array(array), Page, Addend, write: false, global: true);
            _tlb.Fill(_tlb.Array(array), Page, Addend, write: true, global: true);
        }

        _slotMemory[0] = Page;
        _tlb.FlushPage(Page + 0x123);
        for (int array = 0; array < Tlb.AlwaysMiss; array++)
        {
            foreach (bool write in (bool[])[false, true])
            {
                Assert.True(Tlb.Refill(_tlb.Array(array), Page, write) == null, $"array {array}, writes {write}: second level");
                TlbEntry* first = write ? TlbEntry.ForWrite(_tlb.Array(array), Page) : TlbEntry.ForRead(_tlb.Array(array), Page);
                Assert.Equal(TlbEntry.NoPage, first->Tag);
            }
        }

        Assert.Equal(TlbEntry.NoPage, _slotMemory[0]);
    }

    [Fact]
    public void MoreFillsThanTheJournalHoldsAreFlushedAllTheSame()
    {
        for (ulong n = 0; n < 20_000; n++)
        {
            _tlb.Fill(User, Page + (n << 12), Addend, write: false, global: false);
        }

        _tlb.FlushLocal();
        for (ulong n = 0; n < 20_000; n++)
        {
            Assert.True(Tlb.Refill(User, Page + (n << 12), write: false) == null, $"page {n} is still there");
        }
    }

    // Whatever else was filled, also more pages of the host than a bucket of the map has room for, and whatever was displaced.
    [Fact]
    public void EveryWriteEntryOfAHostPageIsDropped()
    {
        Random random = new(5);
        for (int round = 0; round < 200; round++)
        {
            List<(int Array, ulong Page, nint Host)> filled = [];
            for (int n = 0; n < 300; n++)
            {
                nint host = (nint)(0x7000_0000_0000L + ((long)random.Next(40) << 22) + ((long)random.Next(3) << 12));
                ulong page = (ulong)random.Next(1 << 20) << 12;
                int array = random.Next(Tlb.AlwaysMiss);
                _tlb.Fill(_tlb.Array(array), page, host - (nint)page, write: true, global: false);
                _tlb.Fill(_tlb.Array(array), page, host - (nint)page, write: false, global: false);
                filled.Add((array, page, host));
            }

            nint victim = filled[random.Next(filled.Count)].Host;
            _tlb.DropWrites(victim);
            foreach ((int array, ulong page, nint host) in filled)
            {
                TlbEntry* first = TlbEntry.ForWrite(_tlb.Array(array), page);
                Assert.False(first->Tag == page && (nint)page + first->Addend == victim, $"round {round}: the first level still writes to {victim:x}");
                TlbEntry* entry = Tlb.Refill(_tlb.Array(array), page, write: true);
                Assert.False(entry != null && (nint)page + entry->Addend == victim, $"round {round}: the second level still writes to {victim:x}");
            }

            if (round % 10 == 0)
            {
                _tlb.FlushLocal();
            }
        }
    }

    private TlbEntry* First(ulong page, bool write) => write ? TlbEntry.ForWrite(User, page) : TlbEntry.ForRead(User, page);
}
