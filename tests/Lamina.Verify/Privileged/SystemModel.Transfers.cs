using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Far JMP and CALL, INT, SYSCALL and SYSENTER with their returns (Intel SDM volume 2; volume 3, section 5.8).</summary>
internal sealed partial class SystemModel
{
    private const uint LongCode = 0xa09b;
    private const uint FlatCode = 0xc09b;
    private const uint FlatData = 0xc093;

    private bool TryPerformTransfer(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Jmp or Mnemonic.Call when i.Op0Kind is OpKind.FarBranch16 or OpKind.FarBranch32:
                bool wide = i.Op0Kind == OpKind.FarBranch32;
                Transfer(i.FarBranchSelector, wide ? i.FarBranch32 : i.FarBranch16, wide ? 4 : 2, i.Mnemonic == Mnemonic.Call);
                break;
            case Mnemonic.Jmp or Mnemonic.Call when i.Op0Kind == OpKind.Memory && i.IsJmpFarIndirect | i.IsCallFarIndirect:
                int size = i.Code switch { Code.Jmp_m1616 or Code.Call_m1616 => 2, Code.Jmp_m1632 or Code.Call_m1632 => 4, _ => 8 };
                (ulong offset, ushort selector) = LoadPointer(i, size);
                Transfer(selector, offset, size, i.Mnemonic == Mnemonic.Call);
                break;
            case Mnemonic.Retf:
                ReturnFar(i.Code is Code.Retfw or Code.Retfw_imm16 ? 2 : i.Code is Code.Retfd or Code.Retfd_imm16 ? 4 : 8, i.OpCount > 0 ? i.Immediate16 : 0u);
                break;
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq:
                ReturnFromInterrupt(i.Mnemonic switch { Mnemonic.Iret => 2, Mnemonic.Iretd => 4, _ => 8 });
                break;
            case Mnemonic.Int:
                Require(!_m.IsVirtual8086 || IoLevel == 3);
                Deliver(i.Immediate8, isSoftware: true, isExternal: false, null, Next, _m.Flags & ~Resume);
                break;
            case Mnemonic.Int3:
                Deliver(ArchitecturalFault.Breakpoint, isSoftware: true, isExternal: false, null, Next, _m.Flags & ~Resume);
                break;
            case Mnemonic.Into:
                if ((_m.Flags & Overflow) != 0)
                {
                    Deliver(ArchitecturalFault.Overflow, isSoftware: true, isExternal: false, null, Next, _m.Flags & ~Resume);
                }

                break;
            case Mnemonic.Int1:
                // No check of the gate's DPL, and EXT set.
                Deliver(ArchitecturalFault.Debug, isSoftware: false, isExternal: true, null, Next, _m.Flags & ~Resume);
                break;
            case Mnemonic.Syscall:
                SystemCall();
                break;
            case Mnemonic.Sysret or Mnemonic.Sysretq:
                SystemReturn(i.Mnemonic == Mnemonic.Sysretq);
                break;
            case Mnemonic.Sysenter:
                SystemEnter();
                break;
            case Mnemonic.Sysexit or Mnemonic.Sysexitq:
                SystemExit(i.Mnemonic == Mnemonic.Sysexitq);
                break;
            default:
                return false;
        }

        return true;
    }

    // CS at a privilege level, and where in it.
    private void EnterCode(ushort selector, in DescriptorImage d, int level, ulong rip)
    {
        _m.Segments[MachineImage.Cs] = d.ToSegment((ushort)((selector & ~3) | level));
        _m.Cpl = level;
        Branch(rip);
    }

    // "IF tempEIP outside code segment limit THEN #GP(0)"; in 64-bit code it must be canonical.
    private void RequireTarget(in DescriptorImage d, ulong rip)
    {
        Require(_m.IsLong && d.IsLong ? IsCanonical(rip) : rip <= d.Limit);
    }

    private void Transfer(ushort selector, ulong offset, int size, bool isCall)
    {
        if (!_m.IsProtected)
        {
            TransferVirtual8086(selector, offset, size, isCall);
            return;
        }

        Require(!IsNull(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out ulong at);
        if (d.IsSegment)
        {
            Require(d.IsCode, CodeOf(selector));
            Require(!(_m.IsLong && d.IsLong && d.IsBig), CodeOf(selector));
            Require(d.IsConforming ? d.Dpl <= _m.Cpl : (selector & 3) <= _m.Cpl && d.Dpl == _m.Cpl, CodeOf(selector));
            RequirePresent(d, selector);
            if (isCall && _m.IsLong && !d.IsLong && offset > uint.MaxValue)
            {
                throw new UnjudgedCase("CALL by an address of 64 bits to code of 32, which the pseudo-code of CALL cuts off and that of JMP does not");
            }

            NewStack stack = CurrentStack();
            if (isCall)
            {
                RequireRoom(stack, 2, size);
            }

            RequireTarget(d, offset);
            if (isCall)
            {
                Push(ref stack, _m.Segments[MachineImage.Cs].Selector, size);
                Push(ref stack, Next, size);
                Use(stack);
            }

            MarkAccessed(d, at);
            EnterCode(selector, d, _m.Cpl, offset);
            return;
        }

        bool isGate = d.Type is DescriptorImage.CallGate32 || (!_m.IsLong && d.Type is DescriptorImage.CallGate16);
        bool isTask = !_m.IsLong && d.Type is DescriptorImage.Task16 or DescriptorImage.Task32 && !_m.IsLong;
        bool isTaskGate = !_m.IsLong && d.Type == DescriptorImage.TaskGate;
        Require(isGate || isTask || isTaskGate, CodeOf(selector));
        Require(d.Dpl >= _m.Cpl && d.Dpl >= (selector & 3), CodeOf(selector));
        if (isTask)
        {
            Require((selector & SelectorTable) == 0, CodeOf(selector));
        }

        RequirePresent(d, selector);
        TaskCause cause = isCall ? TaskCause.Call : TaskCause.Jump;
        if (isGate)
        {
            ThroughCallGate(selector, d, isCall);
        }
        else if (isTaskGate)
        {
            ThroughTaskGate(d, cause, Next, _m.Flags);
        }
        else
        {
            SwitchTask(selector, d, at, cause, Next, _m.Flags);
        }
    }

    private void TransferVirtual8086(ushort selector, ulong offset, int size, bool isCall)
    {
        NewStack stack = CurrentStack();
        if (isCall)
        {
            RequireRoom(stack, 2, size);
        }

        Require(offset <= 0xffff);
        if (isCall)
        {
            Push(ref stack, _m.Segments[MachineImage.Cs].Selector, size);
            Push(ref stack, Next, size);
            Use(stack);
        }

        EnterVirtual8086Code(selector, offset);
    }

    private void EnterVirtual8086Code(ushort selector, ulong rip)
    {
        _m.Segments[MachineImage.Cs] = new SegmentImage(selector, (uint)selector << 4, 0xffff, 0xf3);
        Branch(rip);
    }

    // CALL and JMP, "CALL-GATE", volume 3, section 5.8.3.1 for those of 64 bits.
    private void ThroughCallGate(ushort gateSelector, in DescriptorImage gate, bool isCall)
    {
        int size = _m.IsLong ? 8 : gate.Type == DescriptorImage.CallGate32 ? 4 : 2;
        ulong offset = size == 2 ? (ushort)gate.GateOffset : gate.GateOffset;
        if (_m.IsLong)
        {
            offset |= (ulong)ReadUpper(gateSelector, ArchitecturalFault.Protection) << 32;
        }

        ushort selector = gate.GateSelector;
        Require(!IsNull(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out ulong at);
        Require(d.IsCode && d.Dpl <= _m.Cpl, CodeOf(selector));
        Require(!_m.IsLong || (d.IsLong && !d.IsBig), CodeOf(selector));
        bool isInner = !d.IsConforming && d.Dpl < _m.Cpl;
        Require(isCall || !isInner, CodeOf(selector));
        RequirePresent(d, selector);
        ushort oldCode = _m.Segments[MachineImage.Cs].Selector;
        ulong next = Next;
        if (!isCall)
        {
            RequireTarget(d, offset);
        }
        else if (!isInner)
        {
            NewStack stack = CurrentStack(_m.IsLong ? 8 : 0);
            RequireRoom(stack, 2, size);
            RequireTarget(d, offset);
            Push(ref stack, oldCode, size);
            Push(ref stack, next, size);
            Use(stack);
        }
        else
        {
            int parameters = _m.IsLong ? 0 : gate.GateParameters;
            NewStack stack = _m.IsLong ? LongStack(d.Dpl, 0) : InnerStack(d.Dpl);
            stack.Code = _m.IsLong ? 0 : stack.Code;
            RequireRoom(stack, 4 + parameters, size);
            RequireTarget(d, offset);
            ulong[] copied = ReadParameters(parameters, size);
            Push(ref stack, _m.Segments[MachineImage.Ss].Selector, size);
            Push(ref stack, _m.General[Sp], size);
            for (int n = parameters - 1; n >= 0; n--)
            {
                Push(ref stack, copied[n], size);
            }

            Push(ref stack, oldCode, size);
            Push(ref stack, next, size);
            Use(stack);
        }

        MarkAccessed(d, at);
        EnterCode(selector, d, isInner ? d.Dpl : _m.Cpl, offset);
    }

    private ulong[] ReadParameters(int count, int size)
    {
        ulong[] values = new ulong[count];
        ulong pointer = _m.General[Sp];
        try
        {
            for (int n = 0; n < count; n++)
            {
                values[n] = Pop(ref pointer, size);
            }
        }
        catch (ArchitecturalFault)
        {
            throw new UnjudgedCase("parameters of a call gate that cannot be read");
        }

        return values;
    }

    // A stack of the TSS, outside of long mode: CALL, "MORE-PRIVILEGE", and INT, "INTER-PRIVILEGE-LEVEL-INTERRUPT".
    private NewStack InnerStack(int level)
    {
        SegmentImage task = _m.Segments[MachineImage.Task];
        bool is32 = (task.Attributes & 8) != 0;
        uint at = is32 ? ((uint)level * 8) + 4 : ((uint)level * 4) + 2;
        if (!task.IsUsable || at + (is32 ? 5u : 3u) > task.Limit)
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(task.Selector));
        }

        // Of a 32-bit TSS ESP and SS are two doublewords, of a 16-bit one words.
        ulong pointer = LoadSystem(task.Base + at, is32 ? 4 : 2);
        ushort selector = (ushort)LoadSystem(task.Base + at + (is32 ? 4u : 2u), 2);
        SegmentImage segment = CheckStack(selector, level, ArchitecturalFault.InvalidTask);
        return new NewStack
        {
            Segment = segment,
            Pointer = segment.IsBig ? pointer : (_m.General[Sp] & ~0xffffUL) | (ushort)pointer,
            AddressSize = segment.IsBig ? 4 : 2,
            IsUser = level == 3,
            Code = CodeOf(selector),
        };
    }

    // RSPn or ISTn of the 64-bit TSS; SS becomes null.
    private NewStack LongStack(int level, int interruptStack)
    {
        SegmentImage task = _m.Segments[MachineImage.Task];
        uint at = interruptStack != 0 ? ((uint)interruptStack * 8) + 0x1c : ((uint)level * 8) + 4;
        if (!task.IsUsable || at + 7 > task.Limit)
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(task.Selector));
        }

        return new NewStack { Segment = NullStack((ushort)level), Pointer = LoadSystem(task.Base + at, 8), AddressSize = 8, IsUser = level == 3 };
    }

    private void SetFlat(int segment, int selector, uint attributes) => _m.Segments[segment] = new SegmentImage((ushort)selector, 0, uint.MaxValue, attributes);

    private void SystemCall()
    {
        if (!_m.Is64 || (this[MachineRegister.Efer] & 1) == 0)
        {
            throw ArchitecturalFault.Ud();
        }

        _m.General[1] = Next;
        _m.General[11] = _m.Flags & ~Resume;
        int selector = (int)(this[MachineRegister.Star] >> 32) & 0xfffc;
        Branch(this[MachineRegister.Lstar]);
        _m.Flags = (_m.Flags & ~(uint)this[MachineRegister.Fmask] & ~Resume) | 2;
        SetFlat(MachineImage.Cs, selector, LongCode);
        SetFlat(MachineImage.Ss, selector + 8, FlatData);
        _m.Cpl = 0;
    }

    private void SystemReturn(bool to64)
    {
        if (!_m.Is64 || (this[MachineRegister.Efer] & 1) == 0)
        {
            throw ArchitecturalFault.Ud();
        }

        RequireKernel();
        Require(!to64 || IsCanonical(_m.General[1]));
        if ((_m.General[11] & Trap) != 0)
        {
            throw new UnjudgedCase("SYSRET that sets TF");
        }

        Branch(to64 ? _m.General[1] : (uint)_m.General[1]);
        _m.Flags = ((uint)_m.General[11] & 0x3c_7fd7) | 2;
        int selector = (int)(this[MachineRegister.Star] >> 48);
        SetFlat(MachineImage.Cs, (selector + (to64 ? 16 : 0)) | 3, (to64 ? LongCode : FlatCode) | 0x60);
        SetFlat(MachineImage.Ss, (selector + 8) | 3, FlatData | 0x60);
        _m.Cpl = 3;
    }

    private void SystemEnter()
    {
        int selector = (int)this[MachineRegister.SysenterCs] & 0xfffc;
        Require(selector != 0);
        _m.Flags &= ~(Virtual8086 | Interrupt | Resume);
        ulong width = _m.IsLong ? ulong.MaxValue : uint.MaxValue;
        _m.General[Sp] = this[MachineRegister.SysenterEsp] & width;
        Branch(this[MachineRegister.SysenterEip] & width);
        SetFlat(MachineImage.Cs, selector, _m.IsLong ? LongCode : FlatCode);
        SetFlat(MachineImage.Ss, selector + 8, FlatData);
        _m.Cpl = 0;
    }

    private void SystemExit(bool to64)
    {
        int selector = (int)this[MachineRegister.SysenterCs] & 0xffff;
        Require((selector & 0xfffc) != 0);
        Require(_m.IsProtected && _m.Cpl == 0);
        ulong width = to64 ? ulong.MaxValue : uint.MaxValue;
        ulong rip = _m.General[2] & width;
        ulong pointer = _m.General[1] & width;
        Require(!to64 || (IsCanonical(rip) && IsCanonical(pointer)));
        _m.General[Sp] = pointer;
        Branch(rip);
        SetFlat(MachineImage.Cs, (selector + (to64 ? 32 : 16)) | 3, (to64 ? LongCode : FlatCode) | 0x60);
        SetFlat(MachineImage.Ss, (selector + (to64 ? 40 : 24)) | 3, FlatData | 0x60);
        _m.Cpl = 3;
    }
}
