using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Translate;

/// <summary>What operating systems do on every entry and exit. The usual case is emitted; whatever is unusual is interpreted before anything has changed.</summary>
internal unsafe ref partial struct BlockTranslator
{
    private const int UserRing = 3;
    private const int SegmentBases = 1 << 16;
    private const int TimeStampDisable = 1 << 2;
    private const int SmapEnable = 1 << 21;

    // Only at privilege level 0; elsewhere the instruction is the interpreter's. Flags are lost.
    private void EmitSupervisorOnly()
    {
        _asm.ContextForm(0x80, 7, ContextLayout.Cpl, false); // CMP BYTE
        _asm.Byte(0);
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));
    }

    private void EmitUnlessZero(int field)
    {
        _asm.ContextForm(0x80, 7, field, false); // CMP BYTE
        _asm.Byte(0);
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));
    }

    // CLI at privilege level 0.
    private bool ClearInterrupt()
    {
        EmitSaveLive();
        EmitSupervisorOnly();
        _asm.ContextForm(0x81, 4, ContextLayout.SystemFlags, false); // AND
        _asm.Dword(~(int)Flags.Interrupt);
        return true;
    }

    // STI at privilege level 0 while nothing is known to be pending: then there is nothing to hold off behind it.
    private bool SetInterrupt()
    {
        EmitSaveLive();
        EmitSupervisorOnly();
        EmitUnlessZero(ContextLayout.InterruptHeld);
        _asm.ContextForm(0x81, 1, ContextLayout.SystemFlags, false); // OR
        _asm.Dword((int)Flags.Interrupt);
        return true;
    }

    // RDTSC and RDTSCP where the counter is the host's clock and every privilege may read it.
    private bool ReadTimeStamp(bool withProcessor)
    {
        EmitSaveLive();
        EmitUnlessSet(ContextLayout.CountsHostTime);
        _asm.ContextForm(0xf6, 0, ContextLayout.Cr4, false); // TEST BYTE
        _asm.Byte(TimeStampDisable);
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));

        // The clock is read by a function that may do anything with them.
        CodeRoutines.EmitX87Needed(ref _asm);
        AddCold(ColdKind.Interpret, _asm.JumpIf(4));
        _asm.Call(_routines.ReadTimeStamp);
        if (withProcessor)
        {
            _asm.ContextForm(0x8b, Host.Rcx, ContextLayout.TscAux, false);
        }

        _held = -1;
        return true;
    }

    private bool SwapGs()
    {
        EmitSaveLive();
        EmitSupervisorOnly();
        int field = ContextLayout.SegmentBase + (8 * SegmentRegister.Gs);
        _asm.LoadContext(Host.Address, ContextLayout.KernelGsBase);
        _asm.LoadContext(Host.Temporary, field);
        _asm.StoreContext(Host.Temporary, ContextLayout.KernelGsBase);
        _asm.StoreContext(Host.Address, field);
        _asm.StoreContext(Host.Address, ContextLayout.Segment(SegmentRegister.Gs));
        return true;
    }

    // STAC and CLAC at privilege level 0.
    private bool AccessControl(Instruction* i)
    {
        bool set = i->ModRm == 0xcb;
        EndWindows();
        EmitSaveLive();
        EmitSupervisorOnly();
        EmitUnlessZero(ContextLayout.WatchesData);
        if (set)
        {
            EmitUnlessControl(SmapEnable);
        }

        _asm.ContextForm(0x81, set ? 1 : 4, ContextLayout.SystemFlags, false); // OR, AND
        _asm.Dword(set ? (int)Flags.AlignmentCheck : ~(int)Flags.AlignmentCheck);
        _asm.LoadContext(Host.Value, ContextLayout.TlbArrays);
        if (set)
        {
            _asm.Lea(Host.Value, Host.Value, -1, 0, Tlb.SupervisorWithoutSmap * TlbEntry.Stride * sizeof(TlbEntry));
        }

        _asm.StoreContext(Host.Value, ContextLayout.Tlb);
        _asm.Call(_routines.ForgetSlots);
        return true;
    }

    // MOV r64, CRn at privilege level 0.
    private bool MoveFromControl(Instruction* i)
    {
        int field = i->Reg switch { 0 => ContextLayout.Cr0, 2 => ContextLayout.Cr2, 3 => ContextLayout.Cr3, 4 => ContextLayout.Cr4, _ => -1 };
        if (field < 0)
        {
            return false;
        }

        EmitSaveLive();
        EmitSupervisorOnly();
        int host = Operand(i->Rm, Host.Value, Use.Write, 8);
        _asm.LoadContext(host, field);
        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    // RDFSBASE to WRGSBASE, where CR4 allows them.
    private bool SegmentBase(Instruction* i)
    {
        int operation = (i->ModRm >> 3) & 7;
        int segment = SegmentRegister.Fs + (operation & 1);
        bool wide = i->OperandSize == 8;
        EmitSaveLive();
        EmitUnlessControl(SegmentBases);
        if (operation < 2)
        {
            int host = Operand(i->Rm, Host.Value, Use.Write, 8);
            _asm.ContextForm(0x8b, host, ContextLayout.Segment(segment), wide);
            PutBack(i->Rm, host, Use.Write);
            return true;
        }

        _asm.RegisterForm(0x8b, Host.Value, Resident(i->Rm, Host.Value), wide);
        if (wide)
        {
            EmitUnlessCanonical(Host.Value);
        }

        _asm.StoreContext(Host.Value, ContextLayout.Segment(segment));
        _asm.StoreContext(Host.Value, ContextLayout.SegmentBase + (8 * segment));
        return true;
    }

    private bool SetDirection(bool set)
    {
        EmitSaveLive();
        _asm.ContextForm(0x81, set ? 1 : 4, ContextLayout.SystemFlags, false); // OR, AND
        _asm.Dword(set ? (int)Flags.Direction : ~(int)Flags.Direction);
        return true;
    }

    private bool Fence(Instruction* i)
    {
        _asm.Opcode(0x0fae);
        _asm.Byte(i->ModRm);
        return true;
    }

    private void EmitUnlessControl(int bit)
    {
        _asm.ContextForm(0xf7, 0, ContextLayout.Cr4, false); // TEST
        _asm.Dword(bit);
        AddCold(ColdKind.Interpret, _asm.JumpIf(4));
    }

    // Leaves unless bits 63:47 of a register are equal. The address register is lost.
    private void EmitUnlessCanonical(int register)
    {
        _asm.Move(Host.Address, register);
        _asm.RegisterForm(0xc1, 4, Host.Address, true); // SHL, SAR 16
        _asm.Byte(16);
        _asm.RegisterForm(0xc1, 7, Host.Address, true);
        _asm.Byte(16);
        _asm.RegisterForm(0x3b, Host.Address, register, true);
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));
    }

    // MOV r, Sreg.
    private bool MoveFromSegment(Instruction* i)
    {
        int segment = (i->ModRm >> 3) & 7;
        if (i->IsMemory || segment > 5)
        {
            return false;
        }

        if (i->OperandSize == 2)
        {
            int target = Operand(i->Rm, Host.Value, Use.Both, 2);
            _asm.ContextForm(0x0fb7, Host.Address, ContextLayout.Segment(segment) + ContextLayout.Selector, false); // MOVZX
            _asm.Byte(0x66);
            _asm.RegisterForm(0x8b, target, Host.Address, false);
            PutBack(i->Rm, target, Use.Write);
            return true;
        }

        int host = Operand(i->Rm, Host.Value, Use.Write, 8);
        _asm.ContextForm(0x0fb7, host, ContextLayout.Segment(segment) + ContextLayout.Selector, false); // MOVZX
        PutBack(i->Rm, host, Use.Write);
        return true;
    }

    // SYSCALL: the flags are in SavedFlags, RCX and R11 are overwritten, and everything else is constants (Intel SDM volume 2).
    private bool SystemCall(Instruction* i)
    {
        EmitSave();
        EmitUnlessSet(ContextLayout.SystemCalls);
        EmitLoadFlags(Host.Temporary);
        _asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
        _asm.Dword(~(int)Flags.Resume);
        _asm.ContextForm(0x8b, Host.Value, ContextLayout.Fmask, false);
        _asm.RegisterForm(0xf7, 2, Host.Value, false); // NOT
        _asm.RegisterForm(0x23, Host.Value, Host.Temporary, false); // AND: the flags of the handler
        _asm.RegisterForm(0xf7, 0, Host.Value, false); // TEST
        _asm.Dword((int)(Flags.AlignmentCheck | Flags.Trap));
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));
        _asm.StoreContext(Host.Temporary, ContextLayout.Register(11));
        EmitKnownAddress(Host.Rcx, _rip + i->Length);
        EmitStoreFlags();
        _asm.ContextForm(0x0fb7, Host.Value, ContextLayout.Star + 4, false);
        _asm.RegisterForm(0x81, 4, Host.Value, false);
        _asm.Dword(0xfffc);
        EmitFlatSegments(SegmentAttributes.LongCode, SegmentAttributes.FlatData, 8);
        EmitPrivilege(user: false);
        _asm.LoadContext(Host.Address, ContextLayout.Lstar);
        EmitFarTarget();
        return true;
    }

    // SYSRET to 64-bit code.
    private bool SystemReturn(Instruction* i)
    {
        if (i->OperandSize != 8)
        {
            return false;
        }

        const uint unusual = Flags.AlignmentCheck | Flags.Trap | Flags.NestedTask;
        EmitSave();
        EmitUnlessSet(ContextLayout.SystemCalls);
        EmitSupervisorOnly();
        EmitUnlessCanonical(Host.Rcx);
        _asm.ContextForm(0x8b, Host.Value, ContextLayout.Register(11), false);
        _asm.RegisterForm(0xf7, 0, Host.Value, false); // TEST
        _asm.Dword((int)unusual);
        AddCold(ColdKind.Interpret, _asm.JumpIf(5));
        EmitUnlessZero(ContextLayout.InterruptHeld);
        _asm.RegisterForm(0x81, 4, Host.Value, false); // AND
        _asm.Dword(0x3c_7fd7);
        EmitStoreFlags();
        _asm.ContextForm(0x0fb7, Host.Value, ContextLayout.Star + 6, false);
        _asm.Lea(Host.Value, Host.Value, -1, 0, 16, wide: false);
        _asm.RegisterForm(0x83, 1, Host.Value, false); // OR
        _asm.Byte(UserRing);
        EmitFlatSegments(SegmentAttributes.LongCode | SegmentAttributes.User, SegmentAttributes.FlatData | SegmentAttributes.User, -8);
        EmitPrivilege(user: true);
        _asm.Move(Host.Address, Host.Rcx);
        EmitFarTarget();
        return true;
    }

    private void EmitUnlessSet(int field)
    {
        _asm.ContextForm(0x80, 7, field, false); // CMP BYTE
        _asm.Byte(0);
        AddCold(ColdKind.Interpret, _asm.JumpIf(4));
    }

    // RFLAGS as the guest sees it, from where it is saved. The address register is lost.
    private void EmitLoadFlags(int target)
    {
        _asm.ContextForm(0x0fb7, target, ContextLayout.SavedFlags, false);
        _asm.RegisterForm(0x8b, Host.Address, target, false);
        _asm.RegisterForm(0xc1, 5, target, false); // SHR 8: as LAHF gives them
        _asm.Byte(8);
        _asm.RegisterForm(0x81, 4, target, false);
        _asm.Dword((int)(Flags.Status & ~Flags.Overflow));
        _asm.RegisterForm(0x83, 4, Host.Address, false); // AND 1, SHL 11: OF
        _asm.Byte(1);
        _asm.RegisterForm(0xc1, 4, Host.Address, false);
        _asm.Byte(11);
        _asm.RegisterForm(0x0b, target, Host.Address, false);
        _asm.ContextForm(0x0b, target, ContextLayout.SystemFlags, false);
    }

    // RFLAGS from the value register, all of it. The other scratch registers are lost.
    private void EmitStoreFlags()
    {
        _asm.RegisterForm(0x8b, Host.Address, Host.Value, false);
        _asm.RegisterForm(0xc1, 4, Host.Address, false); // SHL 8
        _asm.Byte(8);
        _asm.RegisterForm(0x81, 4, Host.Address, false);
        _asm.Dword((int)(Flags.Status & ~Flags.Overflow) << 8);
        _asm.RegisterForm(0x8b, Host.Temporary, Host.Value, false);
        _asm.RegisterForm(0xc1, 5, Host.Temporary, false); // SHR 11
        _asm.Byte(11);
        _asm.RegisterForm(0x83, 4, Host.Temporary, false);
        _asm.Byte(1);
        _asm.RegisterForm(0x0b, Host.Address, Host.Temporary, false);
        _asm.Byte(0x66);
        _asm.ContextForm(0x89, Host.Address, ContextLayout.SavedFlags, false);
        _asm.RegisterForm(0x81, 4, Host.Value, false);
        _asm.Dword((int)(Flags.System & ~Flags.Resume));
        _asm.RegisterForm(0x83, 1, Host.Value, false);
        _asm.Byte((int)Flags.Reserved1);
        _asm.ContextForm(0x89, Host.Value, ContextLayout.SystemFlags, false);
    }

    // CS from the value register, SS at a distance from it, both flat.
    private void EmitFlatSegments(uint code, uint stack, int distance)
    {
        EmitFlatSegment(SegmentRegister.Cs, code);
        _asm.Lea(Host.Value, Host.Value, -1, 0, distance, wide: false);
        EmitFlatSegment(SegmentRegister.Ss, stack);
    }

    private void EmitFlatSegment(int segment, uint attributes)
    {
        int field = ContextLayout.Segment(segment);
        _asm.ContextForm(0xc7, 0, field, true);
        _asm.Dword(0);
        _asm.ContextForm(0xc7, 0, field + ContextLayout.Limit, false);
        _asm.Dword(-1);
        _asm.ContextForm(0xc7, 0, field + ContextLayout.Attributes, false);
        _asm.Dword((int)attributes);
        _asm.Byte(0x66);
        _asm.ContextForm(0x89, Host.Value, field + ContextLayout.Selector, false);
    }

    // CPL and what is chosen by it.
    private void EmitPrivilege(bool user)
    {
        _asm.ContextForm(0xc6, 0, ContextLayout.Cpl, false);
        _asm.Byte(user ? UserRing : 0);
        _asm.LoadContext(Host.Value, user ? ContextLayout.UserTlb : ContextLayout.TlbArrays);
        _asm.StoreContext(Host.Value, ContextLayout.Tlb);
        _asm.Call(_routines.ForgetSlots);
        _asm.Call(_routines.ForgetReturns);
        _asm.LoadContext(Host.Value, user ? ContextLayout.UserJumps : ContextLayout.JumpArrays);

        _asm.StoreContext(Host.Value, ContextLayout.Jumps);
    }

    // On to the address register, with the flags saved; the privilege has changed, so that a miss is for the run loop.
    private void EmitFarTarget() => _asm.Jump(_routines.LookUpJump);
}
