namespace Lamina.Cli.Output;

/// <summary>Lines for the person, on standard error.</summary>
internal static class Messages
{
    /// <summary>Whether this terminal does not start a new line at the left by itself.</summary>
    public static bool TerminalIsRaw { get; set; }

    /// <summary>Writes one line.</summary>
    public static void Write(string message)
    {
        string line = $"lamina: {message.ReplaceLineEndings(" ")}{(TerminalIsRaw ? "\r\n" : "\n")}";
        Console.Error.Write(line);
    }
}
