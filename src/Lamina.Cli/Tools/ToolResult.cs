namespace Lamina.Cli.Tools;

/// <summary>How a program ended.</summary>
/// <param name="ExitCode">Its exit status.</param>
/// <param name="Output">Its output, unless a reader took it.</param>
/// <param name="Error">What it wrote to standard error.</param>
internal sealed record ToolResult(int ExitCode, string Output, string Error)
{
    /// <summary>Whether it succeeded.</summary>
    public bool Succeeded => ExitCode == 0;

    /// <summary>The line that says most about a failure: the last error line of apt and dpkg, or the last line.</summary>
    public string Reason
    {
        get
        {
            string[] lines = Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            return Array.Find(lines, l => l.StartsWith("E: ", StringComparison.Ordinal))?[3..] ?? lines.LastOrDefault() ?? $"exit status {ExitCode}";
        }
    }
}
