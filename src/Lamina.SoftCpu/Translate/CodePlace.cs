using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>Where translated code has left: an instruction of a translation, and where to go on once it has been executed.</summary>
internal unsafe ref struct CodePlace
{
    public Translation* Translation;

    /// <summary>The instruction's position in the translation.</summary>
    public int Index;

    /// <summary>The code behind it.</summary>
    public byte* Resume;

    public readonly Instruction* Instruction
    {
        get
        {
            TranslationPart part = Translation->PartOf(Index);
            return Block.Instructions(part.Block) + (Index - part.First);
        }
    }

    /// <summary>The instruction's address in the processor that has left.</summary>
    public readonly ulong RipIn(ProcessorContext* c)
    {
        TranslationPart part = Translation->PartOf(Index);
        ulong rip = part.Rip + Translation->PageIn(c);
        Instruction* i = Block.Instructions(part.Block);
        for (int n = part.First; n < Index; n++, i++)
        {
            rip += i->Length;
        }

        return rip;
    }
}
