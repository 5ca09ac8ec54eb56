using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Which memory operands look at a slot first (<see cref="ProcessorContext.Slots"/>): those of the stack, and those of a loop that go through memory in steps. A slot that
/// misses costs more than the TLB does, so nothing else has one.
/// </summary>
internal unsafe ref partial struct BlockTranslator
{
    // The slot for a memory operand, or none.
    private int SlotOf(Instruction* i, bool write)
    {
        bool flat = i->Segment < SegmentRegister.Fs && i->AddressSize == 8;
        if (!flat)
        {
            return MissRoutines.NoSlot;
        }

        if (i->Base == 4 && i->Index == ProcessorContext.ZeroRegister)
        {
            return MissRoutines.Stack;
        }

        if (!_isLoop || !GoesInSteps(i))
        {
            return MissRoutines.NoSlot;
        }

        // One slot for each way to form an address, and for each page of displacements.
        int key = (1 << 12) | i->Base | (i->Index << 5) | (i->Scale << 10) | ((i->Displacement >> 12) << 13);
        int first = write ? 1 + ProcessorContext.LoopReads : 1;
        int end = write ? ProcessorContext.SlotCount : first + ProcessorContext.LoopReads;
        for (int slot = first; slot < end; slot++)
        {
            if (_keys[slot] == key || _keys[slot] == 0)
            {
                _keys[slot] = key;
                return slot;
            }
        }

        return MissRoutines.NoSlot;
    }

    // The registers of an address change only by addition, if at all; what has no base is an array at a fixed place, and may be indexed by anything.
    private readonly bool GoesInSteps(Instruction* operand)
    {
        if (operand->Base == ProcessorContext.ZeroRegister)
        {
            return true;
        }

        for (int n = 0; n < _count; n++)
        {
            Instruction* i = InstructionAt(n);
            int written = FindWritten(i, out bool step);
            if (written >= 0 && !step && (written == operand->Base || written == operand->Index))
            {
                return false;
            }
        }

        return true;
    }

    // The general register that an instruction writes, as far as this matters; whether by adding to it.
    private readonly int FindWritten(Instruction* i, out bool step)
    {
        int op = i->Opcode;
        int digit = (i->ModRm >> 3) & 7;
        int rm = i->IsMemory ? -1 : i->Rm;
        bool fromMemory = i->IsMemory;
        step = false;
        if (i->Map != 0)
        {
            return op is (>= 0x140 and <= 0x14f) or 0x1af or 0x1b6 or 0x1b7 or 0x1be or 0x1bf or 0x1bc or 0x1bd ? i->Reg
                : FindVectorRow(i) is not { } row ? -1
                : row.Reg == OperandKind.General ? i->Reg : row.Rm == OperandKind.General ? rm : -1;
        }

        switch (op)
        {
            case < 0x38 when (op & 7) < 2:
                step = op is 0x01 or 0x29;
                return rm;
            case < 0x38 when (op & 7) < 4:
                step = op is 0x03 or 0x2b && !fromMemory;
                return i->Reg;
            case < 0x40 when (op & 7) < 6:
                step = op is 0x05 or 0x2d;
                return op < 0x38 ? 0 : -1;
            case 0x8d:
                step = true;
                return i->Reg;
            case 0x8a or 0x8b or 0x63 or 0x69 or 0x6b:
                return i->Reg;
            case 0x80 or 0x81 or 0x83:
                step = digit is 0 or 5;
                return digit == 7 ? -1 : rm;
            case 0xfe or 0xff when digit < 2:
                step = true;
                return rm;
            case 0x86 or 0x87 or 0x88 or 0x89 or 0xc0 or 0xc1 or (>= 0xd0 and <= 0xd3) or (>= 0xb0 and <= 0xbf) or (>= 0x58 and <= 0x5f):
                return i->IsMemory ? -1 : i->Rm;
            default:
                return -1;
        }
    }
}
