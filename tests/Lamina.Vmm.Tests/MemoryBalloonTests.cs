using Lamina.Machine.Devices;

namespace Lamina.Vmm.Tests;

/// <summary>What is said of a guest that does not get the memory that it is to have.</summary>
public sealed class MemoryBalloonTests : IBalloon, IHotAdd
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly MemoryBalloon _balloon;
    private readonly Lock _gate = new();
    private IHotAddObserver? _observer;
    private HotAddState _state = new(HotAddObstacle.None, false, 128 << 20, 0);
    private Action? _told;

    public MemoryBalloonTests() => _balloon = new MemoryBalloon(this);

    public ulong Target
    {
        get;
        set
        {
            field = value;
            _told?.Invoke();
        }
    }

    public ulong Size => 0;

    public HotAddState HotAdd
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    void IHotAdd.SetObserver(IHotAddObserver observer) => _observer = observer;

    [Theory]
    [InlineData(HotAddObstacle.None, null)]
    [InlineData(HotAddObstacle.Unsupported, "driver adds no memory")]
    [InlineData(HotAddObstacle.Alignment, "in pieces of 2048 MiB, each at a multiple of that, and 1024 MiB of what is left")]
    [InlineData(HotAddObstacle.Refused, "refused a piece of 2048 MiB, and is asked again")]
    [InlineData(HotAddObstacle.GivenUp, "Linux before 6.10")]
    [InlineData(HotAddObstacle.Limit, "no more")]
    public void EachObstacleHasItsSentence(HotAddObstacle obstacle, string? part)
    {
        _state = new HotAddState(obstacle, false, 2UL << 30, 1UL << 30);
        string? said = _balloon.SetTarget(4096, Patience);
        Assert.Equal(said, _balloon.Obstacle);
        Assert.Equal(4096UL, Target);
        if (part == null)
        {
            Assert.Null(said);
        }
        else
        {
            Assert.Contains(part, said, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void TheFirstAnswerIsWaitedForIfTheGuestWasTold()
    {
        // It answers on another thread, some time after it was told.
        _told = () =>
        {
            _state = _state with { IsUnderWay = true };
            Task.Run(() =>
            {
                lock (_gate)
                {
                    _state = _state with { IsUnderWay = false, Obstacle = HotAddObstacle.Refused };
                }

                _observer!.OnHotAddAnswer();
            });
        };
        Assert.Contains("refused", _balloon.SetTarget(0, Patience), StringComparison.Ordinal);

        // Before the caller looks.
        _told = () =>
        {
            _state = _state with { IsUnderWay = true, Obstacle = HotAddObstacle.Limit };
            _observer!.OnHotAddAnswer();
        };
        Assert.Contains("no more", _balloon.SetTarget(0, Patience), StringComparison.Ordinal);

        // A guest that does not answer is not waited for without end.
        _told = () => _state = new HotAddState(HotAddObstacle.None, true, 128 << 20, 0);
        Assert.Null(_balloon.SetTarget(0, TimeSpan.FromMilliseconds(1)));
    }
}
