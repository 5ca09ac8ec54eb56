using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Translate;

/// <summary>Memory operands.</summary>
internal unsafe ref partial struct BlockTranslator
{
    /// <summary>The linear address of the memory operand into the address register. Flags stay.</summary>
    private void EmitLinear(Instruction* i)
    {
        bool wide = i->AddressSize == 8;
        if ((i->Flags & InstructionFlags.RipRelative) != 0)
        {
            ulong address = _rip + i->Length + (ulong)(long)i->Displacement;
            _asm.MoveImmediate(Host.Address, (long)(wide ? address : (uint)address));
        }
        else
        {
            int index = i->Index == ProcessorContext.ZeroRegister ? -1 : Resident(i->Index, Host.Temporary);
            int baseRegister = i->Base == ProcessorContext.ZeroRegister ? -1 : Resident(i->Base, Host.Address);
            if (baseRegister < 0 && index < 0)
            {
                _asm.MoveImmediate(Host.Address, wide ? i->Displacement : (uint)i->Displacement);
            }
            else
            {
                _asm.Lea(Host.Address, baseRegister, index, i->Scale, i->Displacement, wide);
            }
        }

        if (i->Segment >= SegmentRegister.Fs)
        {
            _asm.LoadContext(Host.Temporary, ContextLayout.SegmentBase + (8 * i->Segment));
            _asm.Lea(Host.Address, Host.Address, Host.Temporary, 0, 0);
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
            AddCold(ColdKind.Interpret, _asm.JumpIf(5), _instruction, 0);
        }

        int tag = write ? ContextLayout.WriteTag : 0;
        if (slot == MissRoutines.NoSlot)
        {
            _asm.Move(Host.Temporary, Host.Address);
            _asm.RegisterForm(0xc1, 5, Host.Temporary, true); // SHR
            _asm.Byte(ContextLayout.TlbShift);
            _asm.RegisterForm(0x81, 4, Host.Temporary, false); // AND
            _asm.Dword(ContextLayout.TlbMask);
            _asm.ContextForm(0x03, Host.Temporary, ContextLayout.Tlb, true); // ADD
        }

        if (size > 1)
        {
            _asm.Lea(Host.Value, Host.Address, -1, 0, size - 1);
        }
        else
        {
            _asm.Move(Host.Value, Host.Address);
        }

        _asm.RegisterForm(0x81, 4, Host.Value, true); // AND
        _asm.Dword(-4096);
        int missed;
        if (slot == MissRoutines.NoSlot)
        {
            _asm.MemoryForm(0x3b, Host.Value, Host.Temporary, tag, true); // CMP
            missed = _asm.JumpIf(5);
            _asm.MemoryForm(0x03, Host.Address, Host.Temporary, tag + ContextLayout.Addend, true); // ADD
        }
        else
        {
            _asm.ContextForm(0x3b, Host.Value, ContextLayout.Slot(slot), true);
            missed = _asm.JumpIf(5);
            _asm.ContextForm(0x03, Host.Address, ContextLayout.Slot(slot) + ContextLayout.Addend, true);
        }

        AddCold(ColdKind.Miss, missed, _instruction, (ulong)_cache.Misses.Of(slot, write));
        LastCold.Back = _asm.Length;
    }

    /// <summary>The host register of a guest register, loaded into <paramref name="scratch"/> if it lives in the context.</summary>
    private int Resident(int guest, int scratch)
    {
        int host = Host.Of(guest);
        if (host < 0)
        {
            _asm.LoadContext(scratch, ContextLayout.Register(guest));
            return scratch;
        }

        return host;
    }
}
