using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Hardware task switches (Intel SDM volume 3, chapter 7).</summary>
public sealed unsafe class TaskSwitchTests : IDisposable
{
    private const uint Busy = 2;

    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(0xea)]
    [InlineData(0x9a)]
    public void JumpAndCall(byte opcode)
    {
        bool call = opcode == 0x9a;
        Prepare();
        Assert.True(_machine.Execute(opcode, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        AssertNewTask(call);
        Assert.Equal(call ? Busy : 0, Type(Layout.TaskSelector) & Busy);
        Assert.Equal(Busy, Type(Layout.OtherTaskSelector) & Busy);
        Assert.Equal(Layout.Code + 7, _machine.Read<uint>(Layout.Task + 0x20));
        Assert.Equal(2u | Flags.Carry, _machine.Read<uint>(Layout.Task + 0x24));
        Assert.Equal(0x1111_1111u, _machine.Read<uint>(Layout.Task + 0x28));
        Assert.Equal(Layout.KernelStack - 0x800, _machine.Read<uint>(Layout.Task + 0x38));
        Assert.Equal(0xabcd_0000u | Layout.KernelData, _machine.Read<uint>(Layout.Task + 0x48));
        Assert.Equal((uint)Layout.KernelCode, _machine.Read<uint>(Layout.Task + 0x4c));
        if (!call)
        {
            return;
        }

        Assert.Equal(Layout.TaskSelector, _machine.Read<ushort>(Layout.OtherTask));
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal((Layout.TaskSelector, Layout.Code + 7UL), (_machine.Context->TaskRegister.Selector, _machine.Context->Rip));
        Assert.Equal(0u, Type(Layout.OtherTaskSelector) & Busy);
        Assert.Equal(Busy, Type(Layout.TaskSelector) & Busy);
        Assert.Equal(0u, _machine.Read<uint>(Layout.OtherTask + 0x24) & Flags.NestedTask);
        Assert.Equal(Layout.Handler + 1, _machine.Read<uint>(Layout.OtherTask + 0x20));
        Assert.Equal(2u | Flags.Carry, _machine.Eflags);
    }

    [Fact]
    public void InterruptThroughATaskGatePushesTheErrorCode()
    {
        Prepare();
        _machine.SetGate(13, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector, 0));
        Assert.True(_machine.Deliver(13, EventKind.Exception, true, 0x4321));
        Assert.Equal(Layout.UserStack - 4UL, _machine.Rsp);
        Assert.Equal(0x4321u, _machine.Read<uint>(_machine.Rsp));
        Assert.Equal(Layout.Code, _machine.Read<uint>(Layout.Task + 0x20));
        Assert.Equal(2u | Flags.Carry | Flags.Resume, _machine.Read<uint>(Layout.Task + 0x24));
        Assert.NotEqual(0u, _machine.Eflags & Flags.NestedTask);
    }

    [Fact]
    public void CallThroughATaskGate()
    {
        Prepare();
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector, 0));
        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0));
        AssertNewTask(nested: true);
    }

    [Fact]
    public void SixteenBitTask()
    {
        Prepare();
        _machine.Write(Layout.Task16 + 0x0e, (ushort)0x4321);
        _machine.Write(Layout.Task16 + 0x10, (ushort)0x0003);
        _machine.Write(Layout.Task16 + 0x12, (ushort)0x8888);
        _machine.Write(Layout.Task16 + 0x1a, (ushort)0x7000);
        _machine.Write(Layout.Task16 + 0x22, Layout.KernelData);
        _machine.Write(Layout.Task16 + 0x24, Layout.KernelCode);
        _machine.Write(Layout.Task16 + 0x26, Layout.KernelData);
        _machine.Write(Layout.Task16 + 0x28, Layout.KernelData);
        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.Task16Selector, 0));
        Assert.Equal(0x4321UL, _machine.Context->Rip);
        Assert.Equal((0xffff_8888UL, 0xffff_7000UL), (_machine.Context->Registers[0], _machine.Rsp));
        Assert.Equal(0, _machine.Selector(SegmentRegister.Fs));
        Assert.Equal(3u | Flags.NestedTask, _machine.Eflags);
        _machine.Context->Registers[0] = 0x9999_1234;
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal(0x1234, _machine.Read<ushort>(Layout.Task16 + 0x12));
        Assert.Equal(0x4322, _machine.Read<ushort>(Layout.Task16 + 0x0e));
        Assert.Equal(0x1111_1111UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void Virtual8086Task()
    {
        Prepare();
        _machine.Write(Layout.OtherTask + 0x24, 2u | Flags.Virtual8086);
        _machine.Write(Layout.OtherTask + 0x20, 0x1234u);
        _machine.Write(Layout.OtherTask + 0x4c, 0x7777u);
        Assert.True(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        Assert.True(_machine.Context->Virtual8086);
        Assert.Equal((3, 2, 0x77770UL), (_machine.Context->Cpl, _machine.Context->CodeSize, _machine.Context->SegmentBase[1]));
    }

    [Fact]
    public void TaskGateOutOfVirtual8086Mode()
    {
        Prepare();
        _machine.EnterVirtual8086(0);
        _machine.SetGate(6, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector, 0));
        Assert.True(_machine.Deliver(6, EventKind.Exception));
        Assert.Equal((0, false, true, 4), (_machine.Context->Cpl, _machine.Context->Virtual8086, _machine.Context->Protected, _machine.Context->CodeSize));
        Assert.Equal(0x1100u, _machine.Read<uint>(Layout.Task + 0x4c));
        Assert.NotEqual(0u, _machine.Read<uint>(Layout.Task + 0x24) & Flags.Virtual8086);
        Assert.True(_machine.Execute(0xcf));
        Assert.True(_machine.Context->Virtual8086);
        Assert.Equal((3, 0x1100, 0x100UL), (_machine.Context->Cpl, _machine.Selector(SegmentRegister.Cs), _machine.Context->Rip));
    }

    [Theory]
    [InlineData(0x48, 0x20d3, 10)]
    [InlineData(0x4c, Layout.KernelData, 10)]
    [InlineData(0x4c, Layout.UserCode & ~3, 10)]
    [InlineData(0x4c, 0, 10)]
    [InlineData(0x4c, Layout.AbsentCode, 11)]
    [InlineData(0x50, Layout.UserData, 10)]
    [InlineData(0x50, 0, 10)]
    [InlineData(0x50, Layout.AbsentData, 12)]
    [InlineData(0x54, Layout.ExecuteOnlyCode, 10)]
    [InlineData(0x54, Layout.AbsentData, 11)]
    [InlineData(0x60, Layout.KernelData, 10)]
    [InlineData(0x60, 0x4c, 10)]
    public void NewTaskFaults(uint offset, ushort selector, byte vector)
    {
        Prepare();
        _machine.Write(Layout.OtherTask + offset, (uint)selector);
        Assert.False(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        _machine.AssertFault(vector, selector & 0xfffcu);
        Assert.Equal((Layout.OtherTaskSelector, (ulong)Layout.Handler), (_machine.Context->TaskRegister.Selector, _machine.Context->Rip));
    }

    [Fact]
    public void OldTaskFaults()
    {
        Prepare();
        byte[] jump = [0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0];
        ulong d = _machine.GetDescriptor(Layout.OtherTaskSelector);
        _machine.SetDescriptor(Layout.OtherTaskSelector, d - 1);
        _machine.ExpectFault(10, Layout.OtherTaskSelector, jump);
        _machine.SetDescriptor(Layout.OtherTaskSelector, d & ~(1UL << 47));
        _machine.ExpectFault(11, Layout.OtherTaskSelector, jump);
        _machine.SetDescriptor(Layout.OtherTaskSelector, d | (2UL << 40));
        _machine.ExpectFault(13, Layout.OtherTaskSelector, jump);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector | 4, 0));
        _machine.ExpectFault(13, Layout.OtherTaskSelector | 4, 0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0);
        _machine.Eflags |= Flags.NestedTask;
        _machine.Write(Layout.Task, (ushort)0);
        _machine.ExpectFault(10, 0, 0xcf);
        _machine.Write(Layout.Task, Layout.Task16Selector);
        _machine.ExpectFault(10, Layout.Task16Selector, 0xcf);
    }

    [Fact]
    public void DebugTrapBit()
    {
        Prepare();
        _machine.Write(Layout.OtherTask + 0x64, 1u);
        _machine.Context->Dr7 = 0x455;
        Assert.True(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0));
        Assert.Equal(0x8000u, _machine.Context->PendingDebugTraps);
        Assert.Equal(0x400UL, _machine.Context->Dr7);
    }

    [Fact]
    public void NotInLongMode()
    {
        _machine.EnterLong(0, compatibility: true);
        _machine.ExpectFault(13, Layout.OtherTaskSelector, 0xea, 0, 0, 0, 0, (byte)Layout.OtherTaskSelector, 0);
    }

    private void Prepare()
    {
        _machine.EnterProtected(0);
        _machine.Eflags = 2 | Flags.Carry;
        _machine.Context->Registers[0] = 0x1111_1111;
        _machine.Write(Layout.Task + 0x48, 0xabcd_0000u);
        _machine.Write(Layout.OtherTask + 0x20, Layout.Handler);
        _machine.Write(Layout.OtherTask + 0x24, 2u | Flags.Zero);
        for (uint n = 0; n < 8; n++)
        {
            _machine.Write(Layout.OtherTask + 0x28 + (n * 4), 0x9000_0000u + n);
        }

        _machine.Write(Layout.OtherTask + 0x38, Layout.UserStack);
        _machine.Write(Layout.OtherTask + 0x48, (uint)Layout.KernelData);
        _machine.Write(Layout.OtherTask + 0x4c, (uint)Layout.KernelCode);
        _machine.Write(Layout.OtherTask + 0x50, (uint)Layout.KernelData);
        _machine.Write(Layout.OtherTask + 0x54, (uint)Layout.UserData);
        _machine.Write(Layout.OtherTask + 0x60, (uint)Layout.LocalTable);
    }

    private void AssertNewTask(bool nested)
    {
        Assert.Equal(Layout.OtherTaskSelector, _machine.Context->TaskRegister.Selector);
        Assert.Equal((ulong)Layout.Handler, _machine.Context->Rip);
        Assert.Equal(2u | Flags.Zero | (nested ? Flags.NestedTask : 0), _machine.Eflags);
        Assert.Equal((0x9000_0000UL, 0x9000_0007UL, (ulong)Layout.UserStack), (_machine.Context->Registers[0], _machine.Context->Registers[7], _machine.Rsp));
        Assert.Equal((Layout.KernelData, Layout.UserData, 0), (_machine.Selector(0), _machine.Selector(3), _machine.Selector(4)));
        Assert.NotEqual(0UL, _machine.Context->Cr0 & 8);
        Assert.True(_machine.Context->LocalDescriptorTable.IsUsable);
    }

    private uint Type(ushort selector) => (uint)(_machine.GetDescriptor(selector) >> 40) & 15;
}
