namespace Lamina.Boot;

/// <summary>How a kernel is entered.</summary>
public enum BootProtocol
{
    /// <summary>What the image itself offers, best first: 64-bit Linux, 32-bit Linux; PVH, Multiboot; ROM.</summary>
    Automatic,

    /// <summary>Linux boot protocol, 64-bit entry (long mode, identity page tables).</summary>
    Linux64,

    /// <summary>Linux boot protocol, 32-bit entry (protected mode, no paging).</summary>
    Linux32,

    /// <summary>PVH: 32-bit entry named by an ELF note.</summary>
    Pvh,

    /// <summary>Multiboot 0.6.96 (version 1): 32-bit entry named by the ELF header, or by the Multiboot header of any file.</summary>
    Multiboot,

    /// <summary>A program in the place of firmware: 64 or 128 KiB below 1 MiB, entered in real mode at the processor's reset vector.</summary>
    Rom,
}
