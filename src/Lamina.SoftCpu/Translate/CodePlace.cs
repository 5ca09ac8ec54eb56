using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>Where translated code has left: an instruction of a block, and where to go on once it has been executed.</summary>
internal unsafe ref struct CodePlace
{
    public Translation* Translation;

    /// <summary>The instruction's position in the block.</summary>
    public int Index;

    /// <summary>The code behind it.</summary>
    public byte* Resume;

    public readonly Instruction* Instruction => Block.Instructions(Translation->Block) + Index;

    /// <summary>The instruction's address.</summary>
    public readonly ulong Rip
    {
        get
        {
            ulong rip = Translation->Rip;
            Instruction* i = Block.Instructions(Translation->Block);
            for (int n = 0; n < Index; n++, i++)
            {
                rip += i->Length;
            }

            return rip;
        }
    }
}
