using Lamina.Machine.Backends;

namespace Lamina.Cli.Running;

/// <summary>
/// The guest's console on standard output. A guest ends lines with carriage return and line feed, for a terminal in raw mode; anything else gets line feeds.
/// </summary>
internal sealed class ConsoleOutput(ICharacterOutput inner, bool raw) : ICharacterOutput
{
    private const byte CarriageReturn = (byte)'\r';
    private const byte LineFeed = (byte)'\n';
    private bool _heldReturn;

    /// <summary>Whether the cursor stands at the left.</summary>
    public bool AtLineStart { get; private set; } = true;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        AtLineStart = data[^1] == LineFeed;
        if (raw)
        {
            inner.Write(data);
            return;
        }

        if (_heldReturn && data[0] != LineFeed)
        {
            inner.Write([CarriageReturn]);
        }

        _heldReturn = false;
        int start = 0;
        for (int i = 0; i < data.Length; i++)
        {
            if (data[i] == CarriageReturn && (i + 1 == data.Length || data[i + 1] == LineFeed))
            {
                inner.Write(data[start..i]);
                start = i + 1;
                _heldReturn = start == data.Length;
            }
        }

        inner.Write(data[start..]);
    }
}
