using System.Globalization;
using Lamina.Machine.Devices;
using Lamina.Virtio.Balloon;

namespace Lamina.Vmm;

/// <summary>The memory balloon of a running machine: a virtio device, or that of Xen, VMware or Hyper-V. Any thread.</summary>
public sealed class MemoryBalloon : IBalloonObserver, IHotAddObserver
{
    private const int PageShift = 12;
    private readonly BalloonDevice? _device;
    private readonly IBalloon? _balloon;
    private readonly IHotAdd? _hotAdd;
    private readonly Func<ulong>? _reported;
    private readonly Lock _lock = new();
    private TaskCompletionSource? _answered;
    private TaskCompletionSource? _added;

    internal MemoryBalloon(BalloonDevice device)
    {
        _device = device;
        device.SetObserver(this);
    }

    /// <summary>Makes it over a personality's.</summary>
    /// <param name="balloon">The balloon.</param>
    /// <param name="reported">How much free memory the guest has reported; null if it cannot.</param>
    internal MemoryBalloon(IBalloon balloon, Func<ulong>? reported = null)
    {
        _balloon = balloon;
        _reported = reported;
        _hotAdd = balloon as IHotAdd;
        _hotAdd?.SetObserver(this);
    }

    /// <summary>
    /// Bytes that the guest is to give back, in whole pages of 4 KiB. A guest without a driver, or without so much to spare, does not. What a machine has beside <see cref="MachineSettings.StartMemorySize"/> counts as given back, and
    /// its guest gets it when this is less.
    /// </summary>
    public ulong Target
    {
        get => _balloon?.Target ?? (ulong)_device!.TargetPages << PageShift;
        set
        {
            if (_balloon != null)
            {
                _balloon.Target = value;
            }
            else
            {
                _device!.TargetPages = (uint)Math.Min(value >> PageShift, uint.MaxValue);
            }
        }
    }

    /// <summary>Why the guest does not get memory that it is to have beside that of the start, in a sentence; null if it does, or has no driver yet. Only of Hyper-V's.</summary>
    public string? Obstacle => _hotAdd?.HotAdd is { } state ? Describe(state) : null;

    /// <summary>Sets <see cref="Target"/>. If the guest is told to add memory at that, waits for its first answer.</summary>
    /// <param name="target">What it is to be.</param>
    /// <param name="patience">How long at most.</param>
    /// <returns><see cref="Obstacle"/> then.</returns>
    public string? SetTarget(ulong target, TimeSpan patience)
    {
        Task answer;
        lock (_lock)
        {
            _added ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            answer = _added.Task;
        }

        Target = target;
        if (_hotAdd?.HotAdd.IsUnderWay == true)
        {
            answer.Wait(patience);
        }

        return Obstacle;
    }

    /// <summary>Bytes that the guest has given back by its own account.</summary>
    public ulong Size => _balloon?.Size ?? (ulong)_device!.ActualPages << PageShift;

    /// <summary>Bytes of free memory that the guest has reported since the start; what is used and freed again counts again. Only of virtio's and Hyper-V's.</summary>
    public ulong ReportedBytes => _device?.ReportedBytes ?? _reported?.Invoke() ?? 0;

    /// <summary>Asks the guest for statistics of its memory.</summary>
    /// <returns>What it tells; empty if it has no driver, and of another balloon than virtio's.</returns>
    public async Task<IReadOnlyDictionary<BalloonStatistic, ulong>> ReadStatisticsAsync(CancellationToken cancellation)
    {
        if (_device == null)
        {
            return new Dictionary<BalloonStatistic, ulong>();
        }

        Task answer;
        lock (_lock)
        {
            _answered ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            answer = _answered.Task;
        }

        // If it cannot be asked because it is just being asked, its answer is on the way.
        bool asked = _device.RequestStatistics();
        if (asked || IsKnown)
        {
            await answer.WaitAsync(cancellation).ConfigureAwait(false);
        }

        Dictionary<BalloonStatistic, ulong> statistics = [];
        foreach (BalloonStatistic kind in Enum.GetValues<BalloonStatistic>())
        {
            if (_device.TryGetStatistic(kind, out ulong value))
            {
                statistics[kind] = value;
            }
        }

        return statistics;
    }

    /// <inheritdoc/>
    void IBalloonObserver.OnStatistics()
    {
        lock (_lock)
        {
            _answered?.TrySetResult();
            _answered = null;
        }
    }

    /// <inheritdoc/>
    void IHotAddObserver.OnHotAddAnswer()
    {
        lock (_lock)
        {
            _added?.TrySetResult();
            _added = null;
        }
    }

    private static string? Describe(HotAddState state)
    {
        string piece = string.Create(CultureInfo.InvariantCulture, $"{state.PieceLength >> 20} MiB");
        return state.Obstacle switch
        {
            HotAddObstacle.Unsupported => "The guest's driver adds no memory to what there was at the start.",
            HotAddObstacle.Alignment => string.Create(CultureInfo.InvariantCulture, $"The guest adds memory in pieces of {piece}, each at a multiple of that, and {state.Unreachable >> 20} MiB of what is left are not within a whole one."),
            HotAddObstacle.Refused => $"The guest has refused a piece of {piece}, and is asked again.",
            HotAddObstacle.GivenUp =>
                $"The guest has refused a piece of {piece} again and again, and is not asked any more until this is said anew. Linux before 6.10 refuses all if its blocks of memory are longer than 128 MiB, as they are with 64 GiB and more, unless what it started with is an odd multiple of 128 MiB.",
            HotAddObstacle.Limit => "The guest has said that it can have no more.",
            _ => null,
        };
    }

    private bool IsKnown => _device!.TryGetStatistic(BalloonStatistic.TotalMemory, out _);
}
