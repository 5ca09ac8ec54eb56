using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>
/// Transfers of control and loads of segments whose tables, task-state segments and stacks are in pages that are not there, or cannot be written: a page fault that names the page, and the
/// access, which is one of CPL 0 except on the stack of CPL 3 (Intel SDM volume 3, sections 4.6.1, 4.7 and 7.3), with nothing changed; and none for any other page.
/// </summary>
public sealed unsafe class PageFaultTests : IDisposable
{
    private const uint Gdt = Layout.Gdt >> 12;
    private const uint Idt = Layout.Idt >> 12;
    private const uint Ldt = Layout.Ldt >> 12;
    private const uint Task = Layout.Task >> 12;
    private const uint OtherTask = Layout.OtherTask >> 12;
    private const uint Task16 = Layout.Task16 >> 12;
    private const uint Data = Layout.Data >> 12;
    private const uint UserTop = Layout.UserStack >> 12;
    private const uint UserPushes = UserTop - 1;
    private const uint KernelPushes = (Layout.KernelStack >> 12) - 1;
    private const uint InterruptPushes = (Layout.InterruptStack >> 12) - 1;
    private const uint WriteAccess = 2;
    private const uint UserAccess = 4;
    private const ushort LocalCode = 0x0c;
    private const ushort LocalData = 0x14;
    private static readonly uint[] Watched = [0, Gdt, Idt, Ldt, Task, OtherTask, Task16, Data, UserPushes, UserTop, KernelPushes, KernelPushes + 1, InterruptPushes];
    private static readonly byte[] FarCall = [0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0];
    private static readonly byte[] TaskJump = [0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0];
    private static readonly byte[] TaskCall = [0x9a, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0];

    private static readonly Transfer[] All =
    [
        new("jump", static m => m.EnterProtected(0), static m => m.Execute(0xea, 0, 0, 0, 0, (byte)Layout.KernelCode, 0), Changed(Gdt)),
        new("jump to the LDT", static m => Local(m, 0), static m => m.Execute(0xea, 0, 0, 0, 0, (byte)LocalCode, 0), Changed(Ldt)),
        new("call", static m => m.EnterProtected(0), static m => m.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.KernelCode, 0), Changed(Gdt), Pushed(KernelPushes)),
        new("call at CPL 3", static m => m.EnterProtected(3), static m => m.Execute(0x9a, 0, 0, 0, 0, (byte)(Layout.UserCode & ~3), 0), Changed(Gdt), Pushed(UserPushes) with { Code = WriteAccess | UserAccess }),
        new("jump through a gate", static m => Gate(m, 0, Layout.KernelCode), static m => m.Execute(0xea, 0, 0, 0, 0, (byte)Layout.Free, 0), Changed(Gdt)),
        new("call through a gate", static m => Gate(m, 0, Layout.KernelCode), static m => m.Execute(FarCall), Changed(Gdt), Pushed(KernelPushes)),
        new("call to an inner level", static m => Gate(m, 3, Layout.KernelCode), static m => m.Execute(FarCall), Changed(Gdt), Read(Task), Read(UserTop) with { Code = UserAccess }, Pushed(KernelPushes)),
        new("far return", static m => Frame(m, 0, 4, Layout.Handler, Layout.KernelCode), static m => m.Execute(0xcb), Changed(Gdt), Read(KernelPushes)),
        new("far return to an outer level", static m => Frame(m, 0, 4, Layout.Handler, Layout.UserCode, Layout.UserStack, Layout.UserData), static m => m.Execute(0xcb), Changed(Gdt), Read(KernelPushes)),
        new("IRET", static m => Frame(m, 0, 4, Layout.Handler, Layout.KernelCode, 2), static m => m.Execute(0xcf), Changed(Gdt), Read(KernelPushes)),
        new("IRET to an outer level", static m => Frame(m, 0, 4, Layout.Handler, Layout.UserCode, 2, Layout.UserStack, Layout.UserData), static m => m.Execute(0xcf), Changed(Gdt), Read(KernelPushes)),
        new("IRET to virtual-8086 mode", static m => Frame(m, 0, 4, 0x100, 0x1000, Flags.Virtual8086 | 2, 0x200, 0x1200, 1, 2, 3, 4), static m => m.Execute(0xcf), Read(KernelPushes)),
        new("interrupt", static m => Interrupt(m, 0, DescriptorType.InterruptGate), Deliver, Read(Idt), Changed(Gdt), Pushed(KernelPushes)),
        new("interrupt to an inner level", static m => Interrupt(m, 3, DescriptorType.InterruptGate), Deliver, Read(Idt), Changed(Gdt), Read(Task), Pushed(KernelPushes)),
        new("interrupt to an inner level of a 16-bit task", static m => Interrupt16(m), Deliver, Read(Idt), Changed(Gdt), Read(Task16), Pushed(KernelPushes)),
        new("interrupt out of virtual-8086 mode", static m => Virtual8086(m), Deliver, Read(Idt), Changed(Gdt), Read(Task), Pushed(KernelPushes)),
        new("interrupt through a task gate", static m => TaskGate(m), Deliver, Read(Idt), Changed(Gdt), Changed(Task), Changed(OtherTask), Pushed(UserPushes) with { IsAfter = true }),
        new("jump to a task", static m => PrepareTask(m), static m => m.Execute(TaskJump), Changed(Gdt), Changed(Task), Read(OtherTask)),
        new("call of a task", static m => PrepareTask(m), static m => m.Execute(TaskCall), Changed(Gdt), Changed(Task), Changed(OtherTask)),
        new("return to a task", static m => NestedTask(m), static m => m.Execute(0xcf), Changed(Gdt), Changed(Task), Read(OtherTask)),
        new("jump to a task with segments of the LDT", static m => LocalTask(m), static m => m.Execute(TaskJump), Changed(Gdt), Changed(Task), Read(OtherTask), Changed(Ldt) with { IsAfter = true }),
        new("MOV DS", static m => Select(m, Layout.KernelData), static m => m.Execute(0x8e, 0xd8), Changed(Gdt)),
        new("MOV SS", static m => Select(m, Layout.KernelData), static m => m.Execute(0x8e, 0xd0), Changed(Gdt)),
        new("MOV DS of the LDT", static m => Select(m, LocalData), static m => m.Execute(0x8e, 0xd8), Changed(Ldt)),
        new("MOV DS of memory", static m => Pointer(m), static m => m.Execute(0x8e, 0x1d, 4, 0, (byte)(Layout.Data >> 16), 0), Changed(Gdt), Read(Data)),
        new("MOV SS of memory", static m => Pointer(m), static m => m.Execute(0x8e, 0x15, 4, 0, (byte)(Layout.Data >> 16), 0), Changed(Gdt), Read(Data)),
        new("MOV of DS to memory", static m => Pointer(m), static m => m.Execute(0x8c, 0x1d, 4, 0, (byte)(Layout.Data >> 16), 0), Pushed(Data)),
        new("PUSH DS", static m => m.EnterProtected(0), static m => m.Execute(0x1e), Pushed(KernelPushes)),
        new("PUSH FS in long mode", static m => m.EnterLong(0), static m => m.Execute(0x0f, 0xa0), Pushed(KernelPushes)),
        new("LSS", static m => Pointer(m), static m => m.Execute(0x0f, 0xb2, 0x05, 0, 0, (byte)(Layout.Data >> 16), 0), Changed(Gdt), Read(Data)),
        new("LGDT", static m => Pointer(m), static m => m.Execute(0x0f, 0x01, 0x15, 0, 0, (byte)(Layout.Data >> 16), 0), Read(Data)),
        new("SGDT", static m => Pointer(m), static m => m.Execute(0x0f, 0x01, 0x05, 0, 0, (byte)(Layout.Data >> 16), 0), Pushed(Data)),
        new("far call of memory", static m => Pointer(m, Layout.KernelCode), static m => m.Execute(0xff, 0x1d, 0, 0, (byte)(Layout.Data >> 16), 0), Changed(Gdt), Read(Data), Pushed(KernelPushes)),
        new("far pointer", static m => Pointer(m), static m => m.Execute(0xc5, 0x05, 0, 0, (byte)(Layout.Data >> 16), 0), Changed(Gdt), Read(Data)),
        new("POP DS", static m => Frame(m, 0, 4, Layout.KernelData), static m => m.Execute(0x1f), Changed(Gdt), Read(KernelPushes)),
        new("POP SS", static m => Frame(m, 0, 4, Layout.KernelData), static m => m.Execute(0x17), Changed(Gdt), Read(KernelPushes)),
        new("LLDT", static m => Select(m, Layout.LocalTable), static m => m.Execute(0x0f, 0x00, 0xd0), Read(Gdt)),
        new("LTR", static m => Select(m, Layout.OtherTaskSelector), static m => m.Execute(0x0f, 0x00, 0xd8), Changed(Gdt)),
        new("LAR", static m => Select(m, Layout.KernelData), static m => m.Execute(0x0f, 0x02, 0xc8), Read(Gdt)),
        new("LSL", static m => Select(m, Layout.KernelData), static m => m.Execute(0x0f, 0x03, 0xc8), Read(Gdt)),
        new("VERR", static m => Select(m, Layout.KernelData), static m => m.Execute(0x0f, 0x00, 0xe0), Read(Gdt)),
        new("VERW of memory", static m => Pointer(m), static m => m.Execute(0x0f, 0x00, 0x2d, 4, 0, (byte)(Layout.Data >> 16), 0), Read(Gdt), Read(Data)),
        new("ARPL", static m => Pointer(m), static m => m.Execute(0x63, 0x05, 4, 0, (byte)(Layout.Data >> 16), 0), Changed(Data)),
        new("port map", static m => Ports(m), static m => IoPermission.Check(m.Context, 0x40, 2), Read(Task)),
        new("LLDT of memory", static m => Pointer(m, Layout.LocalTable), static m => m.Execute(0x0f, 0x00, 0x15, 4, 0, (byte)(Layout.Data >> 16), 0), Read(Gdt), Read(Data)),
        new("LSL of memory", static m => Pointer(m), static m => m.Execute(0x0f, 0x03, 0x0d, 4, 0, (byte)(Layout.Data >> 16), 0), Read(Gdt), Read(Data)),
        new("STR to memory", static m => Pointer(m), static m => m.Execute(0x0f, 0x00, 0x0d, 4, 0, (byte)(Layout.Data >> 16), 0), Pushed(Data)),

        new("interrupt in long mode", static m => LongInterrupt(m, 0, 0), Deliver, Read(Idt), Changed(Gdt), Pushed(KernelPushes)),
        new("interrupt to an inner level in long mode", static m => LongInterrupt(m, 3, 0), Deliver, Read(Idt), Changed(Gdt), Read(Task), Pushed(KernelPushes)),
        new("interrupt with a stack of its own", static m => LongInterrupt(m, 3, 1), Deliver, Read(Idt), Changed(Gdt), Read(Task), Pushed(InterruptPushes)),
        new("call to an inner level in long mode", static m => LongGate(m, 3), static m => m.Execute(0xff, 0x18), Changed(Gdt), Read(Task), Read(Data) with { Code = UserAccess }, Pushed(KernelPushes)),
        new("call at the same level in long mode", static m => LongGate(m, 0), static m => m.Execute(0xff, 0x18), Changed(Gdt), Read(Data), Pushed(KernelPushes)),
        new("IRETQ", static m => Frame(m, 0, 8, Layout.Handler, Layout.LongUserCode, 2, Layout.UserStack, Layout.UserData), static m => m.Execute(0x48, 0xcf), Changed(Gdt), Read(KernelPushes)),
        new("far return in long mode", static m => Frame(m, 0, 8, Layout.Handler, Layout.LongUserCode, Layout.UserStack, Layout.UserData), static m => m.Execute(0x48, 0xcb), Changed(Gdt), Read(KernelPushes)),
        new("LTR in long mode", static m => LongSelect(m, Layout.LongTask), static m => m.Execute(0x0f, 0x00, 0xd8), Changed(Gdt)),
        new("LLDT in long mode", static m => LongSelect(m, Layout.Free), static m => m.Execute(0x0f, 0x00, 0xd0), Read(Gdt)),
    ];

    private readonly SegmentedMachine _machine = new();

    public static TheoryData<string> Names => [.. All.Select(static t => t.Name)];

    public void Dispose() => _machine.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void PagesThatAreAbsentOrReadOnly(string name)
    {
        Transfer transfer = Array.Find(All, t => t.Name == name)!;
        Assert.True(Run(transfer, 0, 7), "with all pages there it must do without a fault");
        foreach (uint page in Watched)
        {
            foreach (bool readOnly in (ReadOnlySpan<bool>)[false, true])
            {
                Use use = Array.Find(transfer.Uses, u => u.Page == page);
                bool faults = use.Page == page && (!readOnly || use.IsWritten) && page != 0;
                Check(transfer, page, readOnly, use, faults);
            }
        }
    }

    private void Check(Transfer transfer, uint page, bool readOnly, in Use use, bool faults)
    {
        string what = $"{transfer.Name}, page {page:x} {(readOnly ? "read-only" : "absent")}";
        bool done = Run(transfer, page, readOnly ? 5u : 6u, out ProcessorContext before);
        Assert.True(done != faults, $"{what}: {(done ? "no fault" : $"exception {_machine.Context->FaultVector}")}");
        if (!faults)
        {
            return;
        }

        uint code = readOnly ? (use.Code & UserAccess) | WriteAccess | 1 : use.Code;
        Assert.True(
            (Fault.PageFaultVector, code, page) == (_machine.Context->FaultVector, _machine.Context->FaultCode, (uint)(_machine.Context->Cr2 >> 12)),
            $"{what}: exception {_machine.Context->FaultVector} code {_machine.Context->FaultCode:x} address {_machine.Context->Cr2:x}");
        if (use.IsAfter)
        {
            // The new task has begun: the fault is its own.
            Assert.Equal(Layout.OtherTaskSelector, _machine.Context->TaskRegister.Selector);
            Assert.Equal((ulong)Layout.Handler, _machine.Context->Rip);
        }
        else
        {
            _machine.AssertSame(before);
        }
    }

    private bool Run(Transfer transfer, uint page, uint rights) => Run(transfer, page, rights, out _);

    private bool Run(Transfer transfer, uint page, uint rights, out ProcessorContext before)
    {
        _machine.Reset();
        transfer.Prepare(_machine);
        _machine.EnablePaging();
        _machine.SetPage(page, rights);
        before = *_machine.Context;
        return transfer.Act(_machine);
    }

    private static Use Read(uint page) => new(page, 0, false, false);

    private static Use Changed(uint page) => new(page, 0, true, false);

    private static Use Pushed(uint page) => new(page, WriteAccess, true, false);

    private static bool Deliver(SegmentedMachine m) => Events.TryDeliver(m.Context, 13, EventKind.Exception, true, 0x1234, m.Context->Rip);

    private static void Local(SegmentedMachine m, byte cpl)
    {
        m.EnterProtected(cpl);
        m.SetDescriptor(LocalCode, Descriptors.Flat(0x9a));
        m.SetDescriptor(LocalData, Descriptors.Flat(0x92));
    }

    private static void Gate(SegmentedMachine m, byte cpl, ushort code)
    {
        m.EnterProtected(cpl);
        m.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, code, Layout.Handler, cpl == 0 ? 0 : 2));
    }

    private static void Frame(SegmentedMachine m, byte cpl, uint size, params uint[] values)
    {
        if (size == 8)
        {
            m.EnterLong(cpl);
        }
        else
        {
            m.EnterProtected(cpl);
        }

        for (uint n = 0; n < values.Length; n++)
        {
            m.Write(m.Rsp + (n * size), (ulong)values[n]);
        }
    }

    private static void Interrupt(SegmentedMachine m, byte cpl, uint type)
    {
        m.EnterProtected(cpl);
        m.SetGate(13, Descriptors.Gate(type, 0, Layout.KernelCode, Layout.Handler));
    }

    private static void Interrupt16(SegmentedMachine m)
    {
        Interrupt(m, 3, DescriptorType.InterruptGate);
        m.LoadTask(Layout.Task16Selector);
        m.Write(Layout.Task16 + 2, (ushort)0xf000);
        m.Write(Layout.Task16 + 4, Layout.Free);
        m.SetDescriptor(Layout.Free, Descriptors.Segment(Layout.KernelStack - 0xf000, 0xffff, 0x92, 0));
    }

    private static void Virtual8086(SegmentedMachine m)
    {
        m.EnterVirtual8086(0);
        m.SetGate(13, Descriptors.Gate(DescriptorType.InterruptGate, 0, Layout.KernelCode, Layout.Handler));
    }

    private static void PrepareTask(SegmentedMachine m)
    {
        m.EnterProtected(0);
        m.Write(Layout.OtherTask + 0x1c, Layout.PageTables);
        m.Write(Layout.OtherTask + 0x20, Layout.Handler);
        m.Write(Layout.OtherTask + 0x24, 2u);
        m.Write(Layout.OtherTask + 0x38, Layout.UserStack);
        m.Write(Layout.OtherTask + 0x4c, (uint)Layout.KernelCode);
        m.Write(Layout.OtherTask + 0x50, (uint)Layout.KernelData);
    }

    private static void TaskGate(SegmentedMachine m)
    {
        PrepareTask(m);
        m.SetGate(13, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector, 0));
    }

    private static void NestedTask(SegmentedMachine m)
    {
        PrepareTask(m);
        m.Eflags = Flags.NestedTask | 2;
        m.Write(Layout.Task, Layout.OtherTaskSelector);
        m.SetDescriptor(Layout.OtherTaskSelector, m.GetDescriptor(Layout.OtherTaskSelector) | (2UL << 40));
    }

    private static void LocalTask(SegmentedMachine m)
    {
        PrepareTask(m);
        m.SetDescriptor(LocalData, Descriptors.Flat(0x92));
        m.Write(Layout.OtherTask + 0x54, (uint)LocalData);
        m.Write(Layout.OtherTask + 0x60, (uint)Layout.LocalTable);
    }

    // A far pointer, and behind it a selector with RPL 0.
    private static void Pointer(SegmentedMachine m, ushort selector = Layout.KernelData)
    {
        m.EnterProtected(0);
        m.Write(Layout.Data, 0x1234_5678u);
        m.Write(Layout.Data + 4, selector);
        m.Context->Registers[0] = 3;
    }

    private static void Select(SegmentedMachine m, ushort selector)
    {
        Local(m, 0);
        m.Context->Registers[0] = selector;
    }

    private static void LongSelect(SegmentedMachine m, ushort selector)
    {
        m.EnterLong(0);
        m.SetDescriptor(Layout.Free, Descriptors.Segment(Layout.Ldt, 0xff, 0x82, 0));
        m.SetDescriptor(Layout.LongTask, m.GetDescriptor(Layout.LongTask) & ~(2UL << 40));
        m.Context->Registers[0] = selector;
    }

    // Port 0x40 is allowed by the task's map.
    private static void Ports(SegmentedMachine m)
    {
        m.EnterProtected(3);
        m.Write(Layout.Task + 0x66, (ushort)0x68);
    }

    private static void LongInterrupt(SegmentedMachine m, byte cpl, int stack)
    {
        m.EnterLong(cpl);
        m.SetLongGate(13, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler, stack);
    }

    private static void LongGate(SegmentedMachine m, byte cpl)
    {
        m.EnterLong(cpl);
        m.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.LongCode, Layout.Handler));
        m.SetDescriptor(Layout.Free + 8, 0);
        m.Context->Registers[0] = Layout.Data;
        m.Write(Layout.Data + 4, Layout.Free);
    }

    private sealed record Transfer(string Name, Action<SegmentedMachine> Prepare, Func<SegmentedMachine, bool> Act, params Use[] Uses);

    /// <summary>A page that a transfer uses.</summary>
    /// <param name="Page">Its number.</param>
    /// <param name="Code">Error code of the first access if the page is absent.</param>
    /// <param name="IsWritten">Whether it is written too.</param>
    /// <param name="IsAfter">Whether that happens in the new task.</param>
    private readonly record struct Use(uint Page, uint Code, bool IsWritten, bool IsAfter);
}
