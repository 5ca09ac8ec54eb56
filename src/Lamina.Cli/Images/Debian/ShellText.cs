namespace Lamina.Cli.Images.Debian;

/// <summary>Writes words for a POSIX shell.</summary>
internal static class ShellText
{
    private static ReadOnlySpan<byte> QuoteInQuotes => "'\\''"u8;

    /// <summary>Appends a word in single quotes, byte for byte.</summary>
    public static void AppendQuoted(List<byte> text, ReadOnlySpan<byte> word)
    {
        text.Add((byte)'\'');
        foreach (byte value in word)
        {
            if (value == '\'')
            {
                text.AddRange(QuoteInQuotes);
            }
            else
            {
                text.Add(value);
            }
        }

        text.Add((byte)'\'');
    }

    /// <summary>A script that becomes the command: <c>set -- WORDS</c>, then <paramref name="ending"/>.</summary>
    public static byte[] CreateCommandScript(IReadOnlyList<ReadOnlyMemory<byte>> command, ReadOnlySpan<byte> ending)
    {
        List<byte> text = [.. "set --"u8];
        foreach (ReadOnlyMemory<byte> word in command)
        {
            text.Add((byte)' ');
            AppendQuoted(text, word.Span);
        }

        text.Add((byte)'\n');
        text.AddRange(ending);
        return [.. text];
    }
}
