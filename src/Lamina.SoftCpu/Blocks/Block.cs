using System.Runtime.InteropServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// A run of decoded instructions inside one physical page, or one instruction that begins in a page and ends in another, followed in memory by its <see cref="Instruction"/>s and, in the second case, by its <see cref="CrossingTail"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Block
{
    private const int SizeBits = 0xf;
    private const int User = 0x10;

    /// <summary>Guest-physical address of the first byte.</summary>
    public ulong Physical;

    /// <summary>Next in the hash bucket.</summary>
    public Block* HashNext;

    /// <summary>Next block of the same page.</summary>
    public Block* PageNext;

    /// <summary>Number of instructions, at least 1; 0 is the place in the second page of one that crosses.</summary>
    public ushort Count;

    /// <summary>Bytes of guest code.</summary>
    public ushort ByteLength;

    /// <summary>For which code it was decoded: see <see cref="ModeOf"/>.</summary>
    public byte Mode;

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

    /// <summary>Code size for which it was decoded: 2, 4 or 8.</summary>
    public readonly int CodeSize => CodeSizeOf(Mode);

    /// <summary>Whether its only instruction ends in another page. Then it may run only where that page follows the first.</summary>
    public readonly bool Crosses => (Physical & 0xfff) + ByteLength > 0x1000;

    /// <summary>
    /// What decides, beside memory, which block is found: the code size, and in 64-bit code the privilege, for a translation's jumps lead to where that one may execute.
    /// </summary>
    public static int ModeOf(ProcessorContext* c) => c->CodeSize | (c->CodeSize == 8 && c->Cpl == 3 ? User : 0);

    /// <summary>The code size of a mode.</summary>
    public static int CodeSizeOf(int mode) => mode & SizeBits;

    /// <summary>The first instruction.</summary>
    public static Instruction* Instructions(Block* block) => (Instruction*)(block + 1);

    /// <summary>Where one that crosses ends.</summary>
    public static CrossingTail* Tail(Block* block) => (CrossingTail*)(Instructions(block) + 1);
}
