using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Ordinary instructions of programs: accesses to memory, and near transfers (Intel SDM volume 2).</summary>
internal sealed partial class SystemModel
{
    private bool TryPerformOrdinary(in Instruction i)
    {
        if (!_isProgram)
        {
            return false;
        }

        if (IsHighByte(i.Op0Register) || IsHighByte(i.Op1Register))
        {
            throw new UnjudgedCase("code that was not meant to be such");
        }

        switch (i.Mnemonic)
        {
            case Mnemonic.Mov when !IsSystemRegister(i.Op0Register) && !IsSystemRegister(i.Op1Register):
                Move(i);
                break;
            case Mnemonic.Lea:
                WriteRegister(Number(i.Op0Register), Truncate(Offset(i), i.Op0Register.GetSize()), i.Op0Register.GetSize());
                break;
            case Mnemonic.Not when i.Op0Kind == OpKind.Memory:
                Complement(i);
                break;
            case Mnemonic.Xor when i.Op0Register == i.Op1Register && i.Op0Kind == OpKind.Register:
                WriteRegister(Number(i.Op0Register), 0, i.Op0Register.GetSize());
                _m.Flags = (_m.Flags & ~Status) | Zero | Parity;
                LooseFlags |= Auxiliary;
                break;
            case Mnemonic.Stosb or Mnemonic.Stosd or Mnemonic.Stosq or Mnemonic.Movsb or Mnemonic.Movsq:
                Repeat(i);
                break;
            case Mnemonic.Movsd when i.IsStringInstruction:
                Repeat(i);
                break;
            case Mnemonic.Dec when i.Op0Kind == OpKind.Register:
                Decrement(i);
                break;
            case Mnemonic.Push when i.Op0Kind != OpKind.Memory && !i.Op0Register.IsSegmentRegister():
                NewStack stack = CurrentStack();
                RequireRoom(stack, 1, PushedSize(i));
                Push(ref stack, i.Op0Kind == OpKind.Register ? Value(i.Op0Register) : i.GetImmediate(0), PushedSize(i));
                Use(stack);
                break;
            case Mnemonic.Pop when i.Op0Kind == OpKind.Register && !i.Op0Register.IsSegmentRegister():
                ulong pointer = _m.General[Sp];
                ulong popped = Pop(ref pointer, PushedSize(i));
                WriteRegister(Sp, pointer, _m.StackSize);
                WriteRegister(Number(i.Op0Register), popped, i.Op0Register.GetSize());
                break;
            case Mnemonic.Call when i.Op0Kind is OpKind.Register or OpKind.NearBranch32 or OpKind.NearBranch64:
                ulong target = NearTarget(i);
                NewStack caller = CurrentStack();
                RequireRoom(caller, 1, PushedSize(i));
                Push(ref caller, Next, PushedSize(i));
                Use(caller);
                Branch(target);
                break;
            case Mnemonic.Ret when i.OpCount == 0:
                ulong top = _m.General[Sp];
                ulong back = Pop(ref top, PushedSize(i));
                Require(!_m.Is64 || IsCanonical(back));
                WriteRegister(Sp, top, _m.StackSize);
                Branch(back);
                break;
            case Mnemonic.Jmp when i.Op0Kind is OpKind.Register or OpKind.NearBranch32 or OpKind.NearBranch64:
                Branch(NearTarget(i));
                break;
            case Mnemonic.Jne:
                if ((_m.Flags & Zero) == 0)
                {
                    Branch(NearTarget(i));
                }

                break;
            default:
                return false;
        }

        return true;
    }

    private static bool IsHighByte(Register register) => register is Register.AH or Register.CH or Register.DH or Register.BH;

    private static bool IsSystemRegister(Register register) => register.IsSegmentRegister() || register.IsCR() || register.IsDR();

    // A distance is that of code at address 0.
    private ulong NearTarget(in Instruction i)
    {
        ulong target = i.Op0Kind == OpKind.Register ? Value(i.Op0Register) : _m.Rip + i.NearBranchTarget;
        target = _m.Is64 ? target : (uint)target;
        if (_m.Is64 && !IsCanonical(target))
        {
            throw new UnjudgedCase("a near transfer to no canonical address");
        }

        return target;
    }

    private void Move(in Instruction i)
    {
        int size = i.Op0Kind == OpKind.Register ? i.Op0Register.GetSize() : i.MemorySize.GetSize();
        ulong value = i.Op1Kind switch
        {
            OpKind.Register => Value(i.Op1Register),
            OpKind.Memory => LoadOperand(Segment(i), Offset(i), size),
            _ => i.GetImmediate(1),
        };
        if (i.Op0Kind == OpKind.Memory)
        {
            StoreOperand(Segment(i), Offset(i), value, size);
        }
        else
        {
            WriteRegister(Number(i.Op0Register), value, size);
        }
    }

    // What is read and written must be writable before it is read.
    private void Complement(in Instruction i)
    {
        int size = i.MemorySize.GetSize();
        ulong linear = Linear(Segment(i), Offset(i), size, write: true);
        RequireAligned(linear, size, 0, Access.Write);
        Span<ulong> physical = stackalloc ulong[8];
        Locate(linear, size, Access.Write, _m.Cpl == 3, isExplicit: true, physical);
        Span<byte> bytes = stackalloc byte[8];
        for (int n = 0; n < size; n++)
        {
            if (physical[n] < MachineImage.MemorySize && _loose[(int)physical[n]])
            {
                throw new UnjudgedCase("what an exception left half written is read");
            }

            bytes[n] = (byte)~ReadPhysical(physical[n]);
        }

        Write(linear, bytes[..size], physical);
    }

    // What is done of a repeated one when an exception comes stays done (REP, "if an exception occurs").
    private void Repeat(in Instruction i)
    {
        const int rcx = 1;
        const int rsi = 6;
        const int rdi = 7;
        if ((_m.Flags & Direction) != 0)
        {
            throw new UnjudgedCase("strings downwards");
        }

        int addressSize = _m.Is64 ? 8 : 4;
        bool moves = i.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsd or Mnemonic.Movsq;
        int size = i.Mnemonic switch { Mnemonic.Stosb or Mnemonic.Movsb => 1, Mnemonic.Stosd or Mnemonic.Movsd => 4, _ => 8 };
        while (!i.HasRepPrefix || Truncate(_m.General[rcx], addressSize) != 0)
        {
            ulong value = moves ? LoadOperand(Segment(i), Truncate(_m.General[rsi], addressSize), size) : _m.General[0];
            StoreOperand(MachineImage.Es, Truncate(_m.General[rdi], addressSize), value, size);
            WriteRegister(rdi, _m.General[rdi] + (ulong)size, addressSize);
            WriteRegister(rsi, _m.General[rsi] + (moves ? (ulong)size : 0), addressSize);
            if (!i.HasRepPrefix)
            {
                return;
            }

            WriteRegister(rcx, _m.General[rcx] - 1, addressSize);
            _before.CopyRegistersFrom(_m);
            CommitMemory();
        }
    }

    private void Decrement(in Instruction i)
    {
        int size = i.Op0Register.GetSize();
        ulong old = Value(i.Op0Register);
        ulong value = Truncate(old - 1, size);
        ulong sign = 1UL << ((size * 8) - 1);
        WriteRegister(Number(i.Op0Register), value, size);
        uint flags = (value == 0 ? Zero : 0) | ((value & sign) != 0 ? Sign : 0) | (old == sign ? Overflow : 0) | ((old & 15) == 0 ? Auxiliary : 0);
        flags |= (System.Numerics.BitOperations.PopCount((byte)value) & 1) == 0 ? Parity : 0;
        _m.Flags = (_m.Flags & ~(Status & ~Carry)) | flags;
    }
}
