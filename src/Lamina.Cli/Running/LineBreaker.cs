namespace Lamina.Cli.Running;

/// <summary>
/// Keeps typed lines short enough for a terminal line discipline, which holds 4096 bytes of an unfinished line and drops the rest: after 4000 bytes it
/// puts the end-of-file character, which hands over what there is without ending the line (POSIX, General Terminal Interface, canonical mode).
/// </summary>
internal sealed class LineBreaker
{
    /// <summary>Ctrl-D.</summary>
    public const byte EndOfFile = 4;

    private const int LongestPiece = 4000;
    private int _length;

    /// <summary>Whether the last byte ended a line, or there was none.</summary>
    public bool AtLineStart { get; private set; } = true;

    /// <summary>Appends the bytes to type for <paramref name="input"/>.</summary>
    public void Process(ReadOnlySpan<byte> input, List<byte> output)
    {
        foreach (byte value in input)
        {
            output.Add(value);
            AtLineStart = value is (byte)'\n' or (byte)'\r';
            _length = AtLineStart ? 0 : _length + 1;
            if (_length == LongestPiece)
            {
                output.Add(EndOfFile);
                _length = 0;
            }
        }
    }
}
