namespace Lamina.Cli.Arguments;

/// <summary>Where the first serial port goes.</summary>
internal enum SerialTargetKind
{
    /// <summary>Nothing was said: this terminal, or a hidden log while a command runs.</summary>
    Default,

    /// <summary>This terminal.</summary>
    StandardStreams,

    /// <summary>Nowhere.</summary>
    Null,

    /// <summary>A file.</summary>
    File,
}
