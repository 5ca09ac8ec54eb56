using Lamina.SoftCpu.Blocks;

namespace Lamina.SoftCpu.Translate;

/// <summary>A block that a <see cref="Translation"/> was made from.</summary>
internal unsafe struct TranslationPart
{
    /// <summary>The block.</summary>
    public Block* Block;

    /// <summary>Its RIP; in a shared translation, its offset in the page.</summary>
    public ulong Rip;

    /// <summary>Its compact translation, or null if this is it.</summary>
    public Translation* Plain;

    /// <summary>The number of its first instruction in the translation.</summary>
    public int First;

    /// <summary>Its last instruction.</summary>
    public readonly Decode.Instruction* Last => Blocks.Block.Instructions(Block) + (Block->Count - 1);

    /// <summary>The RIP behind it.</summary>
    public readonly ulong End => Rip + Block->ByteLength;
}
