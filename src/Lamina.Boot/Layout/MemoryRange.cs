namespace Lamina.Boot.Layout;

/// <summary>A range of guest-physical addresses as the guest is told of it.</summary>
public readonly record struct MemoryRange(ulong Address, ulong Length, MemoryRangeType Type)
{
    /// <summary>The address after the last.</summary>
    public ulong End => Address + Length;
}
