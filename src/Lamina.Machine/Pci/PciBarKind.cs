namespace Lamina.Machine.Pci;

/// <summary>What a base address register asks for (PCI 3.0, section 6.2.5.1).</summary>
public enum PciBarKind
{
    /// <summary>I/O ports.</summary>
    Io,

    /// <summary>Memory below 4 GiB.</summary>
    Memory32,

    /// <summary>Memory anywhere; takes two registers.</summary>
    Memory64,

    /// <summary>Prefetchable memory anywhere; takes two registers.</summary>
    PrefetchableMemory64,
}
