using Lamina.Machine.Devices;
using Lamina.Virtio.Balloon;

namespace Lamina.Vmm;

/// <summary>The memory balloon of a running machine: a virtio device, or that of Xen, VMware or Hyper-V. Any thread.</summary>
public sealed class MemoryBalloon : IBalloonObserver
{
    private const int PageShift = 12;
    private readonly BalloonDevice? _device;
    private readonly IBalloon? _balloon;
    private readonly Func<ulong>? _reported;
    private readonly Lock _lock = new();
    private TaskCompletionSource? _answered;

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

    private bool IsKnown => _device!.TryGetStatistic(BalloonStatistic.TotalMemory, out _);
}
