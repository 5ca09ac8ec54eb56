namespace Lamina.Vmm.Agent;

/// <summary>A command that is to be run in a guest.</summary>
public sealed record GuestCommandSettings
{
    /// <summary>The program and its arguments, byte for byte, without zero bytes. The program is looked for as a shell does.</summary>
    public required IReadOnlyList<ReadOnlyMemory<byte>> Arguments { get; init; }

    /// <summary>Variables of its environment as NAME=VALUE, beside those that a login has. Later ones win.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Where it starts: an absolute path, or null for the home directory of root.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>The window of the terminal that it gets; null for pipes.</summary>
    public TerminalWindow? Terminal { get; init; }
}
