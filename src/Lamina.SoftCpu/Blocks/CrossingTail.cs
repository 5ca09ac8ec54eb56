namespace Lamina.SoftCpu.Blocks;

/// <summary>Where a block that crosses into another page ends.</summary>
internal unsafe struct CrossingTail
{
    /// <summary>What is listed in the second page, so that a write there drops the block: a block without instructions, whose bytes are those at the page's beginning. It comes first, so that its address is that of the whole.</summary>
    public Block Listed;

    /// <summary>The block that crosses.</summary>
    public Block* Head;

    /// <summary>Guest-physical address of the second page.</summary>
    public readonly ulong Page => Listed.Physical;
}
