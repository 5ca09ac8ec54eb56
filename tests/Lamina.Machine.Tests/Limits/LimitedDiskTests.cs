using Lamina.Machine.Backends;
using Lamina.Machine.Limits;

namespace Lamina.Machine.Tests.Limits;

/// <summary>Requests that come too fast, by the machine's clock.</summary>
public sealed class LimitedDiskTests : IBlockBackend, IBlockCompletion
{
    private const ulong Millisecond = 1_000_000;
    private const ulong Second = 1_000_000_000;
    private readonly ManualClock _clock = new();
    private readonly List<int> _submitted = [];
    private readonly List<int> _completed = [];
    private bool _endsAtOnce = true;
    private int _drained;
    private int _next;
    private Action? _draining;

    public ulong Length => 1 << 30;

    public bool IsReadOnly => false;

    public bool CanDiscard => true;

    public uint PreferredBlock => 4096;

    bool IBlockBackend.Submit(BlockRequest request)
    {
        _submitted.Add(request.Tag);
        request.Result = BlockResult.Done;
        return _endsAtOnce;
    }

    void IBlockBackend.Drain()
    {
        _drained++;
        if (_draining is { } draining)
        {
            _draining = null;
            draining();
        }
    }

    void IBlockCompletion.OnCompleted(BlockRequest request) => _completed.Add(request.Tag);

    [Fact]
    public void WithoutLimitsNothingWaits()
    {
        LimitedDisk disk = Create(IoLimits.None);
        for (int i = 0; i < 10_000; i++)
        {
            Assert.True(disk.Submit(Make(BlockOperation.Write, 1 << 20)));
        }

        Assert.Equal(0, _clock.Armed);
    }

    [Fact]
    public void OperationsPassAtTheirRateAfterABurst()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 1000, BurstMilliseconds = 100 });
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(i < 100, disk.Submit(Make(BlockOperation.Read, 512)));
        }

        Assert.Equal(100, _submitted.Count);
        _clock.Advance(10 * Millisecond);
        Assert.InRange(_submitted.Count, 109, 111);
        _clock.Advance(490 * Millisecond);
        Assert.InRange(_submitted.Count, 599, 601);
        _clock.Advance(Second);
        Assert.Equal(Enumerable.Range(0, 1000), _submitted);
        Assert.Equal(Enumerable.Range(100, 900), _completed);

        // What was not used is saved up, as far as the burst goes.
        _clock.Advance(10 * Second);
        Assert.Equal(100, Enumerable.Range(0, 500).Count(_ => disk.Submit(Make(BlockOperation.Read, 512))));
    }

    [Fact]
    public void BytesPassAtTheirRateHoweverLargeTheRequests()
    {
        LimitedDisk disk = Create(new IoLimits { BytesPerSecond = 1 << 20, BurstMilliseconds = 10 });
        for (int i = 0; i < 100; i++)
        {
            disk.Submit(Make(BlockOperation.Write, 1 << 20));
        }

        _clock.Advance(30 * Second);
        Assert.InRange(_submitted.Count, 30, 32);

        // Without bytes there is nothing to wait for but the others.
        disk.Submit(Make(BlockOperation.Flush, 0));
        Assert.InRange(_submitted.Count, 30, 32);
    }

    [Fact]
    public void TimersThatComeLateLoseNothing()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 1000, BurstMilliseconds = 500 });
        for (int i = 0; i < 1000; i++)
        {
            disk.Submit(Make(BlockOperation.Read, 512));
        }

        _clock.AdvanceLate(300 * Millisecond);
        Assert.InRange(_submitted.Count, 799, 801);
    }

    [Fact]
    public void OtherLimitsHoldForThoseThatWait()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 1, BurstMilliseconds = 1 });
        for (int i = 0; i < 50; i++)
        {
            disk.Submit(Make(BlockOperation.Read, 512));
        }

        Assert.Single(_submitted);
        disk.SetLimits(new IoLimits { OperationsPerSecond = 10, BurstMilliseconds = 1000 });
        _clock.Advance(1);
        Assert.InRange(_submitted.Count, 11, 12);
        disk.SetLimits(IoLimits.None);
        _clock.Advance(1);
        Assert.Equal(50, _submitted.Count);
        Assert.Equal(0, _clock.Armed);
        Assert.True(disk.Submit(Make(BlockOperation.Read, 512)));
    }

    [Fact]
    public void DrainingWaitsForNoAllowance()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 1, BurstMilliseconds = 1 });
        _endsAtOnce = false;
        for (int i = 0; i < 5; i++)
        {
            Assert.False(disk.Submit(Make(BlockOperation.Write, 512)));
        }

        disk.Drain();
        Assert.Equal((5, 1), (_submitted.Count, _drained));
        Assert.Empty(_completed);
    }

    [Fact]
    public void DrainingWaitsForWhatFollowsWhatEnds()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 1, BurstMilliseconds = 1 });
        _endsAtOnce = false;
        Assert.False(disk.Submit(Make(BlockOperation.Write, 512)));
        _draining = () => disk.Submit(Make(BlockOperation.Write, 512));
        disk.Drain();
        Assert.Equal((2, 2), (_submitted.Count, _drained));
    }

    [Theory]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(1ul, uint.MaxValue)]
    [InlineData(ulong.MaxValue, uint.MaxValue)]
    public void ExtremesAreHarmless(ulong rate, uint burst)
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = rate, BytesPerSecond = rate, BurstMilliseconds = burst });
        for (int i = 0; i < 100; i++)
        {
            disk.Submit(Make(BlockOperation.Write, uint.MaxValue));
            _clock.Advance(1000 * Second);
        }

        disk.Drain();
        Assert.Equal(100, _submitted.Count);
    }

    [Fact]
    public void NothingIsAllocatedPerRequest()
    {
        LimitedDisk disk = Create(new IoLimits { OperationsPerSecond = 10, BurstMilliseconds = 100 });
        BlockRequest[] requests = [.. Enumerable.Range(0, 100).Select(_ => Make(BlockOperation.Read, 512))];
        _submitted.Capacity = 1000;
        _completed.Capacity = 1000;
        long start = GC.GetAllocatedBytesForCurrentThread();
        foreach (BlockRequest request in requests)
        {
            disk.Submit(request);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - start);
    }

    private LimitedDisk Create(IoLimits limits) => new(this, _clock, new TestLock(), limits);

    private BlockRequest Make(BlockOperation operation, uint length)
    {
        BlockRequest request = new(_next++, 1, this) { Operation = operation };
        request.TryAdd(new GuestBuffer(0, 0, length));
        return request;
    }
}
