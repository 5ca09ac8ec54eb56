namespace Lamina.Machine.Memory;

/// <summary>One run of guest RAM over one host mapping.</summary>
/// <param name="Address">Guest-physical address of the first byte; a multiple of 4096.</param>
/// <param name="Length">Length in bytes; a multiple of 4096.</param>
/// <param name="HostAddress">Host virtual address of the first byte. The mapping outlives the memory object.</param>
public readonly record struct GuestMemoryRegion(ulong Address, ulong Length, nint HostAddress)
{
    /// <summary>Guest-physical address of the byte after the last.</summary>
    public ulong End => Address + Length;
}
