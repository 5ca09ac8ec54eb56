using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>
/// Hardware task switch outside long mode (Intel SDM volume 3, section 7.3). Once the new task-state segment has been taken over, a
/// fault belongs to the new task: <see cref="ProcessorContext.Rip"/> and all registers are already those of the new one.
/// </summary>
internal static unsafe class TaskSwitch
{
    private const ulong Cr0TaskSwitched = 8;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr4Pae = 1 << 5;
    private const ulong Dr7LocalEnables = 0x155;
    private const uint Dr6TaskSwitch = 0x8000;

    /// <summary>Through a present task gate whose privilege has been checked. An error code goes on the new task's stack before its EIP is looked at (Intel SDM volume 2, INT n, "TASK-GATE").</summary>
    public static bool ThroughGate(ProcessorContext* c, Descriptor gate, TaskSwitchSource source, ulong next, uint flags, bool hasCode = false, uint errorCode = 0)
    {
        ushort selector = gate.GateSelector;
        if ((selector & 4) != 0 || DescriptorTables.IsNull(selector))
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.GeneralProtectionVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        if (d.SystemType is not (DescriptorType.TaskState or DescriptorType.TaskState16))
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        return Switch(c, selector, d, linear, source, next, flags, hasCode, errorCode);
    }

    /// <summary>IRET with NT set: back to the task that the link names.</summary>
    public static bool Return(ProcessorContext* c, ulong next)
    {
        if (!SystemMemory.Load(c, c->TaskRegister.Base, out ushort selector))
        {
            return false;
        }

        if ((selector & 4) != 0 || DescriptorTables.IsNull(selector))
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.InvalidTssVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        if (d.SystemType is not (DescriptorType.TaskStateBusy or DescriptorType.TaskState16Busy))
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(selector));
        }

        return Switch(c, selector, d, linear, TaskSwitchSource.Return, next, Flags.Get(c));
    }

    /// <summary>Switches to a task whose descriptor has the right type.</summary>
    /// <param name="c">The processor.</param>
    /// <param name="selector">Selector of the task-state segment.</param>
    /// <param name="d">Its descriptor.</param>
    /// <param name="linear">Where that is.</param>
    /// <param name="source">What switches.</param>
    /// <param name="next">EIP to save for the old task.</param>
    /// <param name="flags">EFLAGS to save for it.</param>
    /// <param name="hasCode">The new task is entered with an error code.</param>
    /// <param name="errorCode">That.</param>
    public static bool Switch(ProcessorContext* c, ushort selector, Descriptor d, ulong linear, TaskSwitchSource source, ulong next, uint flags, bool hasCode = false, uint errorCode = 0)
    {
        uint code = DescriptorTables.Code(selector);
        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, code);
        }

        bool wide = (d.Type & 8) != 0;
        if (d.Limit < (wide ? TaskImage.Limit32 : TaskImage.Limit16))
        {
            return Fault.InvalidTss(c, code);
        }

        byte* tss = stackalloc byte[(int)TaskImage.Limit32 + 1];
        if (!MemoryUnit.LoadAs(c, d.Base, tss, (int)(wide ? TaskImage.Limit32 : TaskImage.Limit16) + 1, user: false))
        {
            return false;
        }

        TaskImage image = wide ? TaskImage.Read32(tss) : TaskImage.Read16(tss);
        if (!SaveOld(c, source == TaskSwitchSource.Return ? flags & ~Flags.NestedTask : flags, next))
        {
            return false;
        }

        bool nests = source is TaskSwitchSource.Call or TaskSwitchSource.Event;
        if ((nests && !SystemMemory.Store(c, d.Base, c->TaskRegister.Selector))
            || (!nests && !ClearOldBusy(c))
            || (source != TaskSwitchSource.Return && !DescriptorTables.SetBusy(c, linear)))
        {
            return false;
        }

        if (nests)
        {
            image.Eflags |= Flags.NestedTask;
        }

        ref SegmentCache tr = ref c->TaskRegister;
        SegmentLoader.Fill(ref tr, selector, d);
        tr.Attributes |= DescriptorType.Busy;
        return TakeOver(c, ref image, wide, hasCode, errorCode);
    }

    private static bool SaveOld(ProcessorContext* c, uint flags, ulong next)
    {
        ref SegmentCache tr = ref c->TaskRegister;
        bool wide = (tr.Type & 8) != 0;
        if (!tr.IsUsable || tr.Limit < (wide ? TaskImage.Limit32 : TaskImage.Limit16))
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(tr.Selector));
        }

        TaskImage image = default;
        image.Eip = (uint)next;
        image.Eflags = flags;
        for (int n = 0; n < 8; n++)
        {
            image.Registers[n] = (uint)c->Registers[n];
        }

        for (int n = 0; n < 6; n++)
        {
            image.Selectors[n] = c->Segments[n].Selector;
        }

        byte* dynamic = stackalloc byte[TaskImage.DynamicSize32];
        int size = wide ? TaskImage.DynamicSize32 : TaskImage.DynamicSize16;
        ulong address = tr.Base + (wide ? TaskImage.Dynamic32 : TaskImage.Dynamic16);
        if (!MemoryUnit.LoadAs(c, address, dynamic, size, user: false))
        {
            return false;
        }

        if (wide)
        {
            image.Write32(dynamic);
        }
        else
        {
            image.Write16(dynamic);
        }

        return MemoryUnit.StoreAs(c, address, dynamic, size, user: false);
    }

    private static bool ClearOldBusy(ProcessorContext* c)
    {
        return !DescriptorTables.Locate(c, c->TaskRegister.Selector, 8, out ulong linear) || DescriptorTables.ClearBusy(c, linear);
    }

    private static bool TakeOver(ProcessorContext* c, ref TaskImage image, bool wide, bool hasCode, uint errorCode)
    {
        bool pointersValid = true;
        if (wide && (c->Cr0 & Cr0Paging) != 0)
        {
            c->Cr3 = image.Cr3;
            if ((c->Cr4 & Cr4Pae) != 0)
            {
                pointersValid = SoftwareProcessor.Of(c).LoadPageDirectoryPointers(image.Cr3);
            }

            MemoryUnit.FlushTlb(c);
        }

        for (int n = 0; n < 8; n++)
        {
            c->Registers[n] = image.Registers[n];
        }

        c->Rip = image.Eip;
        c->Cr0 |= Cr0TaskSwitched;
        c->Dr7 &= ~Dr7LocalEnables;
        bool virtual8086 = (image.Eflags & Flags.Virtual8086) != 0;
        c->Cpl = virtual8086 ? (byte)3 : (byte)(image.Selectors[SegmentRegister.Cs] & 3);
        for (int n = 0; n < 6; n++)
        {
            if (virtual8086)
            {
                SegmentLoader.FillVirtual8086(ref c->Segments[n], image.Selectors[n]);
            }
            else
            {
                SegmentLoader.SetNull(c, n, image.Selectors[n]);
            }
        }

        c->LocalDescriptorTable = new SegmentCache { Selector = image.LocalTable, Attributes = SegmentCache.Unusable };
        Flags.Set(c, image.Eflags);
        DebugUnit.Update(c);
        ResumeFlag.SetAll(c, image.Eflags);
        if (!pointersValid)
        {
            return Fault.GeneralProtection(c);
        }

        bool loaded = LoadLocalTable(c, image.LocalTable) && (virtual8086 || LoadSegments(c, ref image));
        ProcessorMode.Update(c);
        if (!loaded || (hasCode && !PushCode(c, errorCode, wide ? 4 : 2)))
        {
            return false;
        }

        if (c->Rip > c->Segments[SegmentRegister.Cs].Limit)
        {
            return Fault.GeneralProtection(c);
        }

        if (image.DebugTrap)
        {
            c->PendingDebugTraps |= Dr6TaskSwitch;
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Step);
        }

        return true;
    }

    // The task's own stack takes the error code; its TSS tells the size.
    private static bool PushCode(ProcessorContext* c, uint code, int size)
    {
        StackWriter stack = StackWriter.Current(c);
        if (!stack.Push(c, code, size))
        {
            return false;
        }

        stack.Commit(c);
        return true;
    }

    private static bool LoadLocalTable(ProcessorContext* c, ushort selector)
    {
        if (DescriptorTables.IsNull(selector))
        {
            return true;
        }

        if ((selector & 4) != 0)
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(selector));
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.InvalidTssVector, out Descriptor d, out _))
        {
            return false;
        }

        if (d.SystemType != DescriptorType.LocalTable || !d.IsPresent)
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(selector));
        }

        SystemSegments.Fill(ref c->LocalDescriptorTable, selector, d, d.Base);
        return true;
    }

    private static bool LoadSegments(ProcessorContext* c, ref TaskImage image)
    {
        return LoadCode(c, image.Selectors[SegmentRegister.Cs])
            && LoadStack(c, image.Selectors[SegmentRegister.Ss])
            && SegmentLoader.LoadData(c, SegmentRegister.Es, image.Selectors[SegmentRegister.Es], Fault.InvalidTssVector)
            && SegmentLoader.LoadData(c, SegmentRegister.Ds, image.Selectors[SegmentRegister.Ds], Fault.InvalidTssVector)
            && SegmentLoader.LoadData(c, SegmentRegister.Fs, image.Selectors[SegmentRegister.Fs], Fault.InvalidTssVector)
            && SegmentLoader.LoadData(c, SegmentRegister.Gs, image.Selectors[SegmentRegister.Gs], Fault.InvalidTssVector);
    }

    private static bool LoadCode(ProcessorContext* c, ushort selector)
    {
        uint code = DescriptorTables.Code(selector);
        if (DescriptorTables.IsNull(selector))
        {
            return Fault.InvalidTss(c, code);
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.InvalidTssVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        int rpl = selector & 3;
        if (!d.IsCode || (d.IsConforming ? d.Dpl > rpl : d.Dpl != rpl))
        {
            return Fault.InvalidTss(c, code);
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, code);
        }

        if (!DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        SegmentLoader.Fill(ref c->Segments[SegmentRegister.Cs], selector, d);
        ProcessorMode.Update(c);
        return true;
    }

    private static bool LoadStack(ProcessorContext* c, ushort selector)
    {
        if (!SegmentLoader.CheckStack(c, selector, c->Cpl, Fault.InvalidTssVector, out SegmentCache stack))
        {
            return false;
        }

        c->Segments[SegmentRegister.Ss] = stack;
        ProcessorMode.Update(c);
        return true;
    }
}
