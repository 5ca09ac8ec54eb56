using System.Globalization;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Counts what the translator makes, and how long it takes. Told by the processors' threads, one at a time.</summary>
internal sealed class TranslationSummary : ITranslationObserver
{
    // Times by their binary logarithm in steps of a quarter, from 1 ns.
    private const int Steps = 4;
    private readonly int[] _durations = new int[Steps * 40];
    private long _count;
    private long _guestBytes;
    private long _hostBytes;
    private TimeSpan _time;

    /// <summary>How many blocks. Any thread.</summary>
    public ulong Count => (ulong)Volatile.Read(ref _count);

    /// <summary>Bytes of guest code in them. Any thread.</summary>
    public ulong GuestBytes => (ulong)Volatile.Read(ref _guestBytes);

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        Volatile.Write(ref _count, _count + 1);
        Volatile.Write(ref _guestBytes, _guestBytes + block.GuestCode.Length);
        _hostBytes += block.HostCode.Length;
        _time += block.Duration;
        double nanoseconds = Math.Max(1, block.Duration.TotalNanoseconds);
        _durations[Math.Min((int)(Steps * Math.Log2(nanoseconds)), _durations.Length - 1)]++;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        double expansion = _guestBytes == 0 ? 0 : (double)_hostBytes / _guestBytes;
        double mean = _count == 0 ? 0 : _time.TotalMicroseconds / _count;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{_count} blocks, {_guestBytes} guest bytes, {_hostBytes} host bytes: {expansion:F1} for one. {Median():F2} us a block in the median, {mean:F2} in the mean.");
    }

    private double Median()
    {
        long left = _count / 2;
        int step = 0;
        while (step < _durations.Length - 1 && left >= _durations[step])
        {
            left -= _durations[step++];
        }

        return _count == 0 ? 0 : Math.Pow(2, (step + 0.5) / Steps) / 1000;
    }
}
