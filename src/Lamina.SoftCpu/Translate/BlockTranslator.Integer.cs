using System.Numerics;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Translate;

/// <summary>Integer instructions.</summary>
internal unsafe ref partial struct BlockTranslator
{
    [Flags]
    private enum Use
    {
        None = 0,
        Read = 1,
        Write = 2,
        Both = 3,
    }

    // False, with nothing written: not translated.
    private bool TranslateInstruction(Instruction* i)
    {
        if ((i->Flags & InstructionFlags.Undefined) != 0)
        {
            return false;
        }

        int cold = _coldCount;
        int site = _siteCount;
        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        bool done = i->Map switch
        {
            0 => TranslateOneByte(i),
            1 when !vex => TranslateTwoByte(i) || Vector(i),
            _ => Vector(i),
        };
        if (!KeepsAddress(i))
        {
            _held = -1;
        }

        if (done && !_records)
        {
            FinishInstruction(cold, site);
        }

        return done;
    }

    private bool TranslateOneByte(Instruction* i)
    {
        int op = i->Opcode;
        int size = i->OperandSize;
        int sized = (op & 1) == 0 ? 1 : size;
        int digit = (i->ModRm >> 3) & 7;
        bool rep = (i->Flags & (InstructionFlags.Rep | InstructionFlags.Repne)) != 0;
        switch (op)
        {
            case < 0x40 when (op & 7) < 4:
                bool compare = op >= 0x38;
                return (op & 2) == 0
                    ? ModRm(i, op, Use.Read, compare ? Use.Read : Use.Both, sized)
                    : ModRm(i, op, compare ? Use.Read : Use.Both, Use.Read, sized);
            case < 0x40 when (op & 7) < 6:
                return Accumulator(i, op, sized);
            case >= 0x50 and <= 0x57 when size == 8:
                return Push(i, i->Rm);
            case >= 0x58 and <= 0x5f when size == 8:
                return Pop(i);
            case 0x63:
                return ModRm(i, op, Use.Write, Use.Read, size, 4);
            case 0x68 or 0x6a when size == 8:
                return PushImmediate(i);
            case 0x69 or 0x6b:
                return ModRm(i, op, Use.Write, Use.Read, size, immediate: op == 0x6b ? 1 : Math.Min(size, 4));
            case >= 0x70 and <= 0x7f:
                return ConditionalJump(i, op & 15);
            case 0x80 or 0x81 or 0x83:
                return ModRm(i, op, Use.None, digit == 7 ? Use.Read : Use.Both, sized, immediate: op == 0x81 ? Math.Min(size, 4) : 1);
            case 0x84 or 0x85:
                return ModRm(i, op, Use.Read, Use.Read, sized);
            case 0x86 or 0x87:
                return ModRm(i, op, Use.Both, Use.Both, sized, aligned: true);
            case 0x88 or 0x89:
                return ModRm(i, op, Use.Read, Use.Write, sized);
            case 0x8a or 0x8b:
                return ModRm(i, op, Use.Write, Use.Read, sized);
            case 0x8d:
                return Lea(i);
            case 0x90 when (i->Rex & 1) == 0 && !rep:
                return true;
            case 0x9c when size == 8 && !_cache.IsCompared:
                return PushFlags(i);
            case 0x8c:
                return MoveFromSegment(i);
            case 0xfc or 0xfd:
                return SetDirection(op == 0xfd);
            case 0xfa:
                return ClearInterrupt();
            case 0xfb when (i->Flags & InstructionFlags.EndsBlock) == 0:
                return SetInterrupt();
            case 0x98:
                // CBW, CWDE, CDQE work on RAX alone.
                return Implicit(i, op, size);
            case 0x99:
                return Implicit(i, op, size);
            case 0xa4 or 0xa5 or 0xaa or 0xab when rep && !_cache.IsCompared && i->AddressSize == 8 && i->Segment < SegmentRegister.Fs:
                return RepeatedString(op < 0xa8, sized);
            case 0xa8 or 0xa9:
                return Accumulator(i, op, sized);
            case >= 0xb0 and <= 0xb7:
                return MoveByte(i);
            case >= 0xb8 and <= 0xbf:
                return MoveImmediate(i, size);
            case 0xc0 or 0xc1 when digit is not (2 or 3):
                return ModRm(i, op, Use.None, Use.Both, sized, immediate: 1);
            case 0xd0 or 0xd1:
                return ModRm(i, op, Use.None, Use.Both, sized);
            case 0xd2 or 0xd3:
                return ModRm(i, op, Use.None, Use.Both, sized);
            case 0xc2 or 0xc3:
                return Return(i);
            case 0xc6 or 0xc7:
                return ModRm(i, op, Use.None, Use.Write, sized, immediate: op == 0xc6 ? 1 : Math.Min(size, 4));
            case 0xc9 when size == 8:
                return Leave(i);
            case 0xe8:
                return Call(i);
            case 0xe9 or 0xeb:
                return Jump();
            case >= 0xd8 and <= 0xdf:
                return X87(i);
            case 0xf6 or 0xf7:
                return digit switch
                {
                    0 or 1 => ModRm(i, op, Use.None, Use.Read, sized, immediate: sized == 1 ? 1 : Math.Min(size, 4)),
                    2 or 3 => ModRm(i, op, Use.None, Use.Both, sized),
                    4 or 5 => ModRm(i, op, Use.None, Use.Read, sized),
                    6 when size >= 4 && sized != 1 => DivideUnsigned(i, size),
                    _ => false,
                };
            case 0xf5 or 0xf8 or 0xf9:
                EmitRestoreNeeded();
                _asm.Byte(op);
                _native = true;
                return true;
            case 0xfe or 0xff when digit < 2:
                return ModRm(i, op, Use.None, Use.Both, sized);
            case 0xff when digit is 2 or 4:
                return Indirect(i, digit == 2);
            case 0xff when digit == 6 && i->IsMemory && size != 2:
                return PushMemory(i);
            default:
                return false;
        }
    }

    private bool TranslateTwoByte(Instruction* i)
    {
        int op = i->Opcode & 0xff;
        int size = i->OperandSize;
        int sized = (op & 1) == 0 ? 1 : size;
        int host = 0x0f00 | op;
        InstructionFlags prefix = i->Flags & (InstructionFlags.Rep | InstructionFlags.Repne);
        switch (op)
        {
            case 0x01 when i->ModRm == 0xf8:
                return SwapGs();
            case 0x01 when i->ModRm == 0xf9 && !_cache.IsCompared:
                return ReadTimeStamp(withProcessor: true);
            case 0x31 when !_cache.IsCompared:
                return ReadTimeStamp(withProcessor: false);
            case 0x01 when i->ModRm is 0xca or 0xcb && prefix == 0 && (i->Flags & InstructionFlags.OperandSize) == 0:
                return AccessControl(i);
            case 0x20 when !i->IsMemory:
                return MoveFromControl(i);
            case 0x05 when !_cache.IsCompared:
                return SystemCall(i);
            case 0x07:
                return SystemReturn(i);
            case 0x0d when i->IsMemory:
            case >= 0x18 and <= 0x1f:
                return true;
            case >= 0x40 and <= 0x4f:
                return ModRm(i, host, Use.Both, Use.Read, size);
            case >= 0x80 and <= 0x8f:
                return ConditionalJump(i, op & 15);
            case >= 0x90 and <= 0x9f:
                return ModRm(i, host, Use.None, Use.Write, 1);
            case 0xa4 or 0xac when size >= 4:
                return ModRm(i, host, Use.Read, Use.Both, size, immediate: 1);
            case 0xa5 or 0xad when size >= 4:
                return ModRm(i, host, Use.Read, Use.Both, size);
            case 0xae when !i->IsMemory && prefix == 0 && (i->Flags & InstructionFlags.OperandSize) == 0 && (i->ModRm & 0x38) >= 0x28:
                return Fence(i);
            case 0xae when !i->IsMemory && prefix == InstructionFlags.Rep && (i->ModRm & 0x38) < 0x20:
                return SegmentBase(i);
            case 0xa3 or 0xab or 0xb3 or 0xbb when !i->IsMemory:
                return ModRm(i, host, Use.Read, op == 0xa3 ? Use.Read : Use.Both, size);
            case 0xa3 or 0xab or 0xb3 or 0xbb when size >= 4 && i->AddressSize == 8:
                return BitOfString(i, host, size);
            case 0xbc or 0xbd when prefix == 0:
                return ModRm(i, host, Use.Both, Use.Read, size);
            case 0xc7 when i->IsMemory && (i->ModRm & 0x38) == 8 && prefix == 0 && size >= 4:
                return ModRm(i, host, Use.None, Use.Both, size, 2 * size, aligned: true);
            case 0xba:
                return ModRm(i, host, Use.None, (i->ModRm & 0x18) == 0 ? Use.Read : Use.Both, size, immediate: 1);
            case 0xaf:
                return ModRm(i, host, Use.Both, Use.Read, size);
            case 0xb0 or 0xb1:
                return ModRm(i, host, Use.Read, Use.Both, sized, aligned: (i->Flags & InstructionFlags.Lock) != 0);
            case 0xc0 or 0xc1:
                return ModRm(i, host, Use.Both, Use.Both, sized, aligned: (i->Flags & InstructionFlags.Lock) != 0);
            case 0xb6 or 0xb7 or 0xbe or 0xbf when prefix == 0:
                return ModRm(i, host, Use.Write, Use.Read, size, (op & 1) == 0 ? 1 : 2);
            case >= 0xc8 and <= 0xcf when size >= 4:
                return ByteSwap(i, size);
            default:
                return false;
        }
    }

    /// <summary>
    /// Writes an instruction with ModRM again. <paramref name="reg"/> and <paramref name="rm"/> say how it uses its operands (<see cref="Use.None"/> for
    /// reg: an opcode digit); <paramref name="rmSize"/> differs from <paramref name="size"/> for extensions.
    /// </summary>
    private bool ModRm(Instruction* i, int opcode, Use reg, Use rm, int size, int rmSize = 0, int immediate = 0, bool aligned = false)
    {
        rmSize = rmSize == 0 ? size : rmSize;
        bool memory = i->IsMemory;
        bool locked = (i->Flags & InstructionFlags.Lock) != 0;
        bool regHigh = reg != Use.None && size == 1 && i->Rex == 0 && i->Reg is >= 4 and < 8;
        bool rmHigh = !memory && rmSize == 1 && i->Rex == 0 && i->Rm is >= 4 and < 8;
        if (regHigh || rmHigh)
        {
            // AH to BH cannot be named together with a REX prefix.
            int other = regHigh ? memory || rmHigh ? 0 : Host.Of(i->Rm) : reg == Use.None ? 0 : Host.Of(i->Reg);
            if (memory || other is < 0 or > 7 || size == 8)
            {
                return false;
            }
        }

        int offset = memory ? EmitOperand(i, rmSize, (rm & Use.Write) != 0, aligned || locked) : 0;

        EmitRestoreNeeded();
        int regHost = reg == Use.None ? (i->ModRm >> 3) & 7 : regHigh ? i->Reg : Operand(i->Reg, Host.Value, reg, size);
        int rmHost = memory ? Host.Address : rmHigh ? i->Rm : Operand(i->Rm, Host.Address, rm, rmSize);
        if (locked)
        {
            _asm.Byte(0xf0);
        }

        if (size == 2)
        {
            _asm.Byte(0x66);
        }

        // SPL to DIL need a REX prefix; so do their hosts.
        bool force = !regHigh && !rmHigh && ((reg != Use.None && size == 1 && regHost >= 4) || (!memory && rmSize == 1 && rmHost >= 4));
        if (memory)
        {
            _asm.MemoryForm(opcode, regHost, rmHost, offset, size == 8, force);
        }
        else
        {
            _asm.RegisterForm(opcode, regHost, rmHost, size == 8, force);
        }

        EmitImmediate(i, immediate);
        if (!regHigh)
        {
            PutBack(i->Reg, regHost, reg);
        }

        if (!memory && !rmHigh)
        {
            PutBack(i->Rm, rmHost, rm);
        }

        NoteWritten();
        return true;
    }

    // Done by a routine, which comes back here, or leaves for the interpreter.
    private bool RepeatedString(bool move, int size)
    {
        EmitSaveLive();
        _asm.Call(_routines.Strings.Of(move, BitOperations.Log2((uint)size)));
        AddSite(_index);
        return true;
    }

    // BT and its kin in memory: a bit of a string, whose word is found first.
    private bool BitOfString(Instruction* i, int opcode, int size)
    {
        bool locked = (i->Flags & InstructionFlags.Lock) != 0;
        EmitSaveLive();
        EmitLinear(i);
        int bit = Resident(i->Reg, Host.Temporary);
        _asm.RegisterForm(size == 8 ? 0x8b : 0x63, Host.Temporary, bit, true); // MOV, MOVSXD
        _asm.RegisterForm(0xc1, 7, Host.Temporary, true); // SAR
        _asm.Byte(size == 8 ? 6 : 5);
        _asm.Lea(Host.Address, Host.Address, Host.Temporary, size == 8 ? 3 : 2, 0);
        EmitTranslate(size, opcode != 0x0fa3, locked);
        _asm.Move(Host.Value, Resident(i->Reg, Host.Value));
        _asm.RegisterForm(0x83, 4, Host.Value, false); // AND
        _asm.Byte((8 * size) - 1);
        EmitRestoreNeeded();
        if (locked)
        {
            _asm.Byte(0xf0);
        }

        _asm.MemoryForm(opcode, Host.Value, Host.Address, 0, size == 8);
        NoteWritten();
        return true;
    }

    private void EmitImmediate(Instruction* i, int bytes)
    {
        if (bytes == 1)
        {
            _asm.Byte((int)i->Immediate);
        }
        else if (bytes == 2)
        {
            _asm.Byte((int)i->Immediate);
            _asm.Byte((int)(i->Immediate >> 8));
        }
        else if (bytes == 4)
        {
            _asm.Dword((int)i->Immediate);
        }
    }

    // A register operand; one that lives in the context is loaded unless it is overwritten whole.
    private int Operand(int guest, int scratch, Use use, int size)
    {
        int host = Host.Of(guest);
        if (host >= 0)
        {
            return host;
        }

        if ((use & Use.Read) != 0 || size < 4)
        {
            _asm.LoadContext(scratch, ContextLayout.Register(guest));
        }

        _held = scratch == Host.Address ? -1 : _held;
        return scratch;
    }

    private void PutBack(int guest, int host, Use use)
    {
        if ((use & Use.Write) != 0 && Host.Of(guest) < 0)
        {
            _asm.StoreContext(host, ContextLayout.Register(guest));
        }
    }

    private bool Accumulator(Instruction* i, int opcode, int size)
    {
        EmitRestoreNeeded();
        return Implicit(i, opcode, size, size == 1 ? 1 : Math.Min(size, 4));
    }

    // An opcode whose registers are RAX, RCX, RDX, RBX: the same on the host.
    private bool Implicit(Instruction* i, int opcode, int size, int immediate = 0)
    {
        if (size == 2)
        {
            _asm.Byte(0x66);
        }
        else if (size == 8)
        {
            _asm.Byte(0x48);
        }

        _asm.Byte(opcode);
        EmitImmediate(i, immediate);
        NoteWritten();
        return true;
    }

    private bool Lea(Instruction* i)
    {
        // The segment does not matter.
        bool wide = i->AddressSize == 8 && i->OperandSize == 8;
        int target = i->OperandSize == 2 ? Host.Address : Operand(i->Reg, Host.Value, Use.Write, i->OperandSize);
        _held = target == Host.Address ? -1 : _held;
        EmitOffset(i, target, wide);
        if (i->OperandSize == 2)
        {
            target = Operand(i->Reg, Host.Value, Use.Write, 2);
            _asm.Byte(0x66);
            _asm.RegisterForm(0x8b, target, Host.Address, false);
        }

        PutBack(i->Reg, target, Use.Write);
        return true;
    }

    private bool MoveByte(Instruction* i)
    {
        if (i->Rex == 0 && i->Rm is >= 4 and < 8)
        {
            _asm.Byte(0xb0 | i->Rm);
            _asm.Byte((int)i->Immediate);
            return true;
        }

        int host = Operand(i->Rm, Host.Value, Use.Both, 1);
        _asm.RegisterForm(0xc6, 0, host, false, true);
        _asm.Byte((int)i->Immediate);
        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    private bool MoveImmediate(Instruction* i, int size)
    {
        int host = Operand(i->Rm, Host.Value, Use.Write, size);
        if (size == 2)
        {
            _asm.Byte(0x66);
            _asm.RegisterForm(0xc7, 0, host, false);
            EmitImmediate(i, 2);
        }
        else
        {
            _asm.MoveImmediate(host, size == 4 ? (uint)i->Immediate : i->Immediate);
        }

        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    // The quotient fits if the upper half is below the divisor; otherwise the interpreter raises #DE.
    private bool DivideUnsigned(Instruction* i, int size)
    {
        bool wide = size == 8;
        EmitSaveLive();
        int divisor = Host.Value;
        if (i->IsMemory)
        {
            int offset = EmitOperand(i, size, false);
            _asm.MemoryForm(0x8b, divisor, Host.Address, offset, wide);
        }
        else
        {
            divisor = Resident(i->Rm, Host.Value);
        }

        _asm.RegisterForm(0x3b, Host.Rdx, divisor, wide); // CMP
        AddCold(ColdKind.Interpret, _asm.JumpIf(3));
        _asm.RegisterForm(0xf7, 6, divisor, wide);
        return true;
    }

    private bool PushFlags(Instruction* i)
    {
        const int statusAndFixed = (int)All | 2;
        const int hidden = ~0x3_0000;
        EmitRestore();
        _asm.Byte(0x9c); // PUSHFQ; POP
        _asm.Byte(0x41);
        _asm.Byte(0x58 | (Host.Temporary & 7));
        _asm.StoreContext(Host.Temporary, ContextLayout.BranchTarget);
        EmitSaveLive();
        _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
        EmitTranslate(8, true);
        _asm.LoadContext(Host.Value, ContextLayout.BranchTarget);
        _asm.RegisterForm(0x81, 4, Host.Value, false); // AND
        _asm.Dword(statusAndFixed);
        _asm.ContextForm(0x0b, Host.Value, ContextLayout.SystemFlags, false); // OR
        _asm.RegisterForm(0x81, 4, Host.Value, false);
        _asm.Dword(hidden);
        _asm.MemoryForm(0x89, Host.Value, Host.Address, 0, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool ByteSwap(Instruction* i, int size)
    {
        int host = Operand(i->Rm, Host.Value, Use.Both, size);
        int rex = (size == 8 ? 8 : 0) | (host >> 3);
        if (rex != 0)
        {
            _asm.Byte(0x40 | rex);
        }

        _asm.Byte(0x0f);
        _asm.Byte(0xc8 | (host & 7));
        PutBack(i->Rm, host, Use.Write);
        return true;
    }
}
