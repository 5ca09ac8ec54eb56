namespace Lamina.Boot;

/// <summary>What a machine boots.</summary>
public sealed record BootSource
{
    /// <summary>A Linux bzImage, an ELF file with a PVH entry, or a Multiboot image.</summary>
    public required BootImage Kernel { get; init; }

    /// <summary>Initial RAM disk, or a Multiboot image's module, or null.</summary>
    public BootImage? Initrd { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>How to enter the kernel.</summary>
    public BootProtocol Protocol { get; init; } = BootProtocol.Automatic;
}
