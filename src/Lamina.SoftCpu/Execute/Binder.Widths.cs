using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Execute;

/// <summary>Handlers by operand width.</summary>
internal static unsafe partial class Binder
{
    private static delegate*<ProcessorContext*, Instruction*, bool> AluRmReg<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.RmReg<TOperation, Width8>,
            2 => &ArithmeticHandlers.RmReg<TOperation, Width16>,
            4 => &ArithmeticHandlers.RmReg<TOperation, Width32>,
            _ => &ArithmeticHandlers.RmReg<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRegRm<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.RegRm<TOperation, Width8>,
            2 => &ArithmeticHandlers.RegRm<TOperation, Width16>,
            4 => &ArithmeticHandlers.RegRm<TOperation, Width32>,
            _ => &ArithmeticHandlers.RegRm<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluMemoryReg<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.MemoryReg<TOperation, Width8>,
            2 => &ArithmeticHandlers.MemoryReg<TOperation, Width16>,
            4 => &ArithmeticHandlers.MemoryReg<TOperation, Width32>,
            _ => &ArithmeticHandlers.MemoryReg<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRegMemory<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.RegMemory<TOperation, Width8>,
            2 => &ArithmeticHandlers.RegMemory<TOperation, Width16>,
            4 => &ArithmeticHandlers.RegMemory<TOperation, Width32>,
            _ => &ArithmeticHandlers.RegMemory<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRmImmediate<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.RmImmediate<TOperation, Width8>,
            2 => &ArithmeticHandlers.RmImmediate<TOperation, Width16>,
            4 => &ArithmeticHandlers.RmImmediate<TOperation, Width32>,
            _ => &ArithmeticHandlers.RmImmediate<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluMemoryImmediate<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.MemoryImmediate<TOperation, Width8>,
            2 => &ArithmeticHandlers.MemoryImmediate<TOperation, Width16>,
            4 => &ArithmeticHandlers.MemoryImmediate<TOperation, Width32>,
            _ => &ArithmeticHandlers.MemoryImmediate<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluAccumulatorImmediate<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.AccumulatorImmediate<TOperation, Width8>,
            2 => &ArithmeticHandlers.AccumulatorImmediate<TOperation, Width16>,
            4 => &ArithmeticHandlers.AccumulatorImmediate<TOperation, Width32>,
            _ => &ArithmeticHandlers.AccumulatorImmediate<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluLockedReg<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.LockedReg<TOperation, Width8>,
            2 => &ArithmeticHandlers.LockedReg<TOperation, Width16>,
            4 => &ArithmeticHandlers.LockedReg<TOperation, Width32>,
            _ => &ArithmeticHandlers.LockedReg<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluLockedImmediate<TOperation>(int size)
        where TOperation : struct, IAluOperation
    {
        return size switch
        {
            1 => &ArithmeticHandlers.LockedImmediate<TOperation, Width8>,
            2 => &ArithmeticHandlers.LockedImmediate<TOperation, Width16>,
            4 => &ArithmeticHandlers.LockedImmediate<TOperation, Width32>,
            _ => &ArithmeticHandlers.LockedImmediate<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByOne<TOperation>(int size)
        where TOperation : struct, IShiftOperation
    {
        return size switch
        {
            1 => &ShiftHandlers.ByOne<TOperation, Width8>,
            2 => &ShiftHandlers.ByOne<TOperation, Width16>,
            4 => &ShiftHandlers.ByOne<TOperation, Width32>,
            _ => &ShiftHandlers.ByOne<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByImmediate<TOperation>(int size)
        where TOperation : struct, IShiftOperation
    {
        return size switch
        {
            1 => &ShiftHandlers.ByImmediate<TOperation, Width8>,
            2 => &ShiftHandlers.ByImmediate<TOperation, Width16>,
            4 => &ShiftHandlers.ByImmediate<TOperation, Width32>,
            _ => &ShiftHandlers.ByImmediate<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByCl<TOperation>(int size)
        where TOperation : struct, IShiftOperation
    {
        return size switch
        {
            1 => &ShiftHandlers.ByCl<TOperation, Width8>,
            2 => &ShiftHandlers.ByCl<TOperation, Width16>,
            4 => &ShiftHandlers.ByCl<TOperation, Width32>,
            _ => &ShiftHandlers.ByCl<TOperation, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveRmReg(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.RmReg<Width8>,
            2 => &MoveHandlers.RmReg<Width16>,
            4 => &MoveHandlers.RmReg<Width32>,
            _ => &MoveHandlers.RmReg<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveRegRm(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.RegRm<Width8>,
            2 => &MoveHandlers.RegRm<Width16>,
            4 => &MoveHandlers.RegRm<Width32>,
            _ => &MoveHandlers.RegRm<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveMemoryReg(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.MemoryReg<Width8>,
            2 => &MoveHandlers.MemoryReg<Width16>,
            4 => &MoveHandlers.MemoryReg<Width32>,
            _ => &MoveHandlers.MemoryReg<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveRegMemory(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.RegMemory<Width8>,
            2 => &MoveHandlers.RegMemory<Width16>,
            4 => &MoveHandlers.RegMemory<Width32>,
            _ => &MoveHandlers.RegMemory<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveRmImmediate(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.RmImmediate<Width8>,
            2 => &MoveHandlers.RmImmediate<Width16>,
            4 => &MoveHandlers.RmImmediate<Width32>,
            _ => &MoveHandlers.RmImmediate<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveRegisterImmediate(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.RegisterImmediate<Width8>,
            2 => &MoveHandlers.RegisterImmediate<Width16>,
            4 => &MoveHandlers.RegisterImmediate<Width32>,
            _ => &MoveHandlers.RegisterImmediate<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveAccumulatorOffset(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.AccumulatorOffset<Width8>,
            2 => &MoveHandlers.AccumulatorOffset<Width16>,
            4 => &MoveHandlers.AccumulatorOffset<Width32>,
            _ => &MoveHandlers.AccumulatorOffset<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveOffsetAccumulator(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.OffsetAccumulator<Width8>,
            2 => &MoveHandlers.OffsetAccumulator<Width16>,
            4 => &MoveHandlers.OffsetAccumulator<Width32>,
            _ => &MoveHandlers.OffsetAccumulator<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MoveExchange(int size)
    {
        return size switch
        {
            1 => &MoveHandlers.Exchange<Width8>,
            2 => &MoveHandlers.Exchange<Width16>,
            4 => &MoveHandlers.Exchange<Width32>,
            _ => &MoveHandlers.Exchange<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ExchangeAccumulator(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.ExchangeAccumulator<Width16>,
            4 => &MoveHandlers.ExchangeAccumulator<Width32>,
            _ => &MoveHandlers.ExchangeAccumulator<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ConditionalMove<TCondition>(int size)
        where TCondition : struct, ICondition
    {
        return size switch
        {
            2 => &MoveHandlers.ConditionalMove<TCondition, Width16>,
            4 => &MoveHandlers.ConditionalMove<TCondition, Width32>,
            _ => &MoveHandlers.ConditionalMove<TCondition, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> DoubleShift(int size)
    {
        return size switch
        {
            2 => &ShiftHandlers.Double<Width16>,
            4 => &ShiftHandlers.Double<Width32>,
            _ => &ShiftHandlers.Double<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> BitTest(int size)
    {
        return size switch
        {
            2 => &BitHandlers.BitTest<Width16>,
            4 => &BitHandlers.BitTest<Width32>,
            _ => &BitHandlers.BitTest<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ScanForward(int size)
    {
        return size switch
        {
            2 => &BitHandlers.ScanForward<Width16>,
            4 => &BitHandlers.ScanForward<Width32>,
            _ => &BitHandlers.ScanForward<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ScanReverse(int size)
    {
        return size switch
        {
            2 => &BitHandlers.ScanReverse<Width16>,
            4 => &BitHandlers.ScanReverse<Width32>,
            _ => &BitHandlers.ScanReverse<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Lea(int size)
    {
        return size switch
        {
            2 => &ArithmeticHandlers.Lea<Width16>,
            4 => &ArithmeticHandlers.Lea<Width32>,
            _ => &ArithmeticHandlers.Lea<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MultiplyReg(int size)
    {
        return size switch
        {
            2 => &ArithmeticHandlers.MultiplyReg<Width16>,
            4 => &ArithmeticHandlers.MultiplyReg<Width32>,
            _ => &ArithmeticHandlers.MultiplyReg<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MultiplyRegImmediate(int size)
    {
        return size switch
        {
            2 => &ArithmeticHandlers.MultiplyRegImmediate<Width16>,
            4 => &ArithmeticHandlers.MultiplyRegImmediate<Width32>,
            _ => &ArithmeticHandlers.MultiplyRegImmediate<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> MultiplyAccumulator(int size)
    {
        return size switch
        {
            1 => &ArithmeticHandlers.MultiplyAccumulator<Width8>,
            2 => &ArithmeticHandlers.MultiplyAccumulator<Width16>,
            4 => &ArithmeticHandlers.MultiplyAccumulator<Width32>,
            _ => &ArithmeticHandlers.MultiplyAccumulator<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> DivideUnsigned(int size)
    {
        return size switch
        {
            1 => &ArithmeticHandlers.DivideUnsigned<Width8>,
            2 => &ArithmeticHandlers.DivideUnsigned<Width16>,
            4 => &ArithmeticHandlers.DivideUnsigned<Width32>,
            _ => &ArithmeticHandlers.DivideUnsigned<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> DivideSigned(int size)
    {
        return size switch
        {
            1 => &ArithmeticHandlers.DivideSigned<Width8>,
            2 => &ArithmeticHandlers.DivideSigned<Width16>,
            4 => &ArithmeticHandlers.DivideSigned<Width32>,
            _ => &ArithmeticHandlers.DivideSigned<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ExchangeAdd(int size)
    {
        return size switch
        {
            1 => &AtomicHandlers.ExchangeAdd<Width8>,
            2 => &AtomicHandlers.ExchangeAdd<Width16>,
            4 => &AtomicHandlers.ExchangeAdd<Width32>,
            _ => &AtomicHandlers.ExchangeAdd<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> CompareExchange(int size)
    {
        return size switch
        {
            1 => &AtomicHandlers.CompareExchange<Width8>,
            2 => &AtomicHandlers.CompareExchange<Width16>,
            4 => &AtomicHandlers.CompareExchange<Width32>,
            _ => &AtomicHandlers.CompareExchange<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PushRegister(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PushRegister<Width16>,
            4 => &StackHandlers.PushRegister<Width32>,
            _ => &StackHandlers.PushRegister<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PushImmediate(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PushImmediate<Width16>,
            4 => &StackHandlers.PushImmediate<Width32>,
            _ => &StackHandlers.PushImmediate<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PushRm(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PushRm<Width16>,
            4 => &StackHandlers.PushRm<Width32>,
            _ => &StackHandlers.PushRm<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PopRegister(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PopRegister<Width16>,
            4 => &StackHandlers.PopRegister<Width32>,
            _ => &StackHandlers.PopRegister<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PopRm(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PopRm<Width16>,
            4 => &StackHandlers.PopRm<Width32>,
            _ => &StackHandlers.PopRm<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Enter(int size)
    {
        return size switch
        {
            2 => &StackHandlers.Enter<Width16>,
            4 => &StackHandlers.Enter<Width32>,
            _ => &StackHandlers.Enter<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Leave(int size)
    {
        return size switch
        {
            2 => &StackHandlers.Leave<Width16>,
            4 => &StackHandlers.Leave<Width32>,
            _ => &StackHandlers.Leave<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PushFlags(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PushFlags<Width16>,
            4 => &StackHandlers.PushFlags<Width32>,
            _ => &StackHandlers.PushFlags<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> PopFlags(int size)
    {
        return size switch
        {
            2 => &StackHandlers.PopFlags<Width16>,
            4 => &StackHandlers.PopFlags<Width32>,
            _ => &StackHandlers.PopFlags<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> JumpIndirect(int size)
    {
        return size switch
        {
            2 => &BranchHandlers.JumpIndirect<Width16>,
            4 => &BranchHandlers.JumpIndirect<Width32>,
            _ => &BranchHandlers.JumpIndirect<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Call(int size)
    {
        return size switch
        {
            2 => &BranchHandlers.Call<Width16>,
            4 => &BranchHandlers.Call<Width32>,
            _ => &BranchHandlers.Call<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> CallIndirect(int size)
    {
        return size switch
        {
            2 => &BranchHandlers.CallIndirect<Width16>,
            4 => &BranchHandlers.CallIndirect<Width32>,
            _ => &BranchHandlers.CallIndirect<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Return(int size)
    {
        return size switch
        {
            2 => &BranchHandlers.Return<Width16>,
            4 => &BranchHandlers.Return<Width32>,
            _ => &BranchHandlers.Return<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> StringMove(int size)
    {
        return size switch
        {
            1 => &StringHandlers.Move<Width8>,
            2 => &StringHandlers.Move<Width16>,
            4 => &StringHandlers.Move<Width32>,
            _ => &StringHandlers.Move<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> StringFill(int size)
    {
        return size switch
        {
            1 => &StringHandlers.Fill<Width8>,
            2 => &StringHandlers.Fill<Width16>,
            4 => &StringHandlers.Fill<Width32>,
            _ => &StringHandlers.Fill<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> StringLoad(int size)
    {
        return size switch
        {
            1 => &StringHandlers.LoadString<Width8>,
            2 => &StringHandlers.LoadString<Width16>,
            4 => &StringHandlers.LoadString<Width32>,
            _ => &StringHandlers.LoadString<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> StringCompare(int size)
    {
        return size switch
        {
            1 => &StringHandlers.Compare<Width8>,
            2 => &StringHandlers.Compare<Width16>,
            4 => &StringHandlers.Compare<Width32>,
            _ => &StringHandlers.Compare<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> StringScan(int size)
    {
        return size switch
        {
            1 => &StringHandlers.Scan<Width8>,
            2 => &StringHandlers.Scan<Width16>,
            4 => &StringHandlers.Scan<Width32>,
            _ => &StringHandlers.Scan<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ConvertDouble(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.ConvertDouble<Width16>,
            4 => &MoveHandlers.ConvertDouble<Width32>,
            _ => &MoveHandlers.ConvertDouble<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ZeroExtend8(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.ZeroExtend<Width8, Width16>,
            4 => &MoveHandlers.ZeroExtend<Width8, Width32>,
            _ => &MoveHandlers.ZeroExtend<Width8, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ZeroExtend16(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.ZeroExtend<Width16, Width16>,
            4 => &MoveHandlers.ZeroExtend<Width16, Width32>,
            _ => &MoveHandlers.ZeroExtend<Width16, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> SignExtend8(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.SignExtend<Width8, Width16>,
            4 => &MoveHandlers.SignExtend<Width8, Width32>,
            _ => &MoveHandlers.SignExtend<Width8, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> SignExtend16(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.SignExtend<Width16, Width16>,
            4 => &MoveHandlers.SignExtend<Width16, Width32>,
            _ => &MoveHandlers.SignExtend<Width16, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> SignExtend32(int size)
    {
        return size switch
        {
            2 => &MoveHandlers.SignExtend<Width32, Width16>,
            4 => &MoveHandlers.SignExtend<Width32, Width32>,
            _ => &MoveHandlers.SignExtend<Width32, Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> RandomNumber(int size)
    {
        return size switch
        {
            2 => &ProcessorHandlers.Random<Width16>,
            4 => &ProcessorHandlers.Random<Width32>,
            _ => &ProcessorHandlers.Random<Width64>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ConditionalJump(int condition)
    {
        return condition switch
        {
            0 => &BranchHandlers.Conditional<IfO>,
            1 => &BranchHandlers.Conditional<IfNo>,
            2 => &BranchHandlers.Conditional<IfB>,
            3 => &BranchHandlers.Conditional<IfAe>,
            4 => &BranchHandlers.Conditional<IfE>,
            5 => &BranchHandlers.Conditional<IfNe>,
            6 => &BranchHandlers.Conditional<IfBe>,
            7 => &BranchHandlers.Conditional<IfA>,
            8 => &BranchHandlers.Conditional<IfS>,
            9 => &BranchHandlers.Conditional<IfNs>,
            10 => &BranchHandlers.Conditional<IfP>,
            11 => &BranchHandlers.Conditional<IfNp>,
            12 => &BranchHandlers.Conditional<IfL>,
            13 => &BranchHandlers.Conditional<IfGe>,
            14 => &BranchHandlers.Conditional<IfLe>,
            _ => &BranchHandlers.Conditional<IfG>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> SetByte(int condition)
    {
        return condition switch
        {
            0 => &MoveHandlers.SetByte<IfO>,
            1 => &MoveHandlers.SetByte<IfNo>,
            2 => &MoveHandlers.SetByte<IfB>,
            3 => &MoveHandlers.SetByte<IfAe>,
            4 => &MoveHandlers.SetByte<IfE>,
            5 => &MoveHandlers.SetByte<IfNe>,
            6 => &MoveHandlers.SetByte<IfBe>,
            7 => &MoveHandlers.SetByte<IfA>,
            8 => &MoveHandlers.SetByte<IfS>,
            9 => &MoveHandlers.SetByte<IfNs>,
            10 => &MoveHandlers.SetByte<IfP>,
            11 => &MoveHandlers.SetByte<IfNp>,
            12 => &MoveHandlers.SetByte<IfL>,
            13 => &MoveHandlers.SetByte<IfGe>,
            14 => &MoveHandlers.SetByte<IfLe>,
            _ => &MoveHandlers.SetByte<IfG>,
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ConditionalMove(int condition, int size)
    {
        return condition switch
        {
            0 => ConditionalMove<IfO>(size),
            1 => ConditionalMove<IfNo>(size),
            2 => ConditionalMove<IfB>(size),
            3 => ConditionalMove<IfAe>(size),
            4 => ConditionalMove<IfE>(size),
            5 => ConditionalMove<IfNe>(size),
            6 => ConditionalMove<IfBe>(size),
            7 => ConditionalMove<IfA>(size),
            8 => ConditionalMove<IfS>(size),
            9 => ConditionalMove<IfNs>(size),
            10 => ConditionalMove<IfP>(size),
            11 => ConditionalMove<IfNp>(size),
            12 => ConditionalMove<IfL>(size),
            13 => ConditionalMove<IfGe>(size),
            14 => ConditionalMove<IfLe>(size),
            _ => ConditionalMove<IfG>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRmReg(int operation, int size)
    {
        return operation switch
        {
            0 => AluRmReg<Add>(size),
            1 => AluRmReg<Or>(size),
            2 => AluRmReg<Adc>(size),
            3 => AluRmReg<Sbb>(size),
            4 => AluRmReg<And>(size),
            5 => AluRmReg<Sub>(size),
            6 => AluRmReg<Xor>(size),
            _ => AluRmReg<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRegRm(int operation, int size)
    {
        return operation switch
        {
            0 => AluRegRm<Add>(size),
            1 => AluRegRm<Or>(size),
            2 => AluRegRm<Adc>(size),
            3 => AluRegRm<Sbb>(size),
            4 => AluRegRm<And>(size),
            5 => AluRegRm<Sub>(size),
            6 => AluRegRm<Xor>(size),
            _ => AluRegRm<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluMemoryReg(int operation, int size)
    {
        return operation switch
        {
            0 => AluMemoryReg<Add>(size),
            1 => AluMemoryReg<Or>(size),
            2 => AluMemoryReg<Adc>(size),
            3 => AluMemoryReg<Sbb>(size),
            4 => AluMemoryReg<And>(size),
            5 => AluMemoryReg<Sub>(size),
            6 => AluMemoryReg<Xor>(size),
            _ => AluMemoryReg<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRegMemory(int operation, int size)
    {
        return operation switch
        {
            0 => AluRegMemory<Add>(size),
            1 => AluRegMemory<Or>(size),
            2 => AluRegMemory<Adc>(size),
            3 => AluRegMemory<Sbb>(size),
            4 => AluRegMemory<And>(size),
            5 => AluRegMemory<Sub>(size),
            6 => AluRegMemory<Xor>(size),
            _ => AluRegMemory<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluRmImmediate(int operation, int size)
    {
        return operation switch
        {
            0 => AluRmImmediate<Add>(size),
            1 => AluRmImmediate<Or>(size),
            2 => AluRmImmediate<Adc>(size),
            3 => AluRmImmediate<Sbb>(size),
            4 => AluRmImmediate<And>(size),
            5 => AluRmImmediate<Sub>(size),
            6 => AluRmImmediate<Xor>(size),
            _ => AluRmImmediate<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluMemoryImmediate(int operation, int size)
    {
        return operation switch
        {
            0 => AluMemoryImmediate<Add>(size),
            1 => AluMemoryImmediate<Or>(size),
            2 => AluMemoryImmediate<Adc>(size),
            3 => AluMemoryImmediate<Sbb>(size),
            4 => AluMemoryImmediate<And>(size),
            5 => AluMemoryImmediate<Sub>(size),
            6 => AluMemoryImmediate<Xor>(size),
            _ => AluMemoryImmediate<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluAccumulatorImmediate(int operation, int size)
    {
        return operation switch
        {
            0 => AluAccumulatorImmediate<Add>(size),
            1 => AluAccumulatorImmediate<Or>(size),
            2 => AluAccumulatorImmediate<Adc>(size),
            3 => AluAccumulatorImmediate<Sbb>(size),
            4 => AluAccumulatorImmediate<And>(size),
            5 => AluAccumulatorImmediate<Sub>(size),
            6 => AluAccumulatorImmediate<Xor>(size),
            _ => AluAccumulatorImmediate<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluLockedReg(int operation, int size)
    {
        return operation switch
        {
            0 => AluLockedReg<Add>(size),
            1 => AluLockedReg<Or>(size),
            2 => AluLockedReg<Adc>(size),
            3 => AluLockedReg<Sbb>(size),
            4 => AluLockedReg<And>(size),
            5 => AluLockedReg<Sub>(size),
            6 => AluLockedReg<Xor>(size),
            _ => AluLockedReg<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> AluLockedImmediate(int operation, int size)
    {
        return operation switch
        {
            0 => AluLockedImmediate<Add>(size),
            1 => AluLockedImmediate<Or>(size),
            2 => AluLockedImmediate<Adc>(size),
            3 => AluLockedImmediate<Sbb>(size),
            4 => AluLockedImmediate<And>(size),
            5 => AluLockedImmediate<Sub>(size),
            6 => AluLockedImmediate<Xor>(size),
            _ => AluLockedImmediate<Cmp>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByOne(int operation, int size)
    {
        return operation switch
        {
            0 => ShiftByOne<Rol>(size),
            1 => ShiftByOne<Ror>(size),
            2 => ShiftByOne<Rcl>(size),
            3 => ShiftByOne<Rcr>(size),
            4 => ShiftByOne<Shl>(size),
            5 => ShiftByOne<Shr>(size),
            6 => ShiftByOne<Shl>(size),
            _ => ShiftByOne<Sar>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByImmediate(int operation, int size)
    {
        return operation switch
        {
            0 => ShiftByImmediate<Rol>(size),
            1 => ShiftByImmediate<Ror>(size),
            2 => ShiftByImmediate<Rcl>(size),
            3 => ShiftByImmediate<Rcr>(size),
            4 => ShiftByImmediate<Shl>(size),
            5 => ShiftByImmediate<Shr>(size),
            6 => ShiftByImmediate<Shl>(size),
            _ => ShiftByImmediate<Sar>(size),
        };
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> ShiftByCl(int operation, int size)
    {
        return operation switch
        {
            0 => ShiftByCl<Rol>(size),
            1 => ShiftByCl<Ror>(size),
            2 => ShiftByCl<Rcl>(size),
            3 => ShiftByCl<Rcr>(size),
            4 => ShiftByCl<Shl>(size),
            5 => ShiftByCl<Shr>(size),
            6 => ShiftByCl<Shl>(size),
            _ => ShiftByCl<Sar>(size),
        };
    }
}
