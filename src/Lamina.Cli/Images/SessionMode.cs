namespace Lamina.Cli.Images;

/// <summary>How an image is used.</summary>
internal enum SessionMode
{
    /// <summary>A shell on a terminal.</summary>
    Terminal,

    /// <summary>A shell that is typed into from a pipe or file.</summary>
    Typed,

    /// <summary>One command.</summary>
    Command,
}
