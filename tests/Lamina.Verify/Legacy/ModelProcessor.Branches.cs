using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>Near jumps, calls and returns: targets of 16 or 32 bits by the operand size, inside the code segment.</summary>
internal sealed partial class ModelProcessor
{
    private bool RunBranch(in Instruction i)
    {
        // The decoder was told that the instruction is at 0.
        int size = i.Op0Kind == OpKind.NearBranch16 ? 2 : 4;
        uint relative = i.Op0Kind is OpKind.NearBranch16 or OpKind.NearBranch32 ? Truncate(_start + (uint)i.NearBranchTarget, size) : 0;
        switch (i.Mnemonic)
        {
            case Mnemonic.Jmp or Mnemonic.Call when i.Op0Kind is OpKind.NearBranch16 or OpKind.NearBranch32:
                _ = i.Mnemonic == Mnemonic.Jmp ? Go(relative) : Call(relative, size);
                return true;

            case Mnemonic.Jmp or Mnemonic.Call:
                size = i.Op0Kind == OpKind.Memory ? i.MemorySize.GetSize() : i.Op0Register.GetSize();
                uint target = 0;
                if (i.Op0Kind == OpKind.Memory ? Read(Segment(i), Offset(i), size, out target) : (target = Get(i.Op0Register)) == target)
                {
                    _ = i.Mnemonic == Mnemonic.Jmp ? Go(target) : Call(target, size);
                }

                return true;

            case Mnemonic.Ret:
                size = i.Code is Code.Retnw or Code.Retnw_imm16 ? 2 : 4;
                if (Pop(size, out target) && Go(target))
                {
                    SetLow(Sp, _registers[Sp] + (i.OpCount == 1 ? i.Immediate16 : 0u), StackSize);
                }

                return true;

            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne:
                int counter = CounterSize(i);
                uint count = Truncate(_registers[Cx] - 1, counter);
                bool zero = (_flags & Zero) != 0;
                bool taken = count != 0 && (i.Mnemonic == Mnemonic.Loop || zero == (i.Mnemonic == Mnemonic.Loope));
                SetLow(Cx, count, counter);
                _ = !taken || Go(relative);
                return true;

            case Mnemonic.Jcxz or Mnemonic.Jecxz:
                _ = Truncate(_registers[Cx], i.Mnemonic == Mnemonic.Jcxz ? 2 : 4) != 0 || Go(relative);
                return true;

            default:
                if (i.ConditionCode == ConditionCode.None || i.FlowControl != FlowControl.ConditionalBranch)
                {
                    return false;
                }

                _ = !IsMet(i.ConditionCode) || Go(relative);
                return true;
        }
    }

    private static int CounterSize(in Instruction i) => i.Code.ToString().EndsWith("_CX", StringComparison.Ordinal) ? 2 : 4;

    private bool Go(uint target)
    {
        if (target > _segments[SegmentValues.Cs].Limit)
        {
            Raise(13);
            return false;
        }

        _ip = target;
        return true;
    }

    // The target is looked at before the return address is pushed.
    private bool Call(uint target, int size)
    {
        uint next = _ip;
        return Go(target) && Push(size, next);
    }

    private bool IsMet(ConditionCode condition)
    {
        bool carry = (_flags & Carry) != 0;
        bool zero = (_flags & Zero) != 0;
        bool sign = (_flags & Sign) != 0;
        bool overflow = (_flags & Overflow) != 0;
        bool parity = (_flags & Parity) != 0;
        return condition switch
        {
            ConditionCode.o => overflow,
            ConditionCode.no => !overflow,
            ConditionCode.b => carry,
            ConditionCode.ae => !carry,
            ConditionCode.e => zero,
            ConditionCode.ne => !zero,
            ConditionCode.be => carry || zero,
            ConditionCode.a => !carry && !zero,
            ConditionCode.s => sign,
            ConditionCode.ns => !sign,
            ConditionCode.p => parity,
            ConditionCode.np => !parity,
            ConditionCode.l => sign != overflow,
            ConditionCode.ge => sign == overflow,
            ConditionCode.le => zero || sign != overflow,
            ConditionCode.g => !zero && sign == overflow,
            _ => throw new ArgumentOutOfRangeException(nameof(condition), condition, null),
        };
    }
}
