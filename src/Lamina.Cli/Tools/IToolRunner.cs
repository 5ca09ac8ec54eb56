namespace Lamina.Cli.Tools;

/// <summary>Runs programs of the host.</summary>
internal interface IToolRunner
{
    /// <summary>Whether a program is on the path.</summary>
    bool Exists(string tool);

    /// <summary>Runs a program to its end, with no input.</summary>
    /// <param name="tool">Its name.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="directory">The directory it runs in, or null for this one.</param>
    /// <param name="onOutput">Is given each line of output while it runs, or null.</param>
    /// <param name="cancellation">Ends the program.</param>
    ToolResult Run(string tool, IReadOnlyList<string> arguments, string? directory, Action<string>? onOutput, CancellationToken cancellation);

    /// <summary>Runs a program and hands its output to a reader while it comes.</summary>
    ToolResult RunAndRead(string tool, IReadOnlyList<string> arguments, Action<Stream> reader, CancellationToken cancellation);
}
