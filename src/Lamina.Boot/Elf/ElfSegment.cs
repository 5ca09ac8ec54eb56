namespace Lamina.Boot.Elf;

/// <summary>A program header of an ELF file.</summary>
internal readonly record struct ElfSegment(uint Type, ulong FileOffset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize, ulong Alignment)
{
    internal const uint Loadable = 1;
    internal const uint Notes = 4;
}
