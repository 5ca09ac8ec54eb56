namespace Lamina.Machine.Limits;

/// <summary>The two limits of one direction together. Under its owner's lock.</summary>
internal struct IoThrottle
{
    private TokenBucket _operations;
    private TokenBucket _bytes;

    /// <summary>Whether there is a limit.</summary>
    public readonly bool IsLimited => _operations.IsLimited || _bytes.IsLimited;

    /// <summary>When the next operation may pass, as of the last <see cref="IsOpen"/>.</summary>
    public readonly ulong OpensAt => Math.Max(_operations.OpensAt, _bytes.OpensAt);

    /// <summary>Sets the limits.</summary>
    public void Set(IoLimits limits, ulong now)
    {
        _operations.Set(limits.OperationsPerSecond, limits.BurstMilliseconds, now);
        _bytes.Set(limits.BytesPerSecond, limits.BurstMilliseconds, now);
    }

    /// <summary>Whether an operation may pass now.</summary>
    public bool IsOpen(ulong now) => _operations.IsOpen(now) & _bytes.IsOpen(now);

    /// <summary>Counts an operation that passes.</summary>
    public void Take(ulong bytes)
    {
        _operations.Take(1);
        _bytes.Take(bytes);
    }
}
