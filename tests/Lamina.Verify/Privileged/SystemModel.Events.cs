namespace Lamina.Verify.Privileged;

/// <summary>Delivery through the IDT (Intel SDM volume 2, INT n/INTO/INT3/INT1, "Operation"; volume 3, sections 6.11 to 6.14).</summary>
internal sealed partial class SystemModel
{
    // error_code(vector, 1, EXT).
    private static uint GateCode(int vector) => ((uint)vector << 3) | 2;

    private void Deliver(int vector, bool isSoftware, bool isExternal, uint? code, ulong rip, uint flags)
    {
        try
        {
            this[MachineRegister.StackShadow] = 0;
            if (_m.IsLong)
            {
                DeliverLong(vector, isSoftware, code, rip, flags);
            }
            else
            {
                DeliverProtected(vector, isSoftware, code, rip, flags);
            }

            this[MachineRegister.Halted] = 0;
        }
        catch (ArchitecturalFault f) when (isExternal && f.Vector is >= ArchitecturalFault.InvalidTask and <= ArchitecturalFault.Protection)
        {
            f.Code |= 1;
            throw;
        }
    }

    private void DeliverProtected(int vector, bool isSoftware, uint? code, ulong rip, uint flags)
    {
        uint at = (uint)vector * 8;
        Require(at + 7 <= this[MachineRegister.IdtLimit], GateCode(vector));
        DescriptorImage gate = new(LoadSystem(this[MachineRegister.IdtBase] + at, 8));
        int type = gate.IsSegment ? -1 : gate.Type;
        Require(type is DescriptorImage.TaskGate or DescriptorImage.InterruptGate16 or DescriptorImage.TrapGate16 or DescriptorImage.InterruptGate32 or DescriptorImage.TrapGate32, GateCode(vector));
        Require(!isSoftware || gate.Dpl >= _m.Cpl, GateCode(vector));
        if (!gate.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.NotPresent, GateCode(vector));
        }

        if (type == DescriptorImage.TaskGate)
        {
            ThroughTaskGate(gate, TaskCause.Event, rip, flags);
            if (code is { } pushed)
            {
                int width = (_m.Segments[MachineImage.Task].Attributes & 8) != 0 ? 4 : 2;
                NewStack taskStack = CurrentStack(isExplicit: false);
                RequireRoom(taskStack, 1, width);
                Push(ref taskStack, pushed, width);
                Use(taskStack);
            }

            // That comes after the error code, whatever it is.
            Require(_m.Rip <= _m.Segments[MachineImage.Cs].Limit);
            return;
        }

        bool was86 = _m.IsVirtual8086;
        DescriptorImage d = ReadHandler(gate, out ushort selector, out ulong linear);
        bool isInner = !d.IsConforming && d.Dpl < _m.Cpl;
        Require(!was86 || (isInner && d.Dpl == 0), CodeOf(selector));
        int size = (type & 8) != 0 ? 4 : 2;
        ulong target = size == 4 ? gate.GateOffset : (ushort)gate.GateOffset;
        int slots = (isInner ? 5 : 3) + (was86 ? 4 : 0) + (code != null ? 1 : 0);
        NewStack stack = isInner ? InnerStack(d.Dpl) : CurrentStack(isExplicit: false);
        RequireRoom(stack, slots, size);
        RequireTarget(d, target);
        if (was86)
        {
            foreach (int n in (ReadOnlySpan<int>)[MachineImage.Gs, MachineImage.Fs, MachineImage.Ds, MachineImage.Es])
            {
                Push(ref stack, _m.Segments[n].Selector, size);
                _m.Segments[n] = NullData(0);
            }
        }

        if (isInner)
        {
            Push(ref stack, _m.Segments[MachineImage.Ss].Selector, size);
            Push(ref stack, _m.General[Sp], size);
        }

        Push(ref stack, flags, size);
        Push(ref stack, _m.Segments[MachineImage.Cs].Selector, size);
        Push(ref stack, rip, size);
        if (code is { } value)
        {
            Push(ref stack, value, size);
        }

        MarkAccessed(d, linear);
        Use(stack);
        _m.Flags &= ~(Trap | NestedTask | Resume | Virtual8086 | ((type & 1) == 0 ? Interrupt : 0));
        EnterCode(selector, d, isInner ? d.Dpl : _m.Cpl, target);
    }

    private DescriptorImage ReadHandler(in DescriptorImage gate, out ushort selector, out ulong linear)
    {
        selector = gate.GateSelector;
        Require(!IsNull(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out linear);
        Require(d.IsCode && d.Dpl <= _m.Cpl, CodeOf(selector));
        Require(!_m.IsLong || (d.IsLong && !d.IsBig), CodeOf(selector));
        RequirePresent(d, selector);
        return d;
    }

    // Volume 3, section 6.14: gates of 16 bytes, a stack aligned to 16, SS:RSP always pushed.
    private void DeliverLong(int vector, bool isSoftware, uint? code, ulong rip, uint flags)
    {
        uint at = (uint)vector * 16;
        Require(at + 15 <= this[MachineRegister.IdtLimit], GateCode(vector));
        DescriptorImage gate = new(LoadSystem(this[MachineRegister.IdtBase] + at, 8));
        ulong upper = LoadSystem(this[MachineRegister.IdtBase] + at + 8, 8);
        Require(!gate.IsSegment && gate.Type is DescriptorImage.InterruptGate32 or DescriptorImage.TrapGate32, GateCode(vector));
        Require(!isSoftware || gate.Dpl >= _m.Cpl, GateCode(vector));
        if (!gate.IsPresent)
        {
            throw new ArchitecturalFault(ArchitecturalFault.NotPresent, GateCode(vector));
        }

        ulong target = gate.GateOffset | (upper << 32);
        DescriptorImage d = ReadHandler(gate, out ushort selector, out ulong linear);
        bool isInner = !d.IsConforming && d.Dpl < _m.Cpl;
        int level = isInner ? d.Dpl : _m.Cpl;
        NewStack stack = isInner || gate.GateStack != 0 ? LongStack(level, gate.GateStack) : CurrentStack(8, isExplicit: false);
        stack.Pointer &= ~15UL;
        if (!isInner)
        {
            stack.Segment = _m.Segments[MachineImage.Ss];
        }

        int slots = code != null ? 6 : 5;
        RequireRoom(stack, slots, 8);
        RequireTarget(d, target);
        bool inTwoPages = (stack.Pointer - 1) >> 12 != (stack.Pointer - (ulong)(slots * 8)) >> 12;
        try
        {
            Push(ref stack, _m.Segments[MachineImage.Ss].Selector, 8);
            Push(ref stack, _m.General[Sp], 8);
            Push(ref stack, flags, 8);
            Push(ref stack, _m.Segments[MachineImage.Cs].Selector, 8);
            Push(ref stack, rip, 8);
            if (code is { } value)
            {
                Push(ref stack, value, 8);
            }
        }
        catch (ArchitecturalFault f) when (f.Vector == ArchitecturalFault.Page)
        {
            // Which part of a frame is written first, no manual says.
            IsAddressLoose = true;
            if (inTwoPages)
            {
                throw new UnjudgedCase("a frame in two pages that cannot be written");
            }

            throw;
        }

        MarkAccessed(d, linear);
        Use(stack);
        _m.Flags &= ~(Trap | NestedTask | Resume | ((gate.Type & 1) == 0 ? Interrupt : 0));
        EnterCode(selector, d, level, target);
    }
}
