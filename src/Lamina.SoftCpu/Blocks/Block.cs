using System.Runtime.InteropServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Blocks;

/// <summary>A run of decoded instructions inside one physical page, followed in memory by its <see cref="Instruction"/>s.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Block
{
    /// <summary>Guest-physical address of the first byte.</summary>
    public ulong Physical;

    /// <summary>Next in the hash bucket.</summary>
    public Block* HashNext;

    /// <summary>Next block of the same page.</summary>
    public Block* PageNext;

    /// <summary>Number of instructions, at least 1.</summary>
    public ushort Count;

    /// <summary>Bytes of guest code.</summary>
    public ushort ByteLength;

    /// <summary>Code size for which it was decoded: 2, 4 or 8.</summary>
    public byte CodeSize;

    /// <summary>The last instruction sets RIP.</summary>
    public bool SetsRip;

    /// <summary>Cleared when the code under it changes.</summary>
    public bool Valid;

    /// <summary>Times it was interpreted, up to the point where it is translated.</summary>
    public byte Heat;

    /// <summary>Its translations, by virtual address.</summary>
    public Translation* Translations;

    /// <summary>Its translations that were dropped with others of their page, until they are made again.</summary>
    public Translation* Dropped;

    /// <summary>The first instruction.</summary>
    public static Instruction* Instructions(Block* block) => (Instruction*)(block + 1);
}
