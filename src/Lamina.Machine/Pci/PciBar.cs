using Lamina.Machine.AddressSpaces;

namespace Lamina.Machine.Pci;

/// <summary>One base address register and the range that it moves.</summary>
internal sealed class PciBar(int index, PciBarKind kind, ulong length, IRegisterWindow window, string name)
{
    public int Index { get; } = index;

    public PciBarKind Kind { get; } = kind;

    public ulong Length { get; } = length;

    public IRegisterWindow Window { get; } = window;

    public string Name { get; } = name;

    public bool Is64Bit => Kind is PciBarKind.Memory64 or PciBarKind.PrefetchableMemory64;

    /// <summary>The low bits, which tell the kind.</summary>
    public byte Flags => Kind switch
    {
        PciBarKind.Io => 0x1,
        PciBarKind.Memory64 => 0x4,
        PciBarKind.PrefetchableMemory64 => 0xc,
        _ => 0x0,
    };

    /// <summary>Set when the function is put on a bus.</summary>
    public AddressMapping? Mapping { get; set; }
}
