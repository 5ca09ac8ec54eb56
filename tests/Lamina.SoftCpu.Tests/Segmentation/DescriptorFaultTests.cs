using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>
/// What is refused of tables, gates, task-state segments and stacks that are too small, absent, of the wrong kind or privilege, and with which error code (Intel SDM volume 3, sections 5.8, 6.12 to 6.15
/// and 7.2 to 7.3, table 6-6; volume 2, the instructions named).
/// </summary>
public sealed unsafe class DescriptorFaultTests : IDisposable
{
    private const int Protection = 13;
    private const int StackFault = 12;
    private const int NotPresent = 11;
    private const int InvalidTask = 10;
    private const byte InvalidOpcode = 6;
    private const ulong BusyBit = 2UL << 40;
    private const ulong PresentBit = 1UL << 47;
    private static readonly byte[] FarCall = [0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0];
    private readonly SegmentedMachine _machine = new();

    private ProcessorContext* Context => _machine.Context;

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(0, Protection, 0u)]
    [InlineData(Layout.OtherTaskSelector | 4, Protection, Layout.OtherTaskSelector | 4u)]
    [InlineData(Layout.OutsideGdt, Protection, (uint)Layout.OutsideGdt)]
    [InlineData(Layout.KernelData, Protection, (uint)Layout.KernelData)]
    [InlineData(Layout.TaskSelector, Protection, (uint)Layout.TaskSelector)] // busy
    [InlineData(Layout.Free2, NotPresent, (uint)Layout.Free2)]
    public void TaskGates(ushort selector, byte vector, uint code)
    {
        _machine.EnterProtected(0);
        _machine.SetDescriptor(Layout.Free2, _machine.GetDescriptor(Layout.OtherTaskSelector) & ~PresentBit);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.TaskGate, 0, selector, 0));
        _machine.ExpectFault(vector, code, FarCall);

        // The same through the IDT: with EXT for an exception, without for INT n.
        _machine.SetGate(13, Descriptors.Gate(DescriptorType.TaskGate, 3, selector, 0));
        ExpectDelivery(13, vector, code | 1);
        _machine.ExpectFault(vector, code, 0xcd, 13);
    }

    [Theory]
    [InlineData(0, 0u)]
    [InlineData(Layout.OtherTaskSelector | 4, Layout.OtherTaskSelector | 4u)]
    [InlineData(Layout.OutsideGdt, (uint)Layout.OutsideGdt)]
    [InlineData(Layout.OtherTaskSelector, (uint)Layout.OtherTaskSelector)] // not busy
    [InlineData(Layout.KernelData, (uint)Layout.KernelData)]
    public void LinksOfNestedTasks(ushort link, uint code)
    {
        _machine.EnterProtected(0);
        _machine.Eflags = Flags.NestedTask | 2;
        _machine.Write(Layout.Task, link);
        _machine.ExpectFault(InvalidTask, code, 0xcf);
    }

    [Fact]
    public void ATaskOf16BitsCallsOneOf32AndIsReturnedTo()
    {
        _machine.EnterProtected(0);
        _machine.LoadTask(Layout.Task16Selector);
        PrepareTask();
        Context->Registers[0] = 0x1234_5678;
        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        Assert.Equal((Layout.OtherTaskSelector, Layout.Task16Selector), (Context->TaskRegister.Selector, _machine.Read<ushort>(Layout.OtherTask)));
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal(Layout.Task16Selector, Context->TaskRegister.Selector);
        Assert.Equal(0xffff_5678UL, Context->Registers[0]);
        Assert.Equal((Layout.Code + 7) & 0xffff, Context->Rip);
        Assert.Equal(0UL, _machine.GetDescriptor(Layout.OtherTaskSelector) & BusyBit);
    }

    [Theory]
    [InlineData(false, 0x66u)]
    [InlineData(true, 0x67u)]
    public void TheOldTaskMustHoldItsRegisters(bool unusable, uint limit)
    {
        _machine.EnterProtected(0);
        PrepareTask();
        Context->TaskRegister.Limit = limit;
        Context->TaskRegister.Attributes |= unusable ? SegmentCache.Unusable : 0;
        _machine.ExpectFault(InvalidTask, Layout.TaskSelector, 0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0);
    }

    [Theory]
    [InlineData(0x4c, Layout.OutsideGdt, InvalidTask)]
    [InlineData(0x4c, Layout.Free, InvalidTask)] // conforming, but more privileged than it says
    [InlineData(0x60, Layout.OutsideGdt, InvalidTask)]
    [InlineData(0x60, Layout.Free2, InvalidTask)] // an absent LDT
    [InlineData(0x50, Layout.OutsideGdt, InvalidTask)]
    [InlineData(0x54, Layout.OutsideGdt, InvalidTask)]
    public void SelectorsOfTheNewTask(uint offset, ushort selector, byte vector)
    {
        _machine.EnterProtected(0);
        PrepareTask();
        _machine.SetDescriptor(Layout.Free, Descriptors.Flat(0xfe));
        _machine.SetDescriptor(Layout.Free2, _machine.GetDescriptor(Layout.LocalTable) & ~PresentBit);
        _machine.Write(Layout.OtherTask + offset, (uint)selector);
        Assert.False(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        _machine.AssertFault(vector, selector);
        Assert.Equal(Layout.OtherTaskSelector, Context->TaskRegister.Selector);
    }

    [Fact]
    public void TheNewTaskBeginsInsideItsCodeSegment()
    {
        _machine.EnterProtected(0);
        PrepareTask();
        _machine.Write(Layout.OtherTask + 0x4c, (uint)Layout.Code16);
        Assert.False(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        _machine.AssertFault(Protection, 0);
        Assert.Equal((Layout.OtherTaskSelector, (ulong)Layout.Handler), (Context->TaskRegister.Selector, Context->Rip));
    }

    // An error code goes onto the new task's stack, in slots of its size; if there is no room, it is the new task's fault.
    [Theory]
    [InlineData(Layout.OtherTaskSelector, Layout.UserStack, 4, null)]
    [InlineData(Layout.Task16Selector, 0x7000u, 2, null)]
    [InlineData(Layout.OtherTaskSelector, 2u, 4, StackFault)]
    public void ErrorCodesForTasks(ushort task, uint stack, int size, int? vector)
    {
        _machine.EnterProtected(0);
        PrepareTask();
        bool wide = size == 4;
        _machine.Write(Layout.OtherTask + 0x38, stack);
        _machine.Write(Layout.Task16 + 0x1a, (ushort)stack);
        _machine.Write(Layout.Task16 + 0x24, Layout.KernelCode);
        _machine.Write(Layout.Task16 + 0x26, wide ? Layout.KernelData : Layout.Data16);
        _machine.SetGate(13, Descriptors.Gate(DescriptorType.TaskGate, 0, task, 0));
        bool done = Events.TryDeliver(Context, 13, EventKind.Exception, true, 0x4321, Context->Rip);
        Assert.Equal(vector == null, done);
        Assert.Equal(task, Context->TaskRegister.Selector);
        if (vector is { } v)
        {
            _machine.AssertFault((byte)v, 1);
            return;
        }

        Assert.Equal(stack - (uint)size, wide ? (uint)_machine.Rsp : (ushort)_machine.Rsp);
        Assert.Equal(0x4321u, wide ? _machine.Read<uint>(stack - 4) : _machine.Read<ushort>(stack - 2));
    }

    // PAE paging: the new task's page-directory pointers are loaded with CR3.
    [Theory]
    [InlineData(1u, null)]
    [InlineData(7u, Protection)]
    public void PageDirectoryPointersOfTheNewTask(uint attributes, int? vector)
    {
        const uint pointers = Layout.PageTables + 0x20;
        _machine.EnterProtected(0);
        PrepareTask();
        _machine.Write(Layout.PageTables, Layout.PageTables + 0x1000 + 1UL);
        _machine.Write(pointers, Layout.PageTables + 0x1000 + (ulong)attributes);
        _machine.Write(Layout.PageTables + 0x1000, 0xe7UL);
        _machine.Write(Layout.OtherTask + 0x1c, pointers);
        Context->Cr4 = 0x20;
        Context->Cr3 = Layout.PageTables;
        Context->Cr0 |= 0x8000_0000;
        Assert.True(SoftwareProcessor.Of(Context).LoadPageDirectoryPointers(Layout.PageTables));
        ProcessorMode.Update(Context);
        MemoryUnit.FlushTlb(Context);
        Assert.Equal(vector == null, _machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        Assert.Equal((Layout.OtherTaskSelector, pointers), (Context->TaskRegister.Selector, Context->Cr3));
        if (vector is { } v)
        {
            _machine.AssertFault((byte)v, 0);
        }
    }

    [Fact]
    public void GatesOfTheInterruptTable()
    {
        _machine.EnterProtected(3);
        Context->IdtLimit = (0x40 * 8) - 2;
        _machine.ExpectFault(Protection, (0x3f * 8) | 2, 0xcd, 0x3f);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler, present: false));
        _machine.ExpectFault(NotPresent, (0x30 * 8) | 2, 0xcd, 0x30);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, 0, Layout.Handler));
        _machine.ExpectFault(Protection, 0, 0xcd, 0x30);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.AbsentCode, Layout.Handler));
        _machine.ExpectFault(NotPresent, Layout.AbsentCode, 0xcd, 0x30);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelData, Layout.Handler));
        _machine.ExpectFault(Protection, Layout.KernelData, 0xcd, 0x30);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.OutsideGdt, Layout.Handler));
        _machine.ExpectFault(Protection, Layout.OutsideGdt, 0xcd, 0x30);

        // Offsets beyond the limit: the frame is in memory by then, but the stack pointer is not.
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.Code16, Layout.Handler));
        _machine.ExpectFault(Protection, 0, 0xcd, 0x30);

        // The task-state segment must reach to the stack of the level.
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler));
        Context->TaskRegister.Limit = 8;
        _machine.ExpectFault(InvalidTask, Layout.TaskSelector, 0xcd, 0x30);
        Context->TaskRegister.Attributes |= SegmentCache.Unusable;
        _machine.ExpectFault(InvalidTask, Layout.TaskSelector, 0xcd, 0x30);
    }

    [Fact]
    public void ConformingHandlersOutOfVirtual8086Mode()
    {
        _machine.EnterVirtual8086(3);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.ConformingCode, Layout.Handler));
        _machine.ExpectFault(Protection, Layout.ConformingCode, 0xcd, 0x30);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.Ring1Code & ~3, Layout.Handler));
        _machine.ExpectFault(Protection, Layout.Ring1Code & ~3u, 0xcd, 0x30);
    }

    // Inner stacks that expand down: offsets up to the limit are not in them, and without the B bit none above 64 KiB.
    [Theory]
    [InlineData(4u, 0x2_0000u, Layout.KernelStack, null)]
    [InlineData(4u, Layout.KernelStack - 8u, Layout.KernelStack, StackFault)]
    [InlineData(0u, 0x2000u, 0x9000u, null)]
    [InlineData(0u, 0x9000u, 0x9000u, StackFault)]
    [InlineData(4u, 0x2_0000u, 2u, StackFault)]
    public void StacksThatExpandDown(uint flags, uint limit, uint pointer, int? vector)
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free2, Descriptors.Segment(0, limit, 0x96, flags));
        _machine.Write(Layout.Task + 4, pointer);
        _machine.Write(Layout.Task + 8, (uint)Layout.Free2);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, Layout.Handler));
        if (vector is { } v)
        {
            _machine.ExpectFault((byte)v, Layout.Free2, FarCall);
            return;
        }

        Assert.True(_machine.Execute(FarCall));
        Assert.Equal((Layout.Free2, pointer - 16), (_machine.Selector(SegmentRegister.Ss), flags == 0 ? (ushort)_machine.Rsp : (uint)_machine.Rsp));
        Assert.Equal(Layout.Code + 7, _machine.Read<uint>(pointer - 16));
    }

    [Theory]
    [InlineData(0x8000_0000_0004UL, StackFault)]
    [InlineData(0x1_0000_0000_0000UL, StackFault)]
    public void LongCallsPushAtCanonicalAddresses(ulong pointer, byte vector)
    {
        LongGate(0, Layout.Handler);
        _machine.Rsp = pointer;
        _machine.ExpectFault(vector, 0, 0xff, 0x18);
    }

    [Theory]
    [InlineData(0, 0x8000_0000_0000UL, 0x67u, Protection, 0u)]
    [InlineData(3, 0x8000_0000_0000UL, 0x67u, Protection, 0u)]
    [InlineData(3, Layout.Handler, 0xau, InvalidTask, (uint)Layout.LongTask)]
    [InlineData(0, Layout.Handler, 0xau, null, 0u)]
    public void LongCallGates(byte cpl, ulong target, uint limit, int? vector, uint code)
    {
        LongGate(cpl, target);
        Context->TaskRegister.Limit = limit;
        if (vector is { } v)
        {
            _machine.ExpectFault((byte)v, code, 0xff, 0x18);
            return;
        }

        Assert.True(_machine.Execute(0xff, 0x18));
        Assert.Equal(target, Context->Rip);
    }

    [Fact]
    public void LongGatesOfTheInterruptTable()
    {
        _machine.EnterLong(3);
        Context->IdtLimit = (0x31 * 16) - 2;
        _machine.ExpectFault(Protection, (0x30 * 8) | 2, 0xcd, 0x30);
        Context->IdtLimit = 0xfff;
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, 0, Layout.Handler);
        _machine.ExpectFault(Protection, 0, 0xcd, 0x30);
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.OutsideGdt, Layout.Handler);
        _machine.ExpectFault(Protection, Layout.OutsideGdt, 0xcd, 0x30);
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler);
        _machine.ExpectFault(Protection, Layout.KernelCode, 0xcd, 0x30);
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.LongCode, 0x8000_0000_0000);
        _machine.ExpectFault(Protection, 0, 0xcd, 0x30);
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.LongCode, Layout.Handler, stack: 7);
        Context->TaskRegister.Limit = 0x50;
        _machine.ExpectFault(InvalidTask, Layout.LongTask, 0xcd, 0x30);
        Context->TaskRegister.Limit = 0xa;
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.LongCode, Layout.Handler);
        _machine.ExpectFault(InvalidTask, Layout.LongTask, 0xcd, 0x30);

        // A conforming handler runs at the level that it found, on the stack that it found.
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0, 0xf_ffff, 0x9e, 0xa));
        _machine.SetLongGate(0x30, DescriptorType.InterruptGate, 3, Layout.Free, Layout.Handler);
        Assert.True(_machine.Execute(0xcd, 0x30));
        Assert.Equal((3, Layout.Free | 3, (ulong)Layout.UserStack - 40), (Context->Cpl, _machine.Selector(SegmentRegister.Cs), _machine.Rsp));
    }

    [Fact]
    public void RealModeStacksAndLimits()
    {
        _machine.EnterReal();
        _machine.Write(0x21 * 4, 0x2000_0210u);
        foreach (ulong pointer in (ReadOnlySpan<ulong>)[1, 3, 5])
        {
            // One of the three words would begin at the last byte.
            _machine.Rsp = pointer;
            _machine.ExpectFault(StackFault, 0, 0xcd, 0x21);
        }

        foreach (ulong pointer in (ReadOnlySpan<ulong>)[0xffff, 0xfffd, 0xfffb])
        {
            _machine.Rsp = pointer;
            _machine.ExpectFault(StackFault, 0, 0xcf);
        }

        _machine.Rsp = 0x8000;
        _machine.Segment(SegmentRegister.Cs).Limit = 0x20f;
        _machine.ExpectFault(Protection, 0, 0xcd, 0x21);
        _machine.Write(0x8000, 0x2000_0210u);
        _machine.Write(0x8004, (ushort)2);
        _machine.ExpectFault(Protection, 0, 0xcf);
        _machine.ExpectFault(Protection, 0, 0xcb);
    }

    // What protected mode left unusable is a segment of 64 KiB again once it is loaded.
    [Fact]
    public void RealModeLoadsMakeSegmentsUsable()
    {
        _machine.EnterReal();
        SegmentLoader.SetNull(Context, SegmentRegister.Es, 0);
        Context->Registers[0] = 0x1234;
        Assert.True(_machine.Execute(0x8e, 0xc0));
        Assert.Equal((true, 0xffffu, 0x12340UL), (_machine.Segment(SegmentRegister.Es).IsUsable, _machine.Segment(SegmentRegister.Es).Limit, _machine.Segment(SegmentRegister.Es).Base));
    }

    [Theory]
    [InlineData(Layout.OutsideGdt, Protection)]
    [InlineData(Layout.AbsentCode, NotPresent)]
    [InlineData(Layout.KernelData, Protection)]
    [InlineData(Layout.Free, Protection)] // conforming, of a lower privilege than the return
    public void CodeSegmentsOfReturns(ushort selector, byte vector)
    {
        foreach (byte opcode in (ReadOnlySpan<byte>)[0xcb, 0xcf])
        {
            _machine.EnterProtected(0);
            _machine.SetDescriptor(Layout.Free, Descriptors.Flat(0xfe));
            _machine.Write(_machine.Rsp, (ulong)Layout.Handler | ((ulong)selector << 32));
            _machine.Write(_machine.Rsp + 8, 2u);
            _machine.ExpectFault(vector, selector, opcode);
            _machine.EnterLong(0);
            _machine.Write(_machine.Rsp, (ulong)Layout.Handler);
            _machine.Write(_machine.Rsp + 8, (ulong)selector);
            _machine.Write(_machine.Rsp + 16, 2UL);
            _machine.ExpectFault(vector, selector, 0x48, opcode);
        }
    }

    [Fact]
    public void ReturnsEndInsideTheirSegments()
    {
        foreach (byte opcode in (ReadOnlySpan<byte>)[0xcb, 0xcf])
        {
            _machine.EnterProtected(0);
            _machine.Write(_machine.Rsp, (ulong)Layout.Handler | ((ulong)Layout.Code16 << 32));
            _machine.Write(_machine.Rsp + 8, 2u);
            _machine.ExpectFault(Protection, 0, opcode);
        }

        // To an outer level, whose stack must be of that level.
        _machine.EnterProtected(0);
        _machine.Write(_machine.Rsp, (ulong)Layout.Handler | ((ulong)Layout.UserCode << 32));
        _machine.Write(_machine.Rsp + 8, (ulong)Layout.UserStack | ((ulong)Layout.KernelData << 32));
        _machine.ExpectFault(Protection, Layout.KernelData, 0xcb);
        _machine.Write(_machine.Rsp + 8, (ulong)Layout.UserStack);
        _machine.ExpectFault(Protection, 0, 0xcb);

        // Conforming code of a register stays visible, whatever its privilege.
        _machine.Write(_machine.Rsp + 8, (ulong)Layout.UserStack | ((ulong)Layout.UserData << 32));
        Context->Registers[0] = Layout.ConformingCode;
        Assert.True(_machine.Execute(0x8e, 0xd8));
        Assert.True(_machine.Execute(0xcb));
        Assert.Equal((3, Layout.ConformingCode, 0), (Context->Cpl, _machine.Selector(SegmentRegister.Ds), _machine.Selector(SegmentRegister.Es)));
    }

    [Fact]
    public void SystemSegments()
    {
        _machine.EnterProtected(0);
        Context->Registers[0] = Layout.KernelData;
        _machine.ExpectFault(Protection, Layout.KernelData, 0x0f, 0x00, 0xd0);
        _machine.ExpectFault(Protection, Layout.KernelData, 0x0f, 0x00, 0xd8);
        Context->Registers[0] = 0;
        _machine.ExpectFault(Protection, 0, 0x0f, 0x00, 0xd8);
        _machine.SetDescriptor(Layout.Free, _machine.GetDescriptor(Layout.OtherTaskSelector) & ~PresentBit);
        Context->Registers[0] = Layout.Free;
        _machine.ExpectFault(NotPresent, Layout.Free, 0x0f, 0x00, 0xd8);
        _machine.SetDescriptor(Layout.Free, _machine.GetDescriptor(Layout.LocalTable) & ~PresentBit);
        _machine.ExpectFault(NotPresent, Layout.Free, 0x0f, 0x00, 0xd0);

        // SLDT and STR to memory write 16 bits.
        _machine.Write(Layout.Data, ulong.MaxValue);
        Context->Registers[3] = Layout.Data;
        Assert.True(_machine.Execute(0x0f, 0x00, 0x03));
        Assert.Equal(0xffff_ffff_ffff_0000 | Layout.LocalTable, _machine.Read<ulong>(Layout.Data));
        Assert.True(_machine.Execute(0x0f, 0x00, 0x0b));
        Assert.Equal(0xffff_ffff_ffff_0000 | Layout.TaskSelector, _machine.Read<ulong>(Layout.Data));

        // In long mode they have 16 bytes, all in the table, and a second type of zero.
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.GdtLimit - 7, Descriptors.Segment(Layout.Ldt, 0xff, 0x82, 0));
        Context->Registers[0] = Layout.GdtLimit - 7;
        _machine.ExpectFault(Protection, Layout.GdtLimit - 7, 0x0f, 0x00, 0xd0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(Layout.Ldt, 0xff, 0x82, 0));
        _machine.SetDescriptor(Layout.Free + 8, 1UL << 40);
        Context->Registers[0] = Layout.Free;
        _machine.ExpectFault(Protection, Layout.Free, 0x0f, 0x00, 0xd0);
        _machine.SetDescriptor(Layout.Free + 8, 0x1_0000);
        _machine.ExpectFault(Protection, Layout.Free, 0x0f, 0x00, 0xd0);
        _machine.SetDescriptor(Layout.Free + 8, 0x7fff);
        Assert.True(_machine.Execute(0x0f, 0x00, 0xd0));
        Assert.Equal(0x7fff_0000_0000 + (ulong)Layout.Ldt, Context->LocalDescriptorTable.Base);
    }

    [Theory]
    [InlineData("0f02c8")]
    [InlineData("0f03c8")]
    [InlineData("0f00e0")]
    [InlineData("0f00e8")]
    [InlineData("0f00d0")]
    [InlineData("0f00d8")]
    [InlineData("0f00c0")]
    [InlineData("0f00c8")]
    [InlineData("63c8")]
    public void UnknownOutsideProtectedMode(string code)
    {
        _machine.EnterReal();
        _machine.ExpectFault(InvalidOpcode, null, Convert.FromHexString(code));
        _machine.EnterVirtual8086(3);
        _machine.ExpectFault(InvalidOpcode, null, Convert.FromHexString(code));
    }

    // LSL of a call gate is never visible; in long mode neither is a 16-bit task.
    [Theory]
    [InlineData(Layout.Free, false, false, false)]
    [InlineData(Layout.Task16Selector, false, true, true)]
    [InlineData(Layout.Task16Selector, true, false, false)]
    [InlineData(Layout.KernelData, true, true, true)]
    public void VisibleDescriptors(ushort selector, bool longMode, bool hasLimit, bool hasRights)
    {
        if (longMode)
        {
            _machine.EnterLong(0);
        }
        else
        {
            _machine.EnterProtected(0);
        }

        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, 0));
        Context->Registers[0] = selector;
        Context->Registers[1] = 0x5555;
        Assert.True(_machine.Execute(0x0f, 0x03, 0xc8));
        Assert.Equal(hasLimit, (_machine.Eflags & Flags.Zero) != 0);
        Assert.Equal(hasLimit, Context->Registers[1] != 0x5555);
        Assert.True(_machine.Execute(0x0f, 0x02, 0xc8));
        Assert.Equal(hasRights || (selector == Layout.Free && !longMode), (_machine.Eflags & Flags.Zero) != 0);
    }

    [Fact]
    public void PortMapsNeedATaskOf32Bits()
    {
        _machine.EnterProtected(3);
        _machine.Write(Layout.Task + 0x66, (ushort)0x68);
        Assert.True(IoPermission.Check(Context, 0x40, 1));
        Context->TaskRegister.Limit = 0x66;
        Refuses();
        Context->TaskRegister.Limit = 0xff;
        Context->TaskRegister.Attributes |= SegmentCache.Unusable;
        Refuses();
        _machine.LoadTask(Layout.Task16Selector);
        Refuses();

        void Refuses()
        {
            Assert.False(IoPermission.Check(Context, 0x40, 1));
            _machine.AssertFault(Protection, 0);
        }
    }

    [Fact]
    public void FastReturns()
    {
        // SYSRET is one of 64-bit code; SYSEXIT needs a code segment, and CPL 0, and canonical addresses.
        _machine.EnterLong(0, compatibility: true);
        _machine.ExpectFault(InvalidOpcode, null, 0x0f, 0x07);
        _machine.EnterLong(0);
        Context->SysenterCs = 3;
        _machine.ExpectFault(Protection, 0, 0x0f, 0x35);
        Context->SysenterCs = 8;
        Context->Registers[1] = 0x8000_0000_0000;
        _machine.ExpectFault(Protection, 0, 0x48, 0x0f, 0x35);
        Context->Registers[1] = 0;
        Context->Registers[2] = 0x8000_0000_0000;
        _machine.ExpectFault(Protection, 0, 0x48, 0x0f, 0x35);
        _machine.EnterReal();
        _machine.ExpectFault(Protection, 0, 0x0f, 0x35);
        _machine.EnterLong(3);
        _machine.ExpectFault(Protection, 0, 0x0f, 0x35);
    }

    private void ExpectDelivery(byte vector, byte fault, uint code)
    {
        ProcessorContext before = *Context;
        Assert.False(Events.TryDeliver(Context, vector, EventKind.Exception, true, 0, Context->Rip));
        _machine.AssertFault(fault, code);
        _machine.AssertSame(before);
    }

    private void PrepareTask()
    {
        _machine.Write(Layout.OtherTask + 0x20, Layout.Handler);
        _machine.Write(Layout.OtherTask + 0x24, 2u);
        _machine.Write(Layout.OtherTask + 0x38, Layout.UserStack);
        _machine.Write(Layout.OtherTask + 0x4c, (uint)Layout.KernelCode);
        _machine.Write(Layout.OtherTask + 0x50, (uint)Layout.KernelData);
    }

    private void LongGate(byte cpl, ulong target)
    {
        _machine.EnterLong(cpl);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.LongCode, (uint)target));
        _machine.SetDescriptor(Layout.Free + 8, target >> 32);
        Context->Registers[0] = Layout.Data;
        _machine.Write(Layout.Data + 4, Layout.Free);
    }
}
