using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Which check of several comes first, and what privileged instructions check at all: what the executable model of the manuals' pseudo-code has found (docs/verification.md).</summary>
public sealed unsafe class CheckOrderTests : IDisposable
{
    private const uint Smap = 1 << 21;
    private const uint Umip = 1 << 11;
    private const ulong NotCanonical = 0x0000_8000_0000_0000;

    private readonly SegmentedMachine _machine = new();

    private ProcessorContext* Context => _machine.Context;

    public void Dispose() => _machine.Dispose();

    // Intel SDM volume 2, CALL, "NONCONFORMING-CODE-SEGMENT": #SS(0), then #GP(0) for the offset.
    [Fact]
    public void AFarCallLooksForRoomBeforeItsTarget()
    {
        _machine.EnterProtected(0);
        _machine.Rsp = 4;
        _machine.Segment(SegmentRegister.Ss).Limit = 0x1000;
        _machine.ExpectFault(12, 0, 0x9a, 0x00, 0x00, 0x01, 0x00, (byte)Layout.Code16, 0);
    }

    // The same in virtual-8086 mode, with a stack that has room for one of two words.
    [Fact]
    public void AFarCallOfVirtual8086ModePushesBothOrNone()
    {
        const ushort kept = 0x1234;
        _machine.EnterVirtual8086(3);
        _machine.Rsp = 3;
        uint top = (uint)_machine.Segment(SegmentRegister.Ss).Base;
        _machine.Write(top + 1, kept);
        _machine.ExpectFault(12, 0, 0x9a, 0x00, 0x01, 0x00, 0x10);
        Assert.Equal(kept, _machine.Read<ushort>(top + 1));
    }

    // "MORE-PRIVILEGE", a 64-bit gate: #SS for the new stack, then #GP(0) for the gate's address.
    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void ACallThroughAGateOf64BitsLooksAtTheStackBeforeItsTarget(byte cpl)
    {
        _machine.EnterLong(cpl);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.LongCode, 0));
        _machine.SetDescriptor(Layout.Free + 8, NotCanonical >> 32);
        Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data + 4, Layout.Free);
        _machine.ExpectFault(13, 0, 0xff, 0x1b);
        _machine.Write(Layout.Task + 4, NotCanonical + 0x100);
        _machine.Rsp = cpl == 0 ? NotCanonical + 0x100 : _machine.Rsp;
        _machine.ExpectFault(12, 0, 0xff, 0x1b);
    }

    // Volume 2, INT n, "INTRA-PRIVILEGE-LEVEL-INTERRUPT" and "INTER-PRIVILEGE-LEVEL-INTERRUPT".
    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void AnInterruptOfLongModeLooksAtTheStackBeforeItsHandler(byte cpl)
    {
        _machine.EnterLong(cpl);
        _machine.SetLongGate(0x80, DescriptorType.InterruptGate, 3, Layout.LongCode, NotCanonical);
        _machine.ExpectFault(13, 0, 0xcd, 0x80);
        _machine.Write(Layout.Task + 4, NotCanonical + 0x100);
        _machine.Rsp = cpl == 0 ? NotCanonical + 0x100 : _machine.Rsp;
        _machine.ExpectFault(12, 0, 0xcd, 0x80);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void AHandlerBeyondItsSegmentLeavesTheStackAsItIs(byte cpl)
    {
        const uint kept = 0x1234_5678;
        _machine.EnterProtected(cpl);
        _machine.SetGate(0x80, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.Code16, 0x1_0000));
        uint top = cpl == 0 ? (uint)_machine.Rsp : _machine.Read<uint>(Layout.Task + 4);
        _machine.Write(top - 4, kept);
        _machine.ExpectFault(13, 0, 0xcd, 0x80);
        Assert.Equal(kept, _machine.Read<uint>(top - 4));
    }

    [Fact]
    public void ACallGateBeyondItsSegmentLeavesTheStackAsItIs()
    {
        const uint kept = 0x1234_5678;
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.Code16, 0x1_0000));
        uint top = _machine.Read<uint>(Layout.Task + 4);
        _machine.Write(top - 4, kept);
        _machine.ExpectFault(13, 0, 0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0);
        Assert.Equal(kept, _machine.Read<uint>(top - 4));
    }

    // Volume 3, section 4.6.1: what the program's own CALL pushes is an explicit access, which RFLAGS.AC opens user pages to.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AFarCallPushesAsAProgramDoes(bool throughGate)
    {
        const uint pages = 0x80;
        const int user = 7;
        _machine.EnterLong(0);
        _machine.EnablePaging();
        uint stack = (uint)_machine.Rsp >> 12;
        for (uint page = 0; page < pages; page++)
        {
            _machine.SetPage(page, page == stack || page == stack - 1 ? user : user & ~4u);
        }

        Context->Cr4 |= Smap;
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.LongCode, Layout.Handler));
        Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data, Layout.Handler);
        _machine.Write(Layout.Data + 4, throughGate ? Layout.Free : Layout.LongCode);
        ProcessorMode.Update(Context);
        _machine.ExpectFault(14, 3, 0xff, 0x1b);
        _machine.Eflags |= Flags.AlignmentCheck;
        ProcessorMode.Update(Context);
        Assert.True(_machine.Execute(0xff, 0x1b));
        Assert.Equal((ulong)Layout.Handler, Context->Rip);
    }

    [Fact]
    public void AFarCallHasItsStacksAlignmentChecked()
    {
        _machine.EnterLong(3);
        Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data, Layout.Handler);
        _machine.Write(Layout.Data + 4, Layout.LongUserCode);
        _machine.Rsp++;
        Context->Cr0 |= 1 << 18;
        _machine.Eflags |= Flags.AlignmentCheck;
        ProcessorMode.Update(Context);
        _machine.ExpectFault(17, 0, 0xff, 0x1b);
    }

    // Volume 3, table 6-7; AMD processors do so, also for pointers of 80 bits.
    [Theory]
    [InlineData("660fb50b", 2, 1)]
    [InlineData("0fb50b", 4, 2)]
    [InlineData("480fb50b", 4, 2)]
    public void FarPointersAreAlignedToTwoOrFourBytes(string load, int aligned, int misaligned)
    {
        byte[] code = Convert.FromHexString(load);
        _machine.EnterLong(3);
        Context->Cr0 |= 1 << 18;
        _machine.Eflags |= Flags.AlignmentCheck;
        ProcessorMode.Update(Context);
        Context->Registers[3] = Layout.Data + (uint)misaligned;
        _machine.ExpectFault(17, 0, code);
        Context->Registers[3] = Layout.Data + (uint)aligned;
        Assert.True(_machine.Execute(code));
    }

    [Fact]
    public void AFrameThatIsReturnedFromIsAligned()
    {
        _machine.EnterLong(3);
        _machine.Rsp = Layout.UserStack + 4;
        _machine.Write(_machine.Rsp, (ulong)Layout.Handler);
        _machine.Write(_machine.Rsp + 8, (ulong)Layout.LongUserCode);
        _machine.Write(_machine.Rsp + 16, 2UL);
        _machine.Write(_machine.Rsp + 24, (ulong)Layout.UserStack);
        _machine.Write(_machine.Rsp + 32, (ulong)Layout.UserData);
        Context->Cr0 |= 1 << 18;
        _machine.Eflags |= Flags.AlignmentCheck;
        ProcessorMode.Update(Context);
        _machine.ExpectFault(17, 0, 0x48, 0xcf);
        _machine.Eflags &= ~Flags.AlignmentCheck;
        ProcessorMode.Update(Context);
        Assert.True(_machine.Execute(0x48, 0xcf));
    }

    // Volume 2, INT n, "TASK-GATE": the error code is pushed, and then EIP looked at. The new task has what is wrong then.
    [Fact]
    public void ATaskIsGivenItsErrorCodeBeforeItsAddressIsLookedAt()
    {
        const uint code = 0x1234;
        const uint beyond = 0x2_0000;
        _machine.EnterProtected(0);
        _machine.SetGate(13, Descriptors.Gate(DescriptorType.TaskGate, 0, Layout.OtherTaskSelector, 0));
        _machine.Write(Layout.OtherTask + 0x20, beyond);
        _machine.Write(Layout.OtherTask + 0x24, 2u);
        _machine.Write(Layout.OtherTask + 0x38, Layout.KernelStack);
        _machine.Write(Layout.OtherTask + 0x4c, (uint)Layout.Code16);
        _machine.Write(Layout.OtherTask + 0x50, (uint)Layout.KernelData);
        Assert.False(Events.TryDeliver(Context, 13, EventKind.Exception, true, code, Context->Rip));
        _machine.AssertFault(13, 1);
        Assert.Equal((Layout.KernelStack - 4UL, code), (_machine.Rsp, _machine.Read<uint>(Layout.KernelStack - 4)));
        Assert.Equal(Layout.OtherTaskSelector, Context->TaskRegister.Selector);
    }

    // Volume 2, SMSW: CR4.UMIP counts in virtual-8086 mode, too.
    [Fact]
    public void TheMachineStatusWordIsHiddenFromVirtual8086Mode()
    {
        _machine.EnterVirtual8086(3);
        Instruction smsw = new() { ModRm = 0xe0, OperandSize = 2 };
        Assert.True(ControlRegisterHandlers.StoreMachineStatus(Context, &smsw));
        Context->Cr4 |= Umip;
        Assert.False(ControlRegisterHandlers.StoreMachineStatus(Context, &smsw));
        _machine.AssertFault(13, 0);
    }

    // Volume 3, section 9.8.5.
    [Theory]
    [InlineData(0x83u, false)]
    [InlineData(0x8bu, true)]
    public void LongModeIsNotEnteredWithATaskOf16Bits(uint attributes, bool enters)
    {
        const ulong pae = 0x20;
        const ulong longModeEnable = 0x100;
        const ulong paging = 0x8000_0011;
        _machine.EnterProtected(0);
        Context->TaskRegister.Attributes = attributes;
        Context->Efer = longModeEnable;
        Context->Cr4 = pae;
        Context->Cr3 = Layout.PageTables;
        Assert.Equal(enters, ControlRegisterHandlers.WriteCr0(Context, paging));
        Assert.Equal(enters, Context->LongMode);
    }
}
