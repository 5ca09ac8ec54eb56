using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>The stack: PUSH to ENTER. The stack's addresses have 16 or 32 bits by SS.B, whatever the code's have.</summary>
internal sealed partial class ModelProcessor
{
    private const uint Privilege = 0x3000;

    private int StackSize => (_segments[SegmentValues.Ss].Attributes & SegmentValue.Big) != 0 ? 4 : 2;

    private bool RunStack(in Instruction i)
    {
        uint old = _registers[Sp];
        switch (i.Mnemonic)
        {
            case Mnemonic.Push when !IsSegmentRegister(i.Op0Register):
                int pushed = -i.StackPointerIncrement;
                uint value = i.Op0Kind switch
                {
                    OpKind.Register => Get(i.Op0Register),
                    OpKind.Immediate8to16 => (uint)i.Immediate8to16,
                    OpKind.Immediate8to32 => (uint)i.Immediate8to32,
                    OpKind.Immediate16 => i.Immediate16,
                    OpKind.Immediate32 => i.Immediate32,
                    _ => 0,
                };
                if (i.Op0Kind != OpKind.Memory || Read(Segment(i), Offset(i), pushed, out value))
                {
                    Push(pushed, value);
                }

                return true;

            case Mnemonic.Pop when !IsSegmentRegister(i.Op0Register):
                int popped = i.StackPointerIncrement;
                if (!Pop(popped, out uint result))
                {
                    return true;
                }

                // An address with ESP takes it after the pop; POP SP and POP ESP end with what was popped.
                if (i.Op0Kind == OpKind.Register)
                {
                    Set(i.Op0Register, result);
                }
                else if (!Write(Segment(i), Offset(i), popped, result))
                {
                    _registers[Sp] = old;
                }

                return true;

            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Popf or Mnemonic.Popfd when _mode == CodeMode.V86 && (_flags & Privilege) != Privilege:
                Raise(13);
                return true;

            case Mnemonic.Pushf:
            case Mnemonic.Pushfd:
                Push(-i.StackPointerIncrement, _flags & 0xfc_ffff);
                return true;

            case Mnemonic.Popf:
            case Mnemonic.Popfd:
                PopFlags(i.StackPointerIncrement);
                return true;

            case Mnemonic.Pusha:
            case Mnemonic.Pushad:
                _isPartial = true;
                for (int n = 0; n < 8; n++)
                {
                    if (!Push(-i.StackPointerIncrement / 8, n == Sp ? old : _registers[n]))
                    {
                        return true;
                    }
                }

                return true;

            case Mnemonic.Popa:
            case Mnemonic.Popad:
                PopAll(i.StackPointerIncrement / 8);
                return true;

            case Mnemonic.Enter:
                Enter(i);
                return true;

            case Mnemonic.Leave:
                int size = i.Code == Code.Leavew ? 2 : 4;
                SetLow(Sp, _registers[Bp], StackSize);
                if (Pop(size, out uint frame))
                {
                    SetLow(Bp, frame, size);
                }

                return true;

            default:
                return false;
        }
    }

    private bool Push(int size, uint value)
    {
        uint top = Truncate(_registers[Sp] - (uint)size, StackSize);
        if (!Write(SegmentValues.Ss, top, size, value))
        {
            return false;
        }

        SetLow(Sp, top, StackSize);
        return true;
    }

    private bool Pop(int size, out uint value)
    {
        if (!Read(SegmentValues.Ss, Truncate(_registers[Sp], StackSize), size, out value))
        {
            return false;
        }

        SetLow(Sp, _registers[Sp] + (uint)size, StackSize);
        return true;
    }

    // At CPL 3 with IOPL 0: all but IF, IOPL, VM, VIF, VIP; RF becomes 0. Real mode changes IF and IOPL too, virtual-8086 mode (with IOPL 3) IF.
    private void PopFlags(int size)
    {
        const uint program = 0x24_4dd5;
        const uint interrupt = 0x200;
        const uint resume = 0x1_0000;
        uint changeable = _mode switch { CodeMode.Real => program | interrupt | Privilege, CodeMode.V86 => program | interrupt, _ => program };
        if (Pop(size, out uint value))
        {
            uint mask = size == 2 ? changeable & 0xffff : changeable;
            _flags = (_flags & ~mask & ~resume) | (value & mask);
        }
    }

    private void PopAll(int size)
    {
        uint stack = _registers[Sp];
        _isPartial = true;
        for (int n = 7; n >= 0; n--)
        {
            if (!Pop(size, out uint value))
            {
                return;
            }

            if (n != Sp)
            {
                SetLow(n, value, size);
            }
        }

        _isPartial = false;
        _ = stack;
    }

    private void Enter(in Instruction i)
    {
        int size = i.Code == Code.Enterw_imm16_imm8 ? 2 : 4;
        int level = i.Immediate8_2nd & 31;
        uint link = _registers[Bp];
        _isPartial = true;
        if (!Push(size, link))
        {
            return;
        }

        uint frame = _registers[Sp];
        for (int n = 1; n < level; n++)
        {
            link = Truncate(link - (uint)size, StackSize);
            if (!Read(SegmentValues.Ss, link, size, out uint value) || !Push(size, value))
            {
                return;
            }
        }

        if (level > 0 && !Push(size, frame))
        {
            return;
        }

        SetLow(Sp, _registers[Sp] - i.Immediate16, StackSize);
        if (Probe(SegmentValues.Ss, Truncate(_registers[Sp], StackSize), size))
        {
            SetLow(Bp, frame, size);
        }
    }

    private static bool IsSegmentRegister(Register register) => register is >= Register.ES and <= Register.GS;
}
