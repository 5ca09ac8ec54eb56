using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>Stack and control transfer.</summary>
internal unsafe ref partial struct BlockTranslator
{
    private bool Push(Instruction* i, int guest)
    {
        EmitSaveLive();
        _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
        EmitTranslate(8, true, slot: MissRoutines.Stack);
        int host = Resident(guest, Host.Value);
        _asm.MemoryForm(0x89, host, Host.Address, 0, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool PushMemory(Instruction* i)
    {
        EmitSaveLive();
        EmitLinear(i);
        EmitTranslate(8, false, slot: SlotOf(i, false));
        _asm.MemoryForm(0x8b, Host.Address, Host.Address, 0, true);
        _asm.StoreContext(Host.Address, ContextLayout.BranchTarget);
        _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
        EmitTranslate(8, true, slot: MissRoutines.Stack);
        _asm.LoadContext(Host.Value, ContextLayout.BranchTarget);
        _asm.MemoryForm(0x89, Host.Value, Host.Address, 0, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool PushImmediate(Instruction* i)
    {
        EmitSaveLive();
        _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
        EmitTranslate(8, true, slot: MissRoutines.Stack);
        _asm.MemoryForm(0xc7, 0, Host.Address, 0, true);
        _asm.Dword((int)i->Immediate);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool Pop(Instruction* i)
    {
        EmitSaveLive();
        _asm.Move(Host.Address, Host.GuestStack);
        EmitTranslate(8, false, slot: MissRoutines.Stack);
        int host = Operand(i->Rm, Host.Value, Use.Write, 8);
        if (i->Rm != 4)
        {
            _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, 8);
        }

        _asm.MemoryForm(0x8b, host, Host.Address, 0, true);
        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    private bool Leave(Instruction* i)
    {
        EmitSaveLive();
        _asm.Move(Host.Address, Host.Rbp);
        EmitTranslate(8, false, slot: MissRoutines.Stack);
        _asm.Lea(Host.GuestStack, Host.Rbp, -1, 0, 8);
        _asm.MemoryForm(0x8b, Host.Rbp, Host.Address, 0, true);
        return true;
    }

    private bool ConditionalJump(Instruction* i, int condition)
    {
        EmitRestoreNeeded();
        ulong next = _rip + i->Length;
        ulong target = next + (ulong)i->Immediate;
        int taken = _asm.JumpIf(condition);
        bool native = _native;
        EmitDirectJump(next, _live);
        _asm.Bind(taken);
        _native = native;
        EmitDirectJump(target, _live);
        return true;
    }

    /// <summary>Goes to a direct target: by a jump that is linked later if it is in the same page, else by look-up.</summary>
    private void EmitDirectJump(ulong target, uint live)
    {
        if (((target ^ _start) & ~0xfffUL) == 0)
        {
            // Linked while others may execute it: its displacement must change in one piece.
            _asm.Align(4, 1);
            AddCold(_native ? ColdKind.Link : ColdKind.SavedLink, _asm.JumpForward(), null, target);
            return;
        }

        if (live != 0)
        {
            EmitSave();
        }

        EmitGuardedJump(target);
    }

    /// <summary>
    /// A jump to another page: when linked, taken if the page is mapped as it was then. The first instruction leads to the link exit and becomes a NOP.
    /// </summary>
    private void EmitGuardedJump(ulong target)
    {
        _native = false;
        _asm.Align(8);
        AddCold(ColdKind.GuardedLink, _asm.JumpForward(), null, target);
        _asm.ContextForm(0x81, 7, ContextLayout.Mappings + (4 * ContextLayout.MappingSlot(target)), false); // CMP DWORD
        _asm.Dword(-1);
        AddCold(ColdKind.LookUp, _asm.JumpIf(5), null, target);
        _asm.JumpForward();
    }

    private bool Call(Instruction* i)
    {
        ulong next = _rip + i->Length;
        ulong target = next + (ulong)i->Immediate;
        EmitSaveLive();
        _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
        EmitTranslate(8, true, slot: MissRoutines.Stack);
        _asm.MoveImmediate(Host.Value, (long)next);
        _asm.MemoryForm(0x89, Host.Value, Host.Address, 0, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        EmitDirectJump(target, _live);
        return true;
    }

    private bool Return(Instruction* i)
    {
        EmitSaveLive();
        _asm.Move(Host.Address, Host.GuestStack);
        EmitTranslate(8, false, slot: MissRoutines.Stack);
        _asm.MemoryForm(0x8b, Host.Address, Host.Address, 0, true);
        int missed = EmitLookUp();
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, 8 + (int)i->Immediate);
        _asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false);
        AddCold(ColdKind.Interpret, missed, _instruction, 0);
        return true;
    }

    private bool Indirect(Instruction* i, bool call)
    {
        if (i->OperandSize != 8)
        {
            return false;
        }

        EmitSaveLive();
        if (i->IsMemory)
        {
            EmitLinear(i);
            EmitTranslate(8, false, slot: SlotOf(i, false));
            _asm.MemoryForm(0x8b, Host.Address, Host.Address, 0, true);
        }
        else
        {
            int host = Resident(i->Rm, Host.Address);
            if (host != Host.Address)
            {
                _asm.Move(Host.Address, host);
            }
        }

        int missed = EmitLookUp();
        if (call)
        {
            // The target's code is found first: once the return address is written, the instruction cannot begin again.
            _asm.MemoryForm(0x8b, Host.Temporary, Host.Temporary, ContextLayout.JumpCode, true);
            _asm.StoreContext(Host.Temporary, ContextLayout.BranchTarget);
            _asm.StoreContext(Host.Address, ContextLayout.Rip);
            _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
            EmitTranslate(8, true, slot: MissRoutines.Stack);
            _asm.MoveImmediate(Host.Value, (long)(_rip + i->Length));
            _asm.MemoryForm(0x89, Host.Value, Host.Address, 0, true);
            _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
            _asm.LoadContext(Host.Address, ContextLayout.Rip);
            _asm.ContextForm(0xff, 4, ContextLayout.BranchTarget, false);
        }
        else
        {
            _asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false);
        }

        AddCold(ColdKind.Interpret, missed, _instruction, 0);
        return true;
    }

    // Looks the target in the address register up in the jump cache. Answers the place of a jump taken on a miss.
    private int EmitLookUp()
    {
        _asm.Move(Host.Temporary, Host.Address);
        _asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR 12
        _asm.Byte(12);
        _asm.RegisterForm(0x33, Host.Temporary, Host.Address, true); // XOR
        _asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
        _asm.Dword(JumpCache.Count - 1);
        _asm.RegisterForm(0xc1, 4, Host.Temporary, false); // SHL 4
        _asm.Byte(4);
        _asm.ContextForm(0x03, Host.Temporary, ContextLayout.Jumps, true); // ADD
        _asm.MemoryForm(0x3b, Host.Address, Host.Temporary, 0, true); // CMP linear
        return _asm.JumpIf(5);
    }
}
