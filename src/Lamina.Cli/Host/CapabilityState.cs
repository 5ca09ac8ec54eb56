namespace Lamina.Cli.Host;

/// <summary>Whether the host has something.</summary>
internal enum CapabilityState
{
    /// <summary>It is there.</summary>
    Yes,

    /// <summary>It is there, with a limit that matters.</summary>
    Limited,

    /// <summary>It is not there.</summary>
    No,
}
