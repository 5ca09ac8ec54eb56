using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Chooses the handlers of the instructions that work on segments, privilege and descriptor tables.</summary>
internal static unsafe class SystemBinder
{
    /// <summary>Binds an instruction.</summary>
    /// <returns><c>false</c> if it is not one of these, or not defined for <paramref name="codeSize"/> or <paramref name="features"/>.</returns>
    public static bool TryBind(Instruction* i, ProcessorFeatures features, int codeSize)
    {
        bool ends = false;
        delegate*<ProcessorContext*, Instruction*, bool> handler = (i->Flags & (InstructionFlags.Vex | InstructionFlags.Lock)) != 0 ? null
            : i->Map switch
            {
                0 => BindOneByte(i, codeSize, out ends),
                1 => BindTwoByte(i, features, codeSize, out ends),
                _ => null,
            };
        if (handler == null)
        {
            return false;
        }

        i->Handler = handler;
        if (ends)
        {
            i->Flags |= InstructionFlags.EndsBlock;
        }

        return true;
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindOneByte(Instruction* i, int codeSize, out bool ends)
    {
        bool legacy = codeSize != 8;
        ends = false;
        switch (i->Opcode)
        {
            case 0x06 or 0x0e or 0x16 or 0x1e when legacy:
                return &SegmentMoves.Push;
            case 0x07 or 0x1f when legacy:
                return &SegmentMoves.Pop;
            case 0x17 when legacy:
                ends = true;
                return &SegmentMoves.PopStack;
            case 0x63 when legacy:
                return &DescriptorQueries.AdjustPrivilege;
            case 0x8c when SegmentMoves.SegmentNumber(i) < 6:
                return &SegmentMoves.Store;
            case 0x8e:
                return BindSegmentLoad(i, out ends);
            case 0xc4 or 0xc5 when legacy && i->IsMemory:
                return &SegmentMoves.LoadPointer;
            default:
                ends = true;
                return BindTransfer(i, legacy);
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindSegmentLoad(Instruction* i, out bool ends)
    {
        int segment = SegmentMoves.SegmentNumber(i);
        ends = segment == SegmentRegister.Ss;
        return segment is SegmentRegister.Cs or > SegmentRegister.Gs ? null
            : ends ? &SegmentMoves.LoadStack
            : &SegmentMoves.Load;
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindTransfer(Instruction* i, bool legacy)
    {
        switch (i->Opcode)
        {
            case 0x9a when legacy:
                return &FarTransfers.CallPointer;
            case 0xea when legacy:
                return &FarTransfers.JumpPointer;
            case 0xca or 0xcb:
                return &FarReturns.Return;
            case 0xcc:
                return &SoftwareInterrupts.Breakpoint;
            case 0xcd:
                return &SoftwareInterrupts.Interrupt;
            case 0xce when legacy:
                return &SoftwareInterrupts.Overflow;
            case 0xcf:
                return &InterruptReturns.Return;
            case 0xf1:
                return &SoftwareInterrupts.Debug;
            case 0xff when i->IsMemory && (i->ModRm & 0x38) == 0x18:
                return &FarTransfers.CallMemory;
            case 0xff when i->IsMemory && (i->ModRm & 0x38) == 0x28:
                return &FarTransfers.JumpMemory;
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindTwoByte(Instruction* i, ProcessorFeatures features, int codeSize, out bool ends)
    {
        ends = false;
        switch (i->Opcode & 0xff)
        {
            case 0x00:
                return BindGroup6(i);
            case 0x01:
                return BindGroup7(i, codeSize);
            case 0x02:
                return &DescriptorQueries.LoadAccessRights;
            case 0x03:
                return &DescriptorQueries.LoadLimit;
            case 0x05 when (features & ProcessorFeatures.Syscall) != 0:
                ends = true;
                return &SystemCalls.Call;
            case 0x07 when (features & ProcessorFeatures.Syscall) != 0:
                ends = true;
                return &SystemCalls.Return;
            case 0x34 when (features & ProcessorFeatures.Sysenter) != 0:
                ends = true;
                return &SystemCalls.Enter;
            case 0x35 when (features & ProcessorFeatures.Sysenter) != 0:
                ends = true;
                return &SystemCalls.Exit;
            case 0xa0 or 0xa8:
                return &SegmentMoves.Push;
            case 0xa1 or 0xa9:
                return &SegmentMoves.Pop;
            case 0xb2 when i->IsMemory:
                ends = true;
                return &SegmentMoves.LoadStackPointer;
            case 0xb4 or 0xb5 when i->IsMemory:
                return &SegmentMoves.LoadPointer;
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup6(Instruction* i) => ((i->ModRm >> 3) & 7) switch
    {
        0 => &SystemSegments.StoreLocalTable,
        1 => &SystemSegments.StoreTask,
        2 => &SystemSegments.LoadLocalTable,
        3 => &SystemSegments.LoadTask,
        4 => &DescriptorQueries.VerifyRead,
        5 => &DescriptorQueries.VerifyWrite,
        _ => null,
    };

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup7(Instruction* i, int codeSize)
    {
        if (!i->IsMemory)
        {
            return i->ModRm == 0xf8 && codeSize == 8 ? &SystemCalls.SwapGs : null;
        }

        return ((i->ModRm >> 3) & 7) switch
        {
            0 => &TableRegisters.StoreGlobal,
            1 => &TableRegisters.StoreInterrupt,
            2 => &TableRegisters.LoadGlobal,
            3 => &TableRegisters.LoadInterrupt,
            _ => null,
        };
    }
}
