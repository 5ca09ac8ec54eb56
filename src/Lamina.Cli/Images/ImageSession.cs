using Lamina.Cli.Arguments;

namespace Lamina.Cli.Images;

/// <summary>What an image's first process is told.</summary>
internal sealed record ImageSession
{
    /// <summary>How it is used.</summary>
    public required SessionMode Mode { get; init; }

    /// <summary>What the guest needs drivers for.</summary>
    public GuestHardware Hardware { get; init; }

    /// <summary>The shared folders.</summary>
    public IReadOnlyList<ShareArgument> Shares { get; init; } = [];

    /// <summary>The host name.</summary>
    public string HostName { get; init; } = "lamina";

    /// <summary>Rows of the terminal.</summary>
    public int Rows { get; init; } = 24;

    /// <summary>Columns of the terminal.</summary>
    public int Columns { get; init; } = 80;

    /// <summary>The terminal's type, as TERM names it.</summary>
    public string TerminalType { get; init; } = "vt100";

    /// <summary>The command and its arguments.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Command { get; init; } = [];
}
