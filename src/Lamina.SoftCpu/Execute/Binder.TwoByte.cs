using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Execute;

/// <summary>The 0F opcode map, without vectors and segmentation (Intel SDM volume 2, appendix A, table A-3).</summary>
internal static unsafe partial class Binder
{
    private static delegate*<ProcessorContext*, Instruction*, bool> BindTwoByte(Instruction* i, ProcessorFeatures features, int codeSize, ref bool ends)
    {
        int op = i->Opcode & 0xff;
        int size = i->OperandSize;
        int sized = (op & 1) == 0 ? 1 : size;
        bool memory = i->IsMemory;
        switch (op)
        {
            case 0x01:
                return BindGroup7(i, features, memory, ref ends);
            case 0x06:
                ends = true;
                return &ControlRegisterHandlers.ClearTaskSwitched;
            case 0x08 or 0x09:
                return &ProcessorHandlers.InvalidateCaches;
            case 0x0d:
                return memory ? &MoveHandlers.Nothing : null;
            case >= 0x18 and <= 0x1f:
                return &MoveHandlers.Nothing;
            case 0x20:
                return i->Reg is 0 or 2 or 3 or 4 or 8 ? &ControlRegisterHandlers.MoveFromControl : null;
            case 0x21:
                return &ControlRegisterHandlers.MoveFromDebug;
            case 0x22:
                ends = true;
                return i->Reg is 0 or 2 or 3 or 4 or 8 ? &ControlRegisterHandlers.MoveToControl : null;
            case 0x23:
                ends = true;
                return &ControlRegisterHandlers.MoveToDebug;
            case 0x30:
                ends = true;
                return (features & ProcessorFeatures.Msr) != 0 ? &ProcessorHandlers.WriteMsr : null;
            case 0x31:
                return (features & ProcessorFeatures.Tsc) != 0 ? &ProcessorHandlers.ReadTimeStamp : null;
            case 0x32:
                return (features & ProcessorFeatures.Msr) != 0 ? &ProcessorHandlers.ReadMsr : null;
            case 0x33:
                return &ProcessorHandlers.ReadPerformanceCounter;
            case >= 0x40 and <= 0x4f:
                return (features & ProcessorFeatures.Cmov) != 0 ? ConditionalMove(op & 15, size) : null;
            case >= 0x80 and <= 0x8f:
                ends = true;
                return ConditionalJump(op & 15);
            case >= 0x90 and <= 0x9f:
                return SetByte(op & 15);
            case 0xa2:
                return &ProcessorHandlers.Cpuid;
            case 0xa3 or 0xab or 0xb3 or 0xbb:
                return BitTest(size);
            case 0xa4 or 0xa5 or 0xac or 0xad:
                return DoubleShift(size);
            case 0xae:
                return BindGroup15(i, features, memory, codeSize);
            case 0xaf:
                return MultiplyReg(size);
            case 0xb0 or 0xb1:
                return CompareExchange(sized);
            case 0xb6:
                return ZeroExtend8(size);
            case 0xb7:
                return ZeroExtend16(size);
            case 0xbe:
                return SignExtend8(size);
            case 0xbf:
                return SignExtend16(size);
            case 0xba:
                return (i->ModRm & 0x20) != 0 ? BitTest(size) : null;
            case 0xbc:
                return ScanForward(size);
            case 0xbd:
                return ScanReverse(size);
            case 0xc0 or 0xc1:
                return ExchangeAdd(sized);
            case 0xc7:
                return BindGroup9(i, features, memory);
            case >= 0xc8 and <= 0xcf:
                return size == 8 ? &BitHandlers.ByteSwap64 : size == 4 ? &BitHandlers.ByteSwap32 : &BitHandlers.ByteSwap16;
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup7(Instruction* i, ProcessorFeatures features, bool memory, ref bool ends)
    {
        int digit = (i->ModRm >> 3) & 7;
        switch (digit)
        {
            case 4:
                return &ControlRegisterHandlers.StoreMachineStatus;
            case 6:
                ends = true;
                return &ControlRegisterHandlers.LoadMachineStatus;
            case 7 when memory:
                ends = false;
                return &ProcessorHandlers.InvalidatePage;
        }

        switch (i->ModRm)
        {
            case 0xc1 or 0xd9 when !memory && (i->Flags & InstructionFlags.Mandatory) == 0 && (features & ProcessorFeatures.Hypercalls) != 0:
                ends = true;
                return &ProcessorHandlers.Hypercall;
            case 0xca or 0xcb when (i->Flags & InstructionFlags.Mandatory) == 0:
                return (features & ProcessorFeatures.Smap) != 0 ? &ProcessorHandlers.AccessControl : null;
            case 0xe8 when (i->Flags & InstructionFlags.Mandatory) == 0:
                return (features & ProcessorFeatures.Serialize) != 0 ? &MoveHandlers.Fence : null;
            case 0xf9:
                return (features & ProcessorFeatures.Rdtscp) != 0 ? &ProcessorHandlers.ReadTimeStampAndProcessor : null;
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup9(Instruction* i, ProcessorFeatures features, bool memory)
    {
        int digit = (i->ModRm >> 3) & 7;
        bool rep = (i->Flags & InstructionFlags.Rep) != 0;
        bool repne = (i->Flags & InstructionFlags.Repne) != 0;
        switch (digit)
        {
            case 1 when memory && i->OperandSize == 8:
                return (features & ProcessorFeatures.CmpXchg16B) != 0 ? &AtomicHandlers.CompareExchange16 : null;
            case 1 when memory:
                return (features & ProcessorFeatures.CmpXchg8B) != 0 ? &AtomicHandlers.CompareExchange8 : null;
            case 6 when !memory && !rep && !repne && (features & ProcessorFeatures.Rdrand) != 0:
                return RandomNumber(i->OperandSize);
            case 7 when !memory && rep:
                return (features & ProcessorFeatures.Rdpid) != 0 ? &ProcessorHandlers.ReadProcessorId : null;
            case 7 when !memory && !repne && (features & ProcessorFeatures.Rdseed) != 0:
                return RandomNumber(i->OperandSize);
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BindGroup15(Instruction* i, ProcessorFeatures features, bool memory, int codeSize)
    {
        int digit = (i->ModRm >> 3) & 7;
        InstructionFlags prefix = i->Flags & InstructionFlags.Mandatory;
        if (memory)
        {
            bool offered = digit switch
            {
                7 when prefix == 0 => (features & ProcessorFeatures.ClFlush) != 0,
                7 when prefix == InstructionFlags.OperandSize => (features & ProcessorFeatures.ClFlushOpt) != 0,
                6 when prefix == InstructionFlags.OperandSize => (features & ProcessorFeatures.Clwb) != 0,
                _ => false,
            };
            return offered ? &MoveHandlers.FlushLine : null;
        }

        if (prefix == 0 && digit >= 5)
        {
            return (features & ProcessorFeatures.Sse2) != 0 || (digit == 7 && (features & ProcessorFeatures.Sse) != 0) ? &MoveHandlers.Fence : null;
        }

        bool bases = prefix == InstructionFlags.Rep && digit < 4 && codeSize == 8 && (features & ProcessorFeatures.FsGsBase) != 0;
        return bases ? &ProcessorHandlers.SegmentBase : null;
    }
}
