namespace Lamina.Verify.Privileged;

/// <summary>Far RET and IRET (Intel SDM volume 2, RET and IRET; volume 3, sections 5.8.6 and 6.12).</summary>
internal sealed partial class SystemModel
{
    private void ReturnFar(int size, uint released)
    {
        ulong pointer = _m.General[Sp];
        RequirePopped(pointer, 2, size);
        ulong rip = Pop(ref pointer, size);
        ushort selector = (ushort)Pop(ref pointer, size);
        if (!_m.IsProtected)
        {
            Require(rip <= 0xffff);
            _m.General[Sp] = Advance(pointer, released, _m.StackSize);
            EnterVirtual8086Code(selector, rip);
            return;
        }

        DescriptorImage d = CheckReturn(selector, out ulong at);
        int level = selector & 3;
        if (level == _m.Cpl)
        {
            RequireTarget(d, rip);
            _m.General[Sp] = Advance(pointer, released, _m.StackSize);
            MarkAccessed(d, at);
            EnterCode(selector, d, level, rip);
            return;
        }

        pointer = Advance(pointer, released, _m.StackSize);
        RequirePopped(pointer, 2, size);
        ulong outer = Pop(ref pointer, size);
        ushort stackSelector = (ushort)Pop(ref pointer, size);
        SegmentImage stack = CheckReturnStack(stackSelector, level, d);
        RequireTarget(d, rip);
        LoadOuterStack(stack, d, outer + released);
        MarkAccessed(d, at);
        EnterCode(selector, d, level, rip);
        DropSegments();
    }

    private DescriptorImage CheckReturn(ushort selector, out ulong at)
    {
        Require(!IsNull(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out at);
        int rpl = selector & 3;
        Require(d.IsCode && rpl >= _m.Cpl && (d.IsConforming ? d.Dpl <= rpl : d.Dpl == rpl), CodeOf(selector));
        Require(!(_m.IsLong && d.IsLong && d.IsBig), CodeOf(selector));
        RequirePresent(d, selector);
        return d;
    }

    private SegmentImage CheckReturnStack(ushort selector, int level, in DescriptorImage code)
    {
        bool nullAllowed = _m.IsLong && code.IsLong && level != 3;
        return IsNull(selector) && nullAllowed ? NullStack(selector) : CheckStack(selector, level, ArchitecturalFault.Protection);
    }

    private void LoadOuterStack(in SegmentImage stack, in DescriptorImage code, ulong pointer)
    {
        bool is64 = _m.IsLong && code.IsLong;
        _m.General[Sp] = is64 ? pointer : stack.IsBig ? (uint)pointer : (_m.General[Sp] & ~0xffffUL) | (ushort)pointer;
        _m.Segments[MachineImage.Ss] = stack;
    }

    // "FOR each of segment register (ES, FS, GS, and DS)".
    private void DropSegments()
    {
        foreach (int n in (ReadOnlySpan<int>)[MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs])
        {
            SegmentImage s = _m.Segments[n];
            if (s.IsUsable && !s.IsConforming && s.Dpl < _m.Cpl)
            {
                _m.Segments[n] = NullData(0) with { Base = s.Base };
            }
        }
    }

    private void ReturnFromInterrupt(int size)
    {
        if (!_m.IsProtected)
        {
            ReturnInVirtual8086(size);
            return;
        }

        if ((_m.Flags & NestedTask) != 0)
        {
            Require(!_m.IsLong);
            ReturnToTask();
            return;
        }

        ulong pointer = _m.General[Sp];
        bool is64 = _m.Is64;
        RequirePopped(pointer, is64 ? 5 : 3, size);
        ulong rip = Pop(ref pointer, size);
        ushort selector = (ushort)Pop(ref pointer, size);
        uint flags = (uint)Pop(ref pointer, size);
        if (!_m.IsLong && size == 4 && (flags & Virtual8086) != 0 && _m.Cpl == 0)
        {
            ReturnToVirtual8086(pointer, rip, selector, flags);
            return;
        }

        // 64-bit mode pops SS:RSP whatever CS is; whether before that is looked at, the manual leaves open.
        ulong above = pointer;
        for (int n = 0; n < 2 && is64; n++)
        {
            RequireTouched(Linear(MachineImage.Ss, above, size, write: false), size, Access.Read, _m.Cpl == 3, isExplicit: true);
            above += (ulong)size;
        }

        DescriptorImage d = CheckReturn(selector, out ulong at);
        int level = selector & 3;
        bool isOuter = level != _m.Cpl;
        if (isOuter || is64)
        {
            RequirePopped(pointer, 2, size);
            ulong outer = Pop(ref pointer, size);
            ushort stackSelector = (ushort)Pop(ref pointer, size);
            SegmentImage stack = CheckReturnStack(stackSelector, level, d);
            RequireTarget(d, rip);
            uint loaded = Loaded(size);
            LoadOuterStack(stack, d, outer);
            MarkAccessed(d, at);
            EnterCode(selector, d, level, rip);
            _m.Flags = (_m.Flags & ~loaded) | (flags & loaded);
            if (isOuter)
            {
                DropSegments();
            }

            return;
        }

        RequireTarget(d, rip);
        uint mask = Loaded(size);
        _m.General[Sp] = pointer;
        MarkAccessed(d, at);
        EnterCode(selector, d, level, rip);
        _m.Flags = (_m.Flags & ~mask) | (flags & mask);
    }

    // Flags that IRET loads, by the privilege that it returns from.
    private uint Loaded(int size)
    {
        uint mask = Status | Trap | Direction | NestedTask;
        mask |= size == 2 ? 0 : Resume | AlignmentCheck | Identification;
        mask |= _m.Cpl <= IoLevel ? Interrupt : 0;
        mask |= _m.Cpl == 0 ? IoPrivilege | (size == 2 ? 0 : VirtualInterrupt | VirtualPending) : 0;
        return mask;
    }

    private void ReturnInVirtual8086(int size)
    {
        Require(IoLevel == 3);
        ulong pointer = _m.General[Sp];
        RequirePopped(pointer, 3, size);
        ulong rip = Pop(ref pointer, size);
        ushort selector = (ushort)Pop(ref pointer, size);
        uint flags = (uint)Pop(ref pointer, size);
        Require(rip <= 0xffff);
        uint mask = Status | Trap | Interrupt | Direction | NestedTask | (size == 2 ? 0 : Resume | AlignmentCheck | Identification);
        _m.General[Sp] = pointer;
        EnterVirtual8086Code(selector, rip);
        _m.Flags = (_m.Flags & ~mask) | (flags & mask);
    }

    private void ReturnToVirtual8086(ulong pointer, ulong rip, ushort selector, uint flags)
    {
        RequirePopped(pointer, 6, 4);
        ulong outer = Pop(ref pointer, 4);
        Span<int> order = [MachineImage.Ss, MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs];
        Span<ushort> selectors = stackalloc ushort[5];
        for (int n = 0; n < order.Length; n++)
        {
            selectors[n] = (ushort)Pop(ref pointer, 4);
        }

        Require(rip <= 0xffff);
        for (int n = 0; n < order.Length; n++)
        {
            _m.Segments[order[n]] = new SegmentImage(selectors[n], (uint)selectors[n] << 4, 0xffff, 0xf3);
        }

        EnterVirtual8086Code(selector, rip);
        _m.General[Sp] = outer;
        _m.Flags = (flags & AllFlags) | 2;
        _m.Cpl = 3;
    }
}
