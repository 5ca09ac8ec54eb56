using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>Which status flags somebody may still read.</summary>
internal unsafe ref partial struct BlockTranslator
{
    // Flags that may be read after each instruction. Answers those live at the start.
    private readonly uint FindLiveness()
    {
        uint live = All;
        for (int n = _count - 1; n >= 0; n--)
        {
            bool last = n == _count - 1;
            if (last || _rips[n + 1] != Behind(n) || (InstructionAt(n)->Flags & InstructionFlags.EndsBlock) != 0)
            {
                live = FlagsAfterBranch(n, last ? null : _rips[n + 1], live);
            }

            _liveAfter[n] = live;
            FlagEffects effects = FlagEffects.Of(*InstructionAt(n));
            live = (live & ~effects.Writes) | effects.Reads;
        }

        return live;
    }

    // Those that may be read behind a jump, if those that may be read where the translation goes on are known.
    private readonly uint FlagsAfterBranch(int index, ulong? following, uint live)
    {
        Instruction* i = InstructionAt(index);
        ulong next = Behind(index);
        if (Trace.IsConditional(i))
        {
            ulong target = Target(index);
            return (following == target ? live : FlagsLiveAt(target)) | (following == next ? live : FlagsLiveAt(next));
        }

        return following != null ? live : Trace.IsJump(i) ? FlagsLiveAt(Target(index)) : i->Opcode == 0xe8 ? FlagsLiveAt(next + (ulong)i->Immediate) : All;
    }

    // Looks at the first instructions at a target in the same page.
    private readonly uint FlagsLiveAt(ulong target)
    {
        if (((target ^ _start) & ~0xfffUL) != 0)
        {
            return All;
        }

        byte* page = _cache.PageOf(_block->Physical);
        int offset = (int)(target & 0xfff);
        uint unknown = All;
        uint live = 0;
        for (int n = 0; n < 6 && offset < 0x1000 && unknown != 0; n++)
        {
            if (Decoder.Decode(page + offset, 0x1000 - offset, 8, out Instruction i) != DecodeStatus.Done)
            {
                break;
            }

            FlagEffects effects = FlagEffects.Of(i);
            live |= effects.Reads & unknown;
            unknown &= ~effects.Writes & ~effects.Reads;
            offset += i.Length;
            bool indirect = i.Opcode == 0xff && ((i.ModRm >> 3) & 7) is >= 2 and <= 5;
            if (indirect || i.Opcode is 0xe9 or 0xeb or 0xe8 or 0xc3 or 0xc2 or (>= 0x70 and <= 0x7f) or (>= 0x180 and <= 0x18f))
            {
                break;
            }
        }

        return live | unknown;
    }
}
