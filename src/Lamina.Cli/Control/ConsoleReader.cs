namespace Lamina.Cli.Control;

/// <summary>A place in what the console shows.</summary>
internal sealed class ConsoleReader(ConsoleHub hub, long position)
{
    private long _position = position;
    private volatile bool _cancelled;

    /// <summary>Whether nobody wants to read any more.</summary>
    public bool IsCancelled => _cancelled;

    /// <summary>Reads on.</summary>
    /// <returns>The number of bytes; 0 at the end, after <see cref="Cancel"/>, or if there is nothing and <paramref name="wait"/> is not set.</returns>
    public int Read(Span<byte> buffer, bool wait) => hub.Read(this, ref _position, buffer, wait);

    /// <summary>Ends reading. Any thread.</summary>
    public void Cancel()
    {
        _cancelled = true;
        hub.WakeReaders();
    }
}
