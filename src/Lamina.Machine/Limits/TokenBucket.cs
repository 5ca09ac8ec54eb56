namespace Lamina.Machine.Limits;

/// <summary>
/// Lets so many things a second pass, and so many at once. One thing passes as long as the bucket is not in debt, however large it is, and makes debts that later ones wait for:
/// so a request that is larger than the bucket passes, too, and the rate holds. Under its owner's lock.
/// </summary>
internal struct TokenBucket
{
    private const ulong Second = 1_000_000_000;
    private ulong _rate;
    private Int128 _capacity;
    private Int128 _level;
    private ulong _filledAt;

    // The level counts things by the time at which they come: a thing is a second's worth of nanoseconds divided by the rate.

    /// <summary>Whether there is a limit.</summary>
    public readonly bool IsLimited => _rate != 0;

    /// <summary>Sets a rate, and a full bucket.</summary>
    public void Set(ulong rate, uint burstMilliseconds, ulong now)
    {
        _rate = rate;
        _capacity = (Int128)rate * Math.Max(burstMilliseconds, 1u) * (Second / 1000);
        _level = _capacity;
        _filledAt = now;
    }

    /// <summary>Whether something may pass now.</summary>
    public bool IsOpen(ulong now)
    {
        if (now > _filledAt)
        {
            _level = Int128.Min(_capacity, _level + ((Int128)_rate * (now - _filledAt)));
            _filledAt = now;
        }

        return _rate == 0 || _level > 0;
    }

    /// <summary>Takes so many things out, into debt if need be.</summary>
    public void Take(ulong count) => _level -= _rate == 0 ? 0 : (Int128)count * Second;

    /// <summary>When something may pass, as of the last <see cref="IsOpen"/>.</summary>
    public readonly ulong OpensAt => _rate == 0 || _level > 0 ? _filledAt : _filledAt + (ulong)Int128.Min((-_level / _rate) + 1, 3600 * (Int128)Second);
}
