using Lamina.Interop.Files;

namespace Lamina.Storage.Tests;

/// <summary>How long an image that somebody else has is waited for.</summary>
public sealed class ImageLockTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    // As when the requests of a process that was killed are still under way.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatIsLetGoOfAMomentLaterIsTaken(bool writable)
    {
        File.WriteAllText(_directory["disk"], "content");
        BlockFile before = BlockFile.Open(_directory["disk"], writable: true);
        ImageLock.Take(before, writable: true);
        using BlockFile after = BlockFile.Open(_directory["disk"], writable);
        int waits = 0;
        ImageLock.Take(after, writable, _ =>
        {
            if (++waits == 3)
            {
                before.Dispose();
            }
        });
        Assert.Equal(3, waits);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void WhatIsKeptIsRefusedAfterASecond(bool first, bool second)
    {
        File.WriteAllText(_directory["disk"], "content");
        using BlockFile before = BlockFile.Open(_directory["disk"], writable: first);
        ImageLock.Take(before, writable: first);
        using BlockFile after = BlockFile.Open(_directory["disk"], writable: second);
        TimeSpan waited = TimeSpan.Zero;
        StorageException refused = Assert.Throws<StorageException>(() => ImageLock.Take(after, second, time => waited += time));
        Assert.Contains("is in use by another", refused.Message, StringComparison.Ordinal);
        Assert.InRange(waited, TimeSpan.FromSeconds(0.9), TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void ReadersDoNotWaitForEachOther()
    {
        File.WriteAllText(_directory["disk"], "content");
        using BlockFile before = BlockFile.Open(_directory["disk"], writable: false);
        using BlockFile after = BlockFile.Open(_directory["disk"], writable: false);
        ImageLock.Take(before, writable: false);
        ImageLock.Take(after, writable: false, static _ => Assert.Fail("One reader waits for another."));
    }
}
