namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Console"/>.</summary>
public sealed record ConsoleArguments
{
    /// <summary>How many of the bytes that the console has shown before come first, as far as they are kept.</summary>
    public int Scrollback { get; set; } = 16 << 10;

    /// <summary>Whether what the client sends is not typed into the guest.</summary>
    public bool ReadOnly { get; set; }
}
