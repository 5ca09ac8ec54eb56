using Lamina.Machine.Devices;
using Lamina.Vmm.Tests.Fakes;

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
    public async Task AMachineSaysWhyItsGuestDoesNotGetMemory()
    {
        const ulong Start = 16 << 20;
        const ulong Piece = 128 << 20;
        FakeAccelerator accelerator = new(static p => p.Spin());
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with { Personality = PersonalityKind.HyperV, MemorySize = Start + (3 * Piece), StartMemorySize = Start });
        machine.Start();
        MemoryBalloon balloon = machine.Balloon!;
        Assert.Null(balloon.SetTarget(Piece, Patience));
        PlayedDriver driver = new(accelerator.Settings!);
        driver.Connect();

        // Pieces of 256 MiB, of which there is one; it comes as soon as the driver is there.
        driver.OpenDynamicMemory(1 | 2 | (8 << 2));
        Assert.Equal(10, driver.Take()![0]);
        driver.AnswerHotAdd(0, succeeded: false);
        Assert.Contains("refused a piece of 256 MiB", balloon.Obstacle, StringComparison.Ordinal);

        // Said anew, it is asked again, and its answer is waited for.
        Task<string?> said = Task.Run(() => balloon.SetTarget(Piece, Patience), TestContext.Current.CancellationToken);
        byte[]? add = null;
        Assert.True(SpinWait.SpinUntil(() => (add = driver.Take()) != null, Patience), "The guest is not asked again.");
        Assert.Equal(10, add![0]);
        driver.AnswerHotAdd((uint)(2 * Piece >> 12), succeeded: true);
        Assert.Null(await said);
        Assert.Equal(Piece, balloon.Size);

        // The rest is no whole piece.
        Assert.Contains("128 MiB of what is left", balloon.SetTarget(0, Patience), StringComparison.Ordinal);
        Assert.Equal(Piece, balloon.Size);
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
