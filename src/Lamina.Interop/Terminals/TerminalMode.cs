namespace Lamina.Interop.Terminals;

/// <summary>
/// A terminal in raw mode: every key arrives at once and untouched. <see cref="Restore"/>, or disposal, brings the mode back that was found. Restoring is
/// safe from any thread, any number of times, and in a signal or process-exit callback of the runtime.
/// </summary>
public sealed unsafe class TerminalMode : IDisposable
{
    private const int Now = 0;
    private const nuint GetWindowSize = 0x5413;
    private readonly int _descriptor;
    private readonly TerminalAttributes _original;
    private int _restored;

    private TerminalMode(int descriptor, TerminalAttributes original)
    {
        _descriptor = descriptor;
        _original = original;
    }

    /// <summary>Whether the descriptor is a terminal.</summary>
    public static bool IsTerminal(int descriptor) => NativeMethods.IsTerminal(descriptor) == 1;

    /// <summary>The size of the terminal's window.</summary>
    /// <returns><c>false</c> if it is no terminal, or one that does not know its size.</returns>
    public static bool TryGetSize(int descriptor, out TerminalSize size)
    {
        ushort* cells = stackalloc ushort[4];
        // SAFETY: struct winsize is four 16-bit fields: rows, columns, and two unused.
        int result = NativeMethods.Control(descriptor, GetWindowSize, cells);
        size = result == 0 ? new TerminalSize(cells[1], cells[0]) : default;
        return result == 0 && size.Columns > 0 && size.Rows > 0;
    }

    /// <summary>Puts a terminal into raw mode.</summary>
    /// <param name="descriptor">The terminal.</param>
    /// <param name="translateOutput">Leave output processing on, so that a line feed still starts a new line.</param>
    /// <returns>The mode to restore, or null if the descriptor is no terminal.</returns>
    /// <exception cref="SystemCallException">The terminal refuses.</exception>
    public static TerminalMode? TryEnterRaw(int descriptor, bool translateOutput = false)
    {
        TerminalAttributes original;
        // SAFETY: the structure has the C library's layout (a test compares its size).
        if (!IsTerminal(descriptor) || NativeMethods.GetTerminal(descriptor, &original) != 0)
        {
            return null;
        }

        TerminalAttributes raw = original;
        NativeMethods.MakeRaw(&raw);
        if (translateOutput)
        {
            raw.Output = original.Output;
        }

        if (NativeMethods.SetTerminal(descriptor, Now, &raw) != 0)
        {
            throw SystemCallException.FromLastError("tcsetattr");
        }

        return new TerminalMode(descriptor, original);
    }

    /// <summary>Brings the mode back that was found. Later calls do nothing. A terminal that has gone away is left alone.</summary>
    public void Restore()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
        {
            TerminalAttributes original = _original;
            // SAFETY: as in TryEnterRaw.
            _ = NativeMethods.SetTerminal(_descriptor, Now, &original);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Restore();
}
