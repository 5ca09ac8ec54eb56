using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Translate;

/// <summary>Stack and control transfer.</summary>
internal unsafe ref partial struct BlockTranslator
{
    private bool Push(Instruction* i, int guest)
    {
        int offset = EmitStackOperand(-8, true);
        int host = Resident(guest, Host.Value);
        _asm.MemoryForm(0x89, host, Host.Address, offset, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool PushMemory(Instruction* i)
    {
        EmitSaveLive();
        int offset = EmitOperand(i, 8, false);
        _asm.MemoryForm(0x8b, Host.Address, Host.Address, offset, true);
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
        int offset = EmitStackOperand(-8, true);
        _asm.MemoryForm(0xc7, 0, Host.Address, offset, true);
        _asm.Dword((int)i->Immediate);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        return true;
    }

    private bool Pop(Instruction* i)
    {
        int offset = EmitStackOperand(0, false);
        int host = Operand(i->Rm, Host.Value, Use.Write, 8);
        if (i->Rm != 4)
        {
            _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, 8);
        }

        _asm.MemoryForm(0x8b, host, Host.Address, offset, true);
        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    private bool Leave(Instruction* i)
    {
        int offset = EmitStackOperand(0, false, baseRegister: Host.Rbp);
        _asm.Lea(Host.GuestStack, Host.Rbp, -1, 0, 8);
        _asm.MemoryForm(0x8b, Host.Rbp, Host.Address, offset, true);
        return true;
    }

    private bool ConditionalJump(Instruction* i, int condition)
    {
        EmitRestoreNeeded();
        ulong next = Behind(_index);
        ulong target = Target(_index);
        if (Following is { } following)
        {
            AddCold(ColdKind.Jump, _asm.JumpIf(following == target ? condition ^ 1 : condition));
            _cold[Math.Min(_coldCount, MaximumCold) - 1].Target = following == target ? next : target;
            return true;
        }

        int taken = _asm.JumpIfShort(condition);
        bool native = _native;
        EmitDirectJump(next, _live);
        _asm.BindShort(taken);
        _native = native;
        EmitDirectJump(target, _live);
        return true;
    }

    private bool Jump()
    {
        if (Following == null)
        {
            EmitDirectJump(Target(_index), _live);
        }

        return true;
    }

    /// <summary>Goes to a direct target, once it is known: until then it leaves by a link exit.</summary>
    private void EmitDirectJump(ulong target, uint live)
    {
        LinkKind kind = ((target ^ _start) & ~0xfffUL) != 0 ? LinkKind.Guarded : _native ? LinkKind.Native : LinkKind.Saved;
        if (kind == LinkKind.Guarded)
        {
            if (live != 0)
            {
                EmitSave();
            }

            _native = false;
        }

        long distance = (long)(target - _start);
        if (distance != (int)distance)
        {
            EmitKnownAddress(Host.Address, target);
            _asm.Jump(_routines.LookUpJump);
            return;
        }

        if (kind == LinkKind.Guarded && _shared)
        {
            EmitKnownAddress(Host.Address, target & ~0xfffUL);
        }

        _asm.AlignPatch();
        _asm.Call(kind switch { LinkKind.Native => _routines.LinkExit, LinkKind.Saved => _routines.SavedLinkExit, _ => _routines.GuardedLinkExit });
        _asm.Word(_asm.Length | ((int)kind << CodeCache.LinkKindShift));
        if (kind == LinkKind.Guarded)
        {
            _asm.Dword((int)distance);
        }
        else
        {
            _asm.Word((int)distance);
        }
    }

    private bool Call(Instruction* i)
    {
        ulong next = _rip + i->Length;
        ulong target = next + (ulong)i->Immediate;
        int offset = EmitStackOperand(-8, true);
        EmitKnownAddress(Host.Value, next);
        _asm.MemoryForm(0x89, Host.Value, Host.Address, offset, true);
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
        if (!_compact)
        {
            EmitSaveLive();
        }

        EmitPair(next);
        EmitDirectJump(target, _live);
        return true;
    }

    private bool Return(Instruction* i)
    {
        EmitSaveLive();
        int offset = EmitStackOperand(0, false);
        _asm.MemoryForm(0x8b, Host.Address, Host.Address, offset, true);
        if (!_compact)
        {
            EmitReturn(8 + (int)i->Immediate);
        }

        EmitFindTarget();
        _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, 8 + (int)i->Immediate);
        _asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false);
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
            int offset = EmitOperand(i, 8, false);
            _asm.MemoryForm(0x8b, Host.Address, Host.Address, offset, true);
        }
        else
        {
            int host = Resident(i->Rm, Host.Address);
            if (host != Host.Address)
            {
                _asm.Move(Host.Address, host);
            }
        }

        EmitFindTarget();
        if (call)
        {
            // The target's code is found first: once the return address is written, the instruction cannot begin again.
            _asm.MemoryForm(0x8b, Host.Temporary, Host.Temporary, ContextLayout.JumpCode, true);
            _asm.StoreContext(Host.Temporary, ContextLayout.BranchTarget);
            _asm.StoreContext(Host.Address, ContextLayout.Rip);
            _asm.Lea(Host.Address, Host.GuestStack, -1, 0, -8);
            EmitTranslate(8, true, slot: MissRoutines.Stack);
            EmitKnownAddress(Host.Value, _rip + i->Length);
            _asm.MemoryForm(0x89, Host.Value, Host.Address, 0, true);
            _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, -8);
            EmitPair(_rip + i->Length);
            _asm.LoadContext(Host.Address, ContextLayout.Rip);
            _asm.ContextForm(0xff, 4, ContextLayout.BranchTarget, false);
        }
        else
        {
            _asm.MemoryForm(0xff, 4, Host.Temporary, ContextLayout.JumpCode, false);
        }

        return true;
    }

    // The look-up entry of the target in the address register; if there is none, the instruction is interpreted.
    private void EmitFindTarget()
    {
        if (_compact)
        {
            _asm.Call(_routines.FindJump);
            AddSite(_index);
        }
        else
        {
            AddCold(ColdKind.Interpret, CodeRoutines.EmitLookUp(ref _asm));
        }
    }
}
