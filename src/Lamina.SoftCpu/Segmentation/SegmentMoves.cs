using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>MOV, PUSH, POP and LDS to LGS with segment registers (Intel SDM volume 2).</summary>
internal static unsafe class SegmentMoves
{
    /// <summary>8C.</summary>
    public static bool Store(ProcessorContext* c, Instruction* i)
    {
        ushort selector = c->Segments[SegmentNumber(i)].Selector;
        if (i->IsMemory)
        {
            return GuestAccess.Store(c, i, selector);
        }

        GeneralRegister.Write(c, i->Rm, selector, i->OperandSize);
        return true;
    }

    /// <summary>8E to ES, DS, FS or GS.</summary>
    public static bool Load(ProcessorContext* c, Instruction* i)
    {
        return LoadOperand(c, i, out ushort selector) && SegmentLoader.Load(c, SegmentNumber(i), selector);
    }

    /// <summary>8E to SS.</summary>
    public static bool LoadStack(ProcessorContext* c, Instruction* i)
    {
        if (!LoadOperand(c, i, out ushort selector) || !SegmentLoader.Load(c, SegmentRegister.Ss, selector))
        {
            return false;
        }

        Shadow(c);
        c->Rip = InstructionPointer.Next(c, i);
        return true;
    }

    /// <summary>06, 0E, 16, 1E, 0F A0 and 0F A8.</summary>
    public static bool Push(ProcessorContext* c, Instruction* i)
    {
        ushort selector = c->Segments[PushedSegment(i->Opcode)].Selector;
        int size = i->OperandSize;
        ulong pointer = c->Registers[4] - (ulong)size;
        ulong offset = Masked(c, pointer);

        // With 32-bit operands Intel processors write 16 bits and leave the rest of the slot as it is.
        if (size == 8 ? !GuestAccess.Store(c, SegmentRegister.Ss, offset, (ulong)selector) : !GuestAccess.Store(c, SegmentRegister.Ss, offset, selector))
        {
            return false;
        }

        SetPointer(c, offset);
        return true;
    }

    /// <summary>07, 1F, 0F A1 and 0F A9.</summary>
    public static bool Pop(ProcessorContext* c, Instruction* i)
    {
        ulong offset = Masked(c, c->Registers[4]);
        if (!GuestAccess.Load(c, SegmentRegister.Ss, offset, out ushort selector) || !SegmentLoader.Load(c, PushedSegment(i->Opcode), selector))
        {
            return false;
        }

        SetPointer(c, Masked(c, offset + i->OperandSize));
        return true;
    }

    /// <summary>17.</summary>
    public static bool PopStack(ProcessorContext* c, Instruction* i)
    {
        int stackSize = c->StackSize;
        ulong offset = Masked(c, c->Registers[4]);
        if (!GuestAccess.Load(c, SegmentRegister.Ss, offset, out ushort selector) || !SegmentLoader.Load(c, SegmentRegister.Ss, selector))
        {
            return false;
        }

        GeneralRegister.Write(c, 4, offset + i->OperandSize, stackSize);
        Shadow(c);
        c->Rip = InstructionPointer.Next(c, i);
        return true;
    }

    /// <summary>C4, C5, 0F B4 and 0F B5.</summary>
    public static bool LoadPointer(ProcessorContext* c, Instruction* i)
    {
        int segment = i->Opcode switch
        {
            0xc4 => SegmentRegister.Es,
            0xc5 => SegmentRegister.Ds,
            0x1b4 => SegmentRegister.Fs,
            _ => SegmentRegister.Gs,
        };
        if (!FarTransfers.LoadPointer(c, i, out ushort selector, out ulong offset) || !SegmentLoader.Load(c, segment, selector))
        {
            return false;
        }

        GeneralRegister.Write(c, i->Reg, offset, i->OperandSize);
        return true;
    }

    /// <summary>0F B2.</summary>
    public static bool LoadStackPointer(ProcessorContext* c, Instruction* i)
    {
        if (!FarTransfers.LoadPointer(c, i, out ushort selector, out ulong offset) || !SegmentLoader.Load(c, SegmentRegister.Ss, selector))
        {
            return false;
        }

        GeneralRegister.Write(c, i->Reg, offset, i->OperandSize);
        c->Rip = InstructionPointer.Next(c, i);
        return true;
    }

    /// <summary>The segment register that ModRM.reg names. REX.R does not count.</summary>
    public static int SegmentNumber(Instruction* i) => (i->ModRm >> 3) & 7;

    private static int PushedSegment(ushort opcode) => (opcode >> 3) & 7;

    private static bool LoadOperand(ProcessorContext* c, Instruction* i, out ushort selector)
    {
        if (i->IsMemory)
        {
            return GuestAccess.Load(c, i, out selector);
        }

        selector = (ushort)c->Registers[i->Rm];
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Masked(ProcessorContext* c, ulong pointer) => InstructionPointer.Truncate(pointer, c->StackSize);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetPointer(ProcessorContext* c, ulong offset) => GeneralRegister.Write(c, 4, offset, c->StackSize);

    // Interrupts, and debug traps too, wait until the next instruction, which loads the stack pointer, has been executed.
    private static void Shadow(ProcessorContext* c)
    {
        c->InterruptShadow = true;
        c->StackSegmentShadow = true;
        Interlocked.Or(ref c->Attention, (int)AttentionBits.Step);
    }
}
