using Lamina.Machine.Backends;

namespace Lamina.Cli.Control;

/// <summary>
/// Keeps the end of what the console has shown, for any number of readers, each with a place of its own. The guest never waits for a reader: one that is too slow misses the middle.
/// </summary>
internal sealed class ConsoleHub : ICharacterOutput
{
    private const int Capacity = 1 << 20;

    // Most consoles show little, and memory that is touched when a machine starts delays it. So the ring grows, and until it has its full length nothing goes around.
    private const int FirstLength = 4 << 10;
    private byte[] _ring = new byte[FirstLength];
    private readonly object _gate = new();
    private long _total;
    private int _waiting;
    private bool _ended;

    /// <summary>Bytes shown since the start.</summary>
    public long Total
    {
        get
        {
            lock (_gate)
            {
                return _total;
            }
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            if (data.Length > Capacity)
            {
                _total += data.Length - Capacity;
                data = data[^Capacity..];
            }

            if (_ring.Length < Capacity && _total + data.Length > _ring.Length)
            {
                Grow(_total + data.Length);
            }

            int at = (int)(_total % Capacity);
            int first = Math.Min(data.Length, Capacity - at);
            data[..first].CopyTo(_ring.AsSpan(at));
            data[first..].CopyTo(_ring);
            _total += data.Length;
            if (_waiting > 0)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>No more is shown. Readers come to their end.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Makes a reader, which begins so many bytes before the end, or as many as are kept.</summary>
    public ConsoleReader CreateReader(int scrollback)
    {
        lock (_gate)
        {
            return new ConsoleReader(this, _total - Math.Clamp(scrollback, 0, Math.Min(_total, Capacity)));
        }
    }

    private void Grow(long needed)
    {
        int length = _ring.Length;
        while (length < Capacity && length < needed)
        {
            length *= 2;
        }

        Array.Resize(ref _ring, length);
    }

    /// <summary>Has readers that wait look whether they are cancelled.</summary>
    internal void WakeReaders()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Copies what follows a position, and moves it.</summary>
    /// <param name="reader">Who reads.</param>
    /// <param name="position">Where.</param>
    /// <param name="buffer">Where to.</param>
    /// <param name="wait">Whether to wait for something.</param>
    /// <returns>The number of bytes; 0 at the end, when the reader was cancelled, or if there is nothing and it does not wait.</returns>
    internal int Read(ConsoleReader reader, ref long position, Span<byte> buffer, bool wait)
    {
        lock (_gate)
        {
            while (position == _total && wait && !_ended && !reader.IsCancelled)
            {
                _waiting++;
                Monitor.Wait(_gate);
                _waiting--;
            }

            if (reader.IsCancelled)
            {
                return 0;
            }

            position = Math.Max(position, _total - Capacity);
            int at = (int)(position % Capacity);
            int count = (int)Math.Min(Math.Min(_total - position, buffer.Length), Capacity - at);
            _ring.AsSpan(at, count).CopyTo(buffer);
            position += count;
            return count;
        }
    }
}
