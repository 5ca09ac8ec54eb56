using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu;

/// <summary>Running translated code.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private const int TranslationThreshold = 2;

    private readonly CodeCache? _code;

    /// <summary>Instructions interpreted for translated code.</summary>
    public ulong Assisted { get; private set; }

    /// <summary>The block's code for the current address, translated if it has been executed often enough; null: interpret.</summary>
    private byte* FindCode(ProcessorContext* c, Block* block)
    {
        Translation* t = CodeCache.Find(block, c->Rip);
        if (t == null)
        {
            if (block->Heat < TranslationThreshold && _lockstep == null)
            {
                block->Heat++;
                return null;
            }

            if (_code!.IsFull)
            {
                _partition.ClearBlocks(c);
                return null;
            }

            t = _code.Translate(block, c->Rip);
            if (t == null)
            {
                return null;
            }
        }

        JumpEntry* entry = JumpFor(c->Rip);
        if (entry->Block == block && entry->Linear == c->Rip && _lockstep == null)
        {
            entry->Code = t->Entry;
        }

        return t->Entry;
    }

    /// <summary>Runs code until it leaves for the run loop. False: shut down.</summary>
    private bool RunTranslated(ProcessorContext* c, byte* code)
    {
        while (true)
        {
            c->FetchKey = FetchKey(c);
            c->SavedFlags = PackFlags(c);
            TranslationExit exit = _code!.Enter(c, code);
            UnpackFlags(c);
            switch (exit)
            {
                case TranslationExit.Dispatch:
                    return true;
                case TranslationExit.Link when _lockstep != null:
                    c->Rip = c->ExitData[0];
                    return true;
                case TranslationExit.Link:
                    Link(c);
                    return true;
            }

            ulong* data = c->ExitData;
            Instruction* i = (Instruction*)data[0];
            ulong rip = data[1];
            c->Rip = rip;
            Assisted++;
            bool done = i->Handler(c, i);
            c->InstructionsRetired += done ? 1UL : 0;
            if (!done)
            {
                return Leave(c);
            }

            if ((i->Flags & InstructionFlags.EndsBlock) != 0)
            {
                return true;
            }

            if (c->Attention != 0 || (i->Flags & InstructionFlags.Dropped) != 0)
            {
                c->Rip = rip + i->Length;
                return true;
            }

            code = (byte*)(data + 2);
        }
    }

    private void Link(ProcessorContext* c)
    {
        ulong* data = c->ExitData;
        c->Rip = data[0];
        byte* place = (byte*)data[1];
        Block* from = (Block*)data[2];
        int epoch = _blocks.Epoch;
        Block* to = FindBlock(c);
        if (to == null || epoch != _blocks.Epoch || to->CodeSize != 8 || ((to->Physical ^ from->Physical) & PageMask) != 0)
        {
            return;
        }

        byte* code = FindCode(c, to);
        if (code != null && epoch == _blocks.Epoch)
        {
            _code!.Link(from, place, to, CodeCache.Find(to, c->Rip));
        }
    }

    private JumpEntry* JumpFor(ulong linear) => _jumps + ((linear ^ (linear >> 12)) & (JumpCount - 1));

    // LAHF and SETO.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort PackFlags(ProcessorContext* c)
    {
        uint flags = Flags.GetStatus(c);
        return (ushort)(((flags & 0xd5) << 8) | ((flags >> 11) & 1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void UnpackFlags(ProcessorContext* c)
    {
        uint saved = c->SavedFlags;
        uint flags = saved >> 8;
        c->FlagCarry = (flags & (Flags.Carry | Flags.Adjust)) | ((saved & 1) << 11);
        c->FlagZero = (flags & Flags.Zero) ^ Flags.Zero;
        c->FlagSign = ((ulong)(flags & Flags.Sign) << 56) | (((flags & Flags.Parity) ^ Flags.Parity) >> 2);
    }
}
