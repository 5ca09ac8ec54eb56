using Lamina.SoftCpu.Blocks;

namespace Lamina.SoftCpu.Tests.Blocks;

/// <summary>What is kept of the pages that instructions come from.</summary>
public sealed class FetchCacheTests
{
    private readonly FetchCache _cache = new();

    [Fact]
    public void PagesOfOneSetAreAllKeptAndOneTooManyTakesThePlaceOfOne()
    {
        ulong[] pages = OfOneSet(FetchCache.WayCount + 1);
        foreach (ulong page in pages.AsSpan(0, FetchCache.WayCount))
        {
            _cache.Add(page, user: false, page ^ 0x1000, global: true, 1, 2);
        }

        Assert.All(pages[..FetchCache.WayCount], page => Assert.True(
            _cache.TryFind(page, user: false, out FetchCache.Entry entry) && entry.Physical == (page ^ 0x1000), $"The page {page:x} was forgotten, although its set has room for it."));
        _cache.Add(pages[^1], user: false, 0, global: true, 1, 2);
        int kept = pages.Count(page => _cache.TryFind(page, user: false, out _));
        Assert.True(kept == FetchCache.WayCount, $"Of {pages.Length} pages of one set, {kept} are kept.");
    }

    [Fact]
    public void APageThatIsAddedAgainHasOneEntry()
    {
        ulong[] pages = OfOneSet(FetchCache.WayCount);
        foreach (ulong page in pages)
        {
            _cache.Add(page, user: false, 0x1000, global: true, 1, 2);
        }

        _cache.Add(pages[1], user: false, 0x2000, global: false, 3, 4);
        Assert.True(_cache.TryFind(pages[1], user: false, out FetchCache.Entry entry) && entry is { Physical: 0x2000, Mapping: 3, Global: false }, "What was known of the page before is found.");
        Assert.All(pages, page => Assert.True(_cache.TryFind(page, user: false, out _), $"The page {page:x} lost its place to one that had one."));
    }

    [Fact]
    public void ForgettingAPageForgetsItForBothPrivilegesAndNoOther()
    {
        ulong[] pages = OfOneSet(2);
        foreach (ulong page in pages)
        {
            _cache.Add(page, user: false, 0x1000, global: true, 1, 2);
            _cache.Add(page, user: true, 0x1000, global: true, 1, 2);
        }

        _cache.FlushPage(pages[0] + 0x123);
        Assert.False(_cache.TryFind(pages[0], user: false, out _), "The page is still known to the supervisor.");
        Assert.False(_cache.TryFind(pages[0], user: true, out _), "The page is still known to the user.");
        Assert.True(_cache.TryFind(pages[1], user: false, out _) && _cache.TryFind(pages[1], user: true, out _), "Another page was forgotten.");
    }

    [Fact]
    public void PagesThatAreNotGlobalAreForgottenWithTheirSpace()
    {
        _cache.Add(0x1000, user: false, 0x1000, global: false, 1, 2);
        _cache.Add(0x2000, user: true, 0x2000, global: false, 1, 2);
        _cache.Add(0x3000, user: false, 0x3000, global: true, 1, 2);
        _cache.FlushLocal();
        Assert.False(_cache.TryFind(0x1000, user: false, out _), "A page of the supervisor's is known that is not global.");
        Assert.False(_cache.TryFind(0x2000, user: true, out _), "A page of the user's is known that is not global.");
        Assert.True(_cache.TryFind(0x3000, user: false, out _), "A global page was forgotten.");
        _cache.FlushAll();
        Assert.False(_cache.TryFind(0x3000, user: false, out _), "A global page outlives all.");
    }

    private static ulong[] OfOneSet(int count)
    {
        List<ulong> pages = [];
        for (ulong page = 0xffff_ffff_8100_0000; pages.Count < count; page += 0x1000)
        {
            if (FetchCache.SetOf(page, user: false) == 7)
            {
                pages.Add(page);
            }
        }

        return [.. pages];
    }
}
