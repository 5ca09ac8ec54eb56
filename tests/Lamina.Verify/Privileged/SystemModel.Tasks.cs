using System.Buffers.Binary;

namespace Lamina.Verify.Privileged;

/// <summary>Task switches outside of long mode (Intel SDM volume 3, section 7.3, whose steps the comments number, and table 7-1).</summary>
internal sealed partial class SystemModel
{
    private const int TaskLimit32 = 0x67;
    private const int TaskLimit16 = 0x2b;

    private void ThroughTaskGate(in DescriptorImage gate, TaskCause cause, ulong next, uint flags)
    {
        ushort selector = gate.GateSelector;
        Require(!IsNull(selector) && (selector & SelectorTable) == 0, CodeOf(selector));
        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.Protection, out ulong at);
        Require(!d.IsSegment && d.Type is DescriptorImage.Task16 or DescriptorImage.Task32, CodeOf(selector));
        RequirePresent(d, selector);
        SwitchTask(selector, d, at, cause, next, flags);
    }

    // IRET, "TASK-RETURN".
    private void ReturnToTask()
    {
        ushort selector = (ushort)LoadSystem(_m.Segments[MachineImage.Task].Base, 2);
        bool isLocal = (selector & SelectorTable) != 0;
        if (isLocal || IsNull(selector))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(selector));
        }

        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.InvalidTask, out ulong at);
        if (d.IsSegment || d.Type is not ((DescriptorImage.Task16 | DescriptorImage.Busy) or (DescriptorImage.Task32 | DescriptorImage.Busy)))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(selector));
        }

        RequirePresent(d, selector);
        SwitchTask(selector, d, at, TaskCause.Return, Next, _m.Flags);
    }

    private void SwitchTask(ushort selector, DescriptorImage d, ulong at, TaskCause cause, ulong next, uint flags)
    {
        // 3.
        bool is32 = (d.Type & 8) != 0;
        if (d.Limit < (is32 ? TaskLimit32 : TaskLimit16))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(selector));
        }

        // 5. Both must be in memory.
        byte[] image = new byte[(is32 ? TaskLimit32 : TaskLimit16) + 1];
        Load(d.Base, image, user: false, isExplicit: false);
        SegmentImage old = _m.Segments[MachineImage.Task];
        bool was32 = (old.Attributes & 8) != 0;
        if (!old.IsUsable || old.Limit < (was32 ? TaskLimit32 : TaskLimit16))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(old.Selector));
        }

        // 7 and 8.
        SaveTask(old.Base, was32, next, cause == TaskCause.Return ? flags & ~NestedTask : flags);

        // 6, 9 and 10.
        bool nests = cause is TaskCause.Call or TaskCause.Event;
        if (nests)
        {
            StoreSystem(d.Base, old.Selector, 2);
        }
        else if (Find(old.Selector, 8) is { } oldDescriptor)
        {
            StoreSystem(oldDescriptor + 5, LoadSystem(oldDescriptor + 5, 1) & ~(ulong)DescriptorImage.Busy, 1);
        }

        if (cause != TaskCause.Return)
        {
            StoreSystem(at + 5, LoadSystem(at + 5, 1) | DescriptorImage.Busy, 1);
        }

        // 11. From here on the new task has what goes wrong.
        _m.Segments[MachineImage.Task] = d.ToSegment(selector) with { Attributes = d.Attributes | DescriptorImage.Busy };
        CommitMemory();
        _committed = true;
        EnterTask(image, is32, nests);
        if (cause != TaskCause.Event)
        {
            Require(_m.Rip <= _m.Segments[MachineImage.Cs].Limit);
        }
    }

    private void SaveTask(ulong address, bool is32, ulong next, uint flags)
    {
        int first = is32 ? 0x20 : 0x0e;
        int size = is32 ? 0x40 : 0x1c;
        byte[] saved = new byte[size];
        Load(address + (ulong)first, saved, user: false, isExplicit: false);
        int unit = is32 ? 4 : 2;
        Save(saved, 0, (uint)next, unit);
        Save(saved, unit, flags, unit);
        for (int n = 0; n < 8; n++)
        {
            Save(saved, (2 + n) * unit, (uint)_m.General[n], unit);
        }

        // A selector's upper half is reserved.
        for (int n = 0; n < (is32 ? 6 : 4); n++)
        {
            Save(saved, (10 + n) * unit, _m.Segments[n].Selector, 2);
        }

        Store(address + (ulong)first, saved, user: false, isExplicit: false);
    }

    private static void Save(byte[] bytes, int at, uint value, int size)
    {
        if (size == 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        }
        else
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), (ushort)value);
        }
    }

    // 12 and 13.
    private void EnterTask(byte[] image, bool is32, bool nests)
    {
        int unit = is32 ? 4 : 2;
        int first = is32 ? 0x20 : 0x0e;
        uint Read(int n) => is32 ? BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(first + (n * unit))) : BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(first + (n * unit)));
        if (is32 && (this[MachineRegister.Cr0] >> 31) != 0)
        {
            this[MachineRegister.Cr3] = BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(0x1c));
            if ((this[MachineRegister.Cr4] & 0x20) != 0 && !LoadPointers(this[MachineRegister.Cr3]))
            {
                throw new UnjudgedCase("page-directory pointers of a task that are wrong");
            }
        }

        uint flags = (Read(1) & AllFlags) | 2 | (nests ? NestedTask : 0);
        _m.Rip = Read(0);
        _branched = true;
        for (int n = 0; n < 8; n++)
        {
            // What the upper half is after a 16-bit task, no manual says: it is ones, as the 80386 has them, where it is used at once.
            _m.General[n] = Read(2 + n) | (is32 ? 0 : 0xffff_0000);
            LooseRegisters[n] = is32 ? 0 : 0xffff_0000;
        }

        this[MachineRegister.Cr0] |= 8;
        this[MachineRegister.Dr7] &= ~0x155UL;
        _m.Flags = flags;
        if ((flags & Trap) != 0 || (is32 && (image[0x64] & 1) != 0))
        {
            throw new UnjudgedCase("a task that is traced");
        }

        Span<ushort> selectors = stackalloc ushort[6];
        for (int n = 0; n < 6; n++)
        {
            selectors[n] = n < (is32 ? 6 : 4) ? (ushort)Read(10 + n) : (ushort)0;
        }

        ushort local = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(is32 ? 0x60 : 0x2a));
        bool is86 = (flags & Virtual8086) != 0;
        _m.Cpl = is86 ? 3 : selectors[MachineImage.Cs] & 3;
        for (int n = 0; n < 6; n++)
        {
            _m.Segments[n] = is86 ? new SegmentImage(selectors[n], (uint)selectors[n] << 4, 0xffff, 0xf3) : NullData(selectors[n]);
        }

        _m.Segments[MachineImage.LocalTable] = NullData(local);
        AreSegmentsLoose = true;
        LoadTaskTable(local);
        if (!is86)
        {
            LoadTaskCode(selectors[MachineImage.Cs]);
            _m.Segments[MachineImage.Ss] = CheckStack(selectors[MachineImage.Ss], _m.Cpl, ArchitecturalFault.InvalidTask);
            foreach (int n in (ReadOnlySpan<int>)[MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs])
            {
                _m.Segments[n] = LoadData(selectors[n], ArchitecturalFault.InvalidTask);
            }
        }

        AreSegmentsLoose = false;
    }

    private void LoadTaskTable(ushort selector)
    {
        if (IsNull(selector))
        {
            return;
        }

        ArchitecturalFault wrong = new(ArchitecturalFault.InvalidTask, CodeOf(selector));
        if ((selector & SelectorTable) != 0)
        {
            throw wrong;
        }

        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.InvalidTask, out _);
        if (d.IsSegment || d.Type != DescriptorImage.LocalTable || !d.IsPresent)
        {
            throw wrong;
        }

        _m.Segments[MachineImage.LocalTable] = d.ToSegment(selector);
    }

    private void LoadTaskCode(ushort selector)
    {
        if (IsNull(selector))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, 0);
        }

        DescriptorImage d = ReadDescriptor(selector, ArchitecturalFault.InvalidTask, out ulong at);
        int rpl = selector & 3;
        if (!d.IsCode || (d.IsConforming ? d.Dpl > rpl : d.Dpl != rpl))
        {
            throw new ArchitecturalFault(ArchitecturalFault.InvalidTask, CodeOf(selector));
        }

        RequirePresent(d, selector);
        MarkAccessed(d, at);
        _m.Segments[MachineImage.Cs] = d.ToSegment(selector);
    }
}
