using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Translate;

/// <summary>Memory operands.</summary>
internal unsafe ref partial struct BlockTranslator
{
    /// <summary>
    /// The host address of the memory operand into the address register, bounded to a page or a window; answers the operand's distance from there. Live flags are saved, unless nothing is to be
    /// checked. The other scratch registers are lost.
    /// </summary>
    private int EmitOperand(Instruction* i, int size, bool write, bool aligned = false)
    {
        if (i->Segment < SegmentRegister.Fs && i->AddressSize == 8)
        {
            MemoryAccess access = new()
            {
                Size = size,
                Base = _shared && (i->Flags & InstructionFlags.RipRelative) != 0 ? ProcessorContext.CodePageRegister : i->Base,
                Index = i->Index,
                Scale = i->Index == ProcessorContext.ZeroRegister ? 0 : i->Scale,
                Displacement = (i->Flags & InstructionFlags.RipRelative) != 0 ? (long)_rip + i->Length + i->Displacement : i->Displacement,
                Writes = write,
                Window = -1,
            };
            if (_records)
            {
                Record(access);
            }

            if (HasWindow(access))
            {
                return EmitWindow(i, size, aligned);
            }
        }

        EmitSaveLive();
        EmitLinear(i);
        EmitTranslate(size, write, aligned, SlotOf(i, write));
        return 0;
    }

    // The slots of a loop are for accesses that go through memory in steps: so does the window of one.
    private int EmitWindow(Instruction* i, int size, bool aligned)
    {
        if (aligned)
        {
            EmitSaveLive();
        }

        int offset = EmitWindow(SlotOf(i, _windows[_accesses[At].Window].Writes));
        if (aligned && size > 1)
        {
            // TEST R11B, size - 1
            _asm.Lea(Host.Temporary, Host.Address, -1, 0, offset);
            _asm.RegisterForm(0xf6, 0, Host.Temporary, false, true);
            _asm.Byte(size - 1);
            AddCold(ColdKind.Interpret, _asm.JumpIf(5));
        }

        return offset;
    }

    /// <summary>The same for eight bytes at a distance from a register, in the page of the stack as a rule.</summary>
    private int EmitStackOperand(int displacement, bool write, int baseRegister = 4)
    {
        MemoryAccess access = new() { Size = 8, Base = baseRegister, Index = ProcessorContext.ZeroRegister, Displacement = displacement, Writes = write, Window = -1 };
        if (_records)
        {
            Record(access);
        }

        if (HasWindow(access))
        {
            return EmitWindow(MissRoutines.Stack);
        }

        EmitSaveLive();
        _held = -1;
        EmitSum(Host.Address, baseRegister, ProcessorContext.ZeroRegister, 0, displacement, wide: true);
        EmitTranslate(8, write, slot: MissRoutines.Stack);
        return 0;
    }

    /// <summary>The linear address of the memory operand into the address register. Flags stay.</summary>
    private void EmitLinear(Instruction* i)
    {
        _held = -1;
        EmitOffset(i, Host.Address, i->AddressSize == 8);
        if (i->Segment >= SegmentRegister.Fs)
        {
            _asm.LoadContext(Host.Temporary, ContextLayout.SegmentBase + (8 * i->Segment));
            _asm.Lea(Host.Address, Host.Address, Host.Temporary, 0, 0);
        }
    }

    // The memory operand's offset in its segment into a register, all of it or 32 bits.
    private void EmitOffset(Instruction* i, int target, bool wide)
    {
        if ((i->Flags & InstructionFlags.RipRelative) != 0)
        {
            ulong address = _rip + i->Length + (ulong)(long)i->Displacement;
            EmitKnownAddress(target, address, wide);
        }
        else
        {
            EmitSum(target, i->Base, i->Index, i->Scale, i->Displacement, wide);
        }
    }

    // The sum of an address's parts into a register.
    private void EmitSum(int target, int guestBase, int guestIndex, int scale, int displacement, bool wide)
    {
        int index = guestIndex == ProcessorContext.ZeroRegister ? -1 : Resident(guestIndex, Host.Temporary);
        int baseRegister = guestBase == ProcessorContext.ZeroRegister ? -1 : Resident(guestBase, Host.Address);
        if (baseRegister < 0 && index < 0)
        {
            _asm.MoveImmediate(target, wide ? displacement : (uint)displacement);
        }
        else if (index < 0 && displacement == 0 && wide)
        {
            _asm.Move(target, baseRegister);
        }
        else
        {
            _asm.Lea(target, baseRegister, index, scale, displacement, wide);
        }
    }

    /// <summary>
    /// Turns the linear address into a host address, bounded to one page of guest RAM that may be accessed so; otherwise the instruction is interpreted.
    /// Flags and both scratch registers are lost.
    /// </summary>
    private void EmitTranslate(int size, bool write, bool aligned = false, int slot = MissRoutines.NoSlot)
    {
        if (aligned && size > 1)
        {
            // TEST R10B, size - 1
            _asm.RegisterForm(0xf6, 0, Host.Address, false, true);
            _asm.Byte(size - 1);
            AddCold(ColdKind.Interpret, _asm.JumpIf(5));
        }

        if (_compact && CheckRoutines.Has(size))
        {
            _asm.Call(_routines.Checks.Of(size, write, slot == MissRoutines.Stack));
            AddSite(_index);
            return;
        }

        (int missed, int crossed) = CheckRoutines.EmitLook(ref _asm, size, write, slot);
        CheckRoutines.EmitHostAddress(ref _asm, write, slot);
        AddMiss(missed, crossed, _routines.Misses.Of(slot, write));
    }

    /// <summary>The host register of a guest register, loaded into <paramref name="scratch"/> if it lives in the context.</summary>
    private int Resident(int guest, int scratch)
    {
        int host = Host.Of(guest);
        if (host < 0)
        {
            _held = scratch == Host.Address ? -1 : _held;
            _asm.LoadContext(scratch, ContextLayout.Register(guest));
            return scratch;
        }

        return host;
    }
}
