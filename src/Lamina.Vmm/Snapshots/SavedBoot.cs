namespace Lamina.Vmm.Snapshots;

/// <summary>What a machine boots, in a snapshot's manifest. The images are files of the snapshot.</summary>
public sealed record SavedBoot
{
    /// <summary>How the kernel is entered: a name of <see cref="Boot.BootProtocol"/>.</summary>
    public string Protocol { get; set; } = "";

    /// <summary>Whether there is an initial RAM disk.</summary>
    public bool HasInitrd { get; set; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; set; } = "";
}
