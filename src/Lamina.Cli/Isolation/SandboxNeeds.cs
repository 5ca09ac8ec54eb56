using Lamina.Cli.Arguments;

namespace Lamina.Cli.Isolation;

/// <summary>What a machine's process has to reach once the guest runs, beyond what it has open.</summary>
internal sealed record SandboxNeeds
{
    /// <summary>Folders that the guest shares.</summary>
    public IReadOnlyList<ShareArgument> Shares { get; init; } = [];

    /// <summary>Whether the guest may connect to sockets of the host (<c>--vsock</c>).</summary>
    public bool ConnectsToHost { get; init; }

    /// <summary>Directories in which the process has made sockets, and removes them at its end.</summary>
    public IReadOnlyList<string> SocketFolders { get; init; } = [];

    /// <summary>The directory of a detached machine's log, which begins anew when it has grown; null for none.</summary>
    public string? LogFolder { get; init; }
}
