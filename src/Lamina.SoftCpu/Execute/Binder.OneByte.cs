using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Execute;

/// <summary>The one-byte opcode map (Intel SDM volume 2, appendix A, table A-2).</summary>
internal static unsafe partial class Binder
{
    private static delegate*<ProcessorContext*, Instruction*, bool> BindOneByte(Instruction* i, ProcessorFeatures features, int codeSize, ref bool ends)
    {
        int op = i->Opcode;
        int size = i->OperandSize;
        int sized = (op & 1) == 0 ? 1 : size;
        bool memory = i->IsMemory;
        bool locked = (i->Flags & InstructionFlags.Lock) != 0;
        int digit = (i->ModRm >> 3) & 7;
        switch (op)
        {
            case < 0x40 when (op & 7) < 6:
                int operation = op >> 3;
                return (op & 7) switch
                {
                    0 or 1 => locked ? AluLockedReg(operation, sized) : memory ? AluMemoryReg(operation, sized) : AluRmReg(operation, sized),
                    2 or 3 => memory ? AluRegMemory(operation, sized) : AluRegRm(operation, sized),
                    _ => AluAccumulatorImmediate(operation, sized),
                };
            case 0x27 or 0x2f:
                return &DecimalHandlers.AdjustPacked;
            case 0x37 or 0x3f:
                return &DecimalHandlers.AdjustAscii;
            case >= 0x40 and <= 0x47:
                return AluRmImmediate<Inc>(size);
            case >= 0x48 and <= 0x4f:
                return AluRmImmediate<Dec>(size);
            case >= 0x50 and <= 0x57:
                return PushRegister(size);
            case >= 0x58 and <= 0x5f:
                return PopRegister(size);
            case 0x60:
                return size == 2 ? &StackHandlers.PushAll<Width16> : &StackHandlers.PushAll<Width32>;
            case 0x61:
                return size == 2 ? &StackHandlers.PopAll<Width16> : &StackHandlers.PopAll<Width32>;
            case 0x62:
                return !memory ? null : size == 2 ? &ControlHandlers.Bound<Width16> : &ControlHandlers.Bound<Width32>;
            case 0x63 when codeSize == 8:
                return SignExtend32(size);
            case 0x68 or 0x6a:
                return PushImmediate(size);
            case 0x69 or 0x6b:
                return MultiplyRegImmediate(size);
            case 0x6c or 0x6d:
                return sized == 1 ? &StringHandlers.Input<Width8> : size == 2 ? &StringHandlers.Input<Width16> : &StringHandlers.Input<Width32>;
            case 0x6e or 0x6f:
                return sized == 1 ? &StringHandlers.Output<Width8> : size == 2 ? &StringHandlers.Output<Width16> : &StringHandlers.Output<Width32>;
            case >= 0x70 and <= 0x7f:
                ends = true;
                return ConditionalJump(op & 15);
            case 0x80 or 0x81 or 0x82 or 0x83:
                int width = op is 0x80 or 0x82 ? 1 : size;
                return locked ? AluLockedImmediate(digit, width) : memory ? AluMemoryImmediate(digit, width) : AluRmImmediate(digit, width);
            case 0x84 or 0x85:
                return memory ? AluMemoryReg<Test>(sized) : AluRmReg<Test>(sized);
            case 0x86 or 0x87:
                return MoveExchange(sized);
            case 0x88 or 0x89:
                return memory ? MoveMemoryReg(sized) : MoveRmReg(sized);
            case 0x8a or 0x8b:
                return memory ? MoveRegMemory(sized) : MoveRegRm(sized);
            case 0x8d:
                return memory ? Lea(size) : null;
            case 0x8f:
                return digit == 0 ? PopRm(size) : null;
            case 0x90 when (i->Rex & 1) == 0:
                return (i->Flags & InstructionFlags.Rep) != 0 ? &ControlHandlers.Pause : &MoveHandlers.Nothing;
            case >= 0x90 and <= 0x97:
                return ExchangeAccumulator(size);
            case 0x98:
                return size == 2 ? &MoveHandlers.ConvertAccumulator<Width8, Width16>
                    : size == 4 ? &MoveHandlers.ConvertAccumulator<Width16, Width32> : &MoveHandlers.ConvertAccumulator<Width32, Width64>;
            case 0x99:
                return ConvertDouble(size);
            case 0x9c:
                return PushFlags(size);
            case 0x9d:
                ends = true;
                return PopFlags(size);
            case 0x9e:
                return codeSize != 8 || (features & ProcessorFeatures.LahfLm) != 0 ? &ControlHandlers.StoreAh : null;
            case 0x9f:
                return codeSize != 8 || (features & ProcessorFeatures.LahfLm) != 0 ? &ControlHandlers.LoadAh : null;
            case 0xa0 or 0xa1:
                return MoveAccumulatorOffset(sized);
            case 0xa2 or 0xa3:
                return MoveOffsetAccumulator(sized);
            case 0xa4 or 0xa5:
                return StringMove(sized);
            case 0xa6 or 0xa7:
                return StringCompare(sized);
            case 0xa8 or 0xa9:
                return AluAccumulatorImmediate<Test>(sized);
            case 0xaa or 0xab:
                return StringFill(sized);
            case 0xac or 0xad:
                return StringLoad(sized);
            case 0xae or 0xaf:
                return StringScan(sized);
            case >= 0xb0 and <= 0xb7:
                i->Rm8 = (byte)(i->Rex == 0 && i->Rm is >= 4 and < 8 ? ((i->Rm - 4) * 8) + 1 : i->Rm * 8);
                return MoveRegisterImmediate(1);
            case >= 0xb8 and <= 0xbf:
                return MoveRegisterImmediate(size);
            case 0xc0 or 0xc1:
                return ShiftByImmediate(digit, sized);
            case 0xc2 or 0xc3:
                ends = true;
                return Return(size);
            case 0xc6 or 0xc7:
                return digit == 0 ? MoveRmImmediate(sized) : null;
            case 0xc8:
                return Enter(size);
            case 0xc9:
                return Leave(size);
            case 0xd0 or 0xd1:
                return ShiftByOne(digit, sized);
            case 0xd2 or 0xd3:
                return ShiftByCl(digit, sized);
            case 0xd4:
                return &DecimalHandlers.AdjustMultiply;
            case 0xd5:
                return &DecimalHandlers.AdjustDivide;
            case 0xd6:
                return &ControlHandlers.SetAlFromCarry;
            case 0xd7:
                return &MoveHandlers.Translate;
            case 0xe0 or 0xe1 or 0xe2:
                ends = true;
                return &BranchHandlers.Loop;
            case 0xe3:
                ends = true;
                return &BranchHandlers.JumpIfCountZero;
            case 0xe4 or 0xe5:
                return sized == 1 ? &PortHandlers.InImmediate<Width8> : size == 2 ? &PortHandlers.InImmediate<Width16> : &PortHandlers.InImmediate<Width32>;
            case 0xe6 or 0xe7:
                ends = true;
                return sized == 1 ? &PortHandlers.OutImmediate<Width8> : size == 2 ? &PortHandlers.OutImmediate<Width16> : &PortHandlers.OutImmediate<Width32>;
            case 0xec or 0xed:
                return sized == 1 ? &PortHandlers.InDx<Width8> : size == 2 ? &PortHandlers.InDx<Width16> : &PortHandlers.InDx<Width32>;
            case 0xee or 0xef:
                ends = true;
                return sized == 1 ? &PortHandlers.OutDx<Width8> : size == 2 ? &PortHandlers.OutDx<Width16> : &PortHandlers.OutDx<Width32>;
            case 0xe8:
                ends = true;
                return Call(size);
            case 0xe9 or 0xeb:
                ends = true;
                return &BranchHandlers.Jump;
            case 0xf4:
                ends = true;
                return &ControlHandlers.Halt;
            case 0xf5:
                return &ControlHandlers.ComplementCarry;
            case 0xf6 or 0xf7:
                return BindGroup3(i, digit, sized, memory, locked);
            case 0xf8:
                return &ControlHandlers.ClearCarry;
            case 0xf9:
                return &ControlHandlers.SetCarry;
            case 0xfa:
                return &ControlHandlers.ClearInterrupt;
            case 0xfb:
                return &ControlHandlers.SetInterrupt;
            case 0xfc:
                return &ControlHandlers.ClearDirection;
            case 0xfd:
                return &ControlHandlers.SetDirection;
            case 0xfe or 0xff:
                return BindGroup5(i, digit, sized, memory, locked, codeSize, ref ends);
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup3(Instruction* i, int digit, int size, bool memory, bool locked)
    {
        return digit switch
        {
            0 or 1 => memory ? AluMemoryImmediate<Test>(size) : AluRmImmediate<Test>(size),
            2 => locked ? AluLockedImmediate<Not>(size) : memory ? AluMemoryImmediate<Not>(size) : AluRmImmediate<Not>(size),
            3 => locked ? AluLockedImmediate<Neg>(size) : memory ? AluMemoryImmediate<Neg>(size) : AluRmImmediate<Neg>(size),
            4 or 5 => MultiplyAccumulator(size),
            6 => DivideUnsigned(size),
            _ => DivideSigned(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup5(Instruction* i, int digit, int size, bool memory, bool locked, int codeSize, ref bool ends)
    {
        switch (digit)
        {
            case 0:
                return locked ? AluLockedImmediate<Inc>(size) : memory ? AluMemoryImmediate<Inc>(size) : AluRmImmediate<Inc>(size);
            case 1:
                return locked ? AluLockedImmediate<Dec>(size) : memory ? AluMemoryImmediate<Dec>(size) : AluRmImmediate<Dec>(size);
        }

        if (i->Opcode == 0xfe)
        {
            return null;
        }

        // Near branches and pushes take 64-bit operands in 64-bit mode.
        int stackSize = codeSize != 8 ? size : size == 2 && digit == 6 ? 2 : 8;
        switch (digit)
        {
            case 2:
                ends = true;
                i->OperandSize = (byte)stackSize;
                return CallIndirect(stackSize);
            case 4:
                ends = true;
                i->OperandSize = (byte)stackSize;
                return JumpIndirect(stackSize);
            case 6:
                return PushRm(stackSize);
            default:
                return null;
        }
    }
}
