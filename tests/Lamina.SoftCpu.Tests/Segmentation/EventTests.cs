using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Delivery of exceptions and interrupts (Intel SDM volume 3, chapter 6; volume 2, INT n).</summary>
public sealed unsafe class EventTests : IDisposable
{
    private const uint AllCleared = Flags.Trap | Flags.NestedTask | Flags.Resume | Flags.Virtual8086;

    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void RealMode()
    {
        _machine.EnterReal();
        _machine.Write(0x21 * 4, 0x2000_0010u);
        _machine.Eflags = Flags.Interrupt | Flags.Trap | Flags.AlignmentCheck | Flags.Carry | Flags.IoPrivilege | Flags.NestedTask | 2;
        Assert.True(_machine.Execute(0xcd, 0x21));
        Assert.Equal((0x2000, 0x10UL), (_machine.Selector(1), _machine.Context->Rip));
        Assert.Equal(Flags.Carry | Flags.IoPrivilege | Flags.NestedTask | 2, _machine.Eflags);
        Assert.Equal(0x7ffaUL, _machine.Rsp);
        Assert.Equal((0x102, 0x1000, 0x7303), (_machine.Read<ushort>(0x7ffa), _machine.Read<ushort>(0x7ffc), _machine.Read<ushort>(0x7ffe)));
    }

    [Fact]
    public void RealModeExceptionHasNoErrorCode()
    {
        _machine.EnterReal();
        _machine.Write(13 * 4, 0x2000_0010u);
        Assert.True(_machine.Deliver(13, EventKind.Exception, true, 0x1234));
        Assert.Equal(0x7ffaUL, _machine.Rsp);
        Assert.Equal(0x100, _machine.Read<ushort>(0x7ffa));
    }

    [Fact]
    public void RealModeTableLimit()
    {
        _machine.EnterReal();
        _machine.Context->IdtLimit = 13 * 4 + 3;
        _machine.ExpectFault(13, 0, 0xcd, 0x21);
        _machine.Context->IdtLimit = 8 * 4 + 2;
        Assert.False(_machine.Deliver(13, EventKind.Exception, true, 0));
        Assert.Equal(HandlerOutcome.Shutdown, _machine.Context->Outcome);
    }

    [Theory]
    [InlineData(DescriptorType.InterruptGate, false, 4)]
    [InlineData(DescriptorType.TrapGate, true, 4)]
    [InlineData(DescriptorType.InterruptGate16, false, 2)]
    [InlineData(DescriptorType.TrapGate16, true, 2)]
    public void ProtectedInnerGate(uint type, bool interruptsStay, int size)
    {
        _machine.EnterProtected(3);
        _machine.Eflags = 2 | Flags.Interrupt | Flags.Trap | Flags.NestedTask | Flags.Zero | Flags.AlignmentCheck;
        _machine.SetGate(13, Descriptors.Gate(type, 0, Layout.KernelCode, Layout.Handler));
        Assert.True(_machine.Deliver(13, EventKind.Exception, true, 0x1234));
        Assert.Equal((Layout.KernelCode, Layout.KernelData, 0), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl));
        Assert.Equal(size == 4 ? Layout.Handler : Layout.Handler & 0xffff, _machine.Context->Rip);
        Assert.Equal(2 | Flags.Zero | Flags.AlignmentCheck | (interruptsStay ? Flags.Interrupt : 0), _machine.Eflags);
        uint pushedFlags = 2 | Flags.Interrupt | Flags.Trap | Flags.NestedTask | Flags.Zero | Flags.AlignmentCheck | Flags.Resume;
        AssertStack(size, 0x1234, Layout.Code, Layout.UserCode, pushedFlags, Layout.UserStack, Layout.UserData);
        Assert.Equal(Layout.KernelStack - (ulong)(6 * size), _machine.Rsp);
    }

    [Fact]
    public void ProtectedSameLevelGate()
    {
        _machine.EnterProtected(0);
        ulong top = _machine.Rsp;
        _machine.SetGate(0x80, Descriptors.Gate(DescriptorType.TrapGate, 0, Layout.KernelCode, Layout.Handler));
        Assert.True(_machine.Execute(0xcd, 0x80));
        Assert.Equal(top - 12, _machine.Rsp);
        AssertStack(4, Layout.Code + 2, Layout.KernelCode, 2);
    }

    [Theory]
    [InlineData(EventKind.Exception, 1u)]
    [InlineData(EventKind.ExternalInterrupt, 1u)]
    [InlineData(EventKind.NonMaskable, 1u)]
    [InlineData(EventKind.PrivilegedSoftwareException, 1u)]
    [InlineData(EventKind.SoftwareInterrupt, 0u)]
    internal void ExternalBit(EventKind kind, uint external)
    {
        _machine.EnterProtected(0);
        _machine.SetGate(0x40, Descriptors.Gate(DescriptorType.TrapGate, 0, Layout.AbsentCode, Layout.Handler));
        Assert.False(Events.TryDeliver(_machine.Context, 0x40, kind, false, 0, 0));
        _machine.AssertFault(11, Layout.AbsentCode | external);
        _machine.SetGate(0x40, 0);
        Assert.False(Events.TryDeliver(_machine.Context, 0x40, kind, false, 0, 0));
        _machine.AssertFault(13, 0x202 | external);
    }

    [Fact]
    public void SoftwareInterruptsCheckTheGate()
    {
        _machine.EnterProtected(3);
        _machine.SetGate(3, Descriptors.Gate(DescriptorType.TrapGate, 0, Layout.KernelCode, Layout.Handler));
        _machine.SetGate(4, Descriptors.Gate(DescriptorType.TrapGate, 2, Layout.KernelCode, Layout.Handler));
        _machine.SetGate(1, Descriptors.Gate(DescriptorType.TrapGate, 0, Layout.KernelCode, Layout.Handler));
        _machine.ExpectFault(13, 0x1a, 0xcc);
        _machine.ExpectFault(13, 0x1a, 0xcd, 0x03);
        Assert.True(_machine.Execute(0xce));
        _machine.Eflags |= Flags.Overflow;
        _machine.ExpectFault(13, 0x22, 0xce);
    }

    [Fact]
    public void Int1IgnoresThePrivilegeOfTheGate()
    {
        _machine.EnterProtected(3);
        _machine.SetGate(1, Descriptors.Gate(DescriptorType.TrapGate, 0, Layout.KernelCode, Layout.Handler));
        Assert.True(_machine.Execute(0xf1));
        AssertStack(4, Layout.Code + 1, Layout.UserCode, 2, Layout.UserStack, Layout.UserData);
    }

    [Theory]
    [InlineData(Layout.UserCode, 0, 13, (uint)(Layout.UserCode & 0xfffc))]
    [InlineData(0, 0, 13, 0u)]
    [InlineData(Layout.KernelData, 0, 13, (uint)Layout.KernelData)]
    [InlineData(Layout.OutsideGdt, 0, 13, (uint)Layout.OutsideGdt)]
    [InlineData(Layout.AbsentCode, 0, 11, (uint)Layout.AbsentCode)]
    public void GateTargets(ushort target, byte cpl, byte vector, uint code)
    {
        _machine.EnterProtected(cpl);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.TrapGate, 3, target, Layout.Handler));
        _machine.ExpectFault(vector, code, 0xcd, 0x30);
    }

    [Fact]
    public void ConformingHandlerKeepsTheLevel()
    {
        _machine.EnterProtected(3);
        _machine.SetGate(0x30, Descriptors.Gate(DescriptorType.TrapGate, 3, Layout.ConformingCode, Layout.Handler));
        Assert.True(_machine.Execute(0xcd, 0x30));
        Assert.Equal((Layout.ConformingCode | 3, 3), (_machine.Selector(1), _machine.Context->Cpl));
        AssertStack(4, Layout.Code + 2, Layout.UserCode, 2);
    }

    [Fact]
    public void Virtual8086()
    {
        _machine.EnterVirtual8086(3);
        _machine.SetGate(0x21, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler));
        Assert.True(_machine.Execute(0xcd, 0x21));
        Assert.Equal((0, false, true, 4), (_machine.Context->Cpl, _machine.Context->Virtual8086, _machine.Context->Protected, _machine.Context->CodeSize));
        Assert.Equal(2u | Flags.IoPrivilege, _machine.Eflags);
        AssertStack(4, 0x102, 0x1100, 2u | Flags.Virtual8086 | Flags.Interrupt | Flags.IoPrivilege, 0x200, 0x1200, 0x1000, 0x1300, 0x1400, 0x1500);
        Assert.Equal(Layout.KernelStack - 36UL, _machine.Rsp);
        foreach (int n in new[] { 0, 3, 4, 5 })
        {
            Assert.Equal(0, _machine.Selector(n));
            Assert.False(_machine.Segment(n).IsUsable);
        }

        Assert.True(_machine.Execute(0xcf));
        Assert.True(_machine.Context->Virtual8086);
        Assert.Equal((0x1100, 0x1200, 0x1000, 0x1300, 0x1400, 0x1500), (_machine.Selector(1), _machine.Selector(2), _machine.Selector(0), _machine.Selector(3), _machine.Selector(4), _machine.Selector(5)));
        Assert.Equal((0x200UL, 0x102UL, 2), (_machine.Rsp, _machine.Context->Rip, _machine.Context->CodeSize));
        Assert.Equal(2u | Flags.Virtual8086 | Flags.Interrupt | Flags.IoPrivilege, _machine.Eflags);
    }

    [Fact]
    public void Virtual8086NeedsIoplForIntN()
    {
        _machine.EnterVirtual8086(2);
        _machine.SetGate(3, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler));
        _machine.ExpectFault(13, 0, 0xcd, 0x03);
        _machine.ExpectFault(13, 0, 0xcf);
        Assert.True(_machine.Execute(0xcc));
    }

    [Theory]
    [InlineData(Layout.ConformingCode)]
    [InlineData(Layout.UserCode)]
    [InlineData(Layout.Ring1Code)]
    public void Virtual8086HandlersAreAtLevelZero(ushort target)
    {
        _machine.EnterVirtual8086(3);
        _machine.SetGate(0x21, Descriptors.Gate(DescriptorType.InterruptGate, 3, target, Layout.Handler));
        _machine.ExpectFault(13, target & 0xfffcu, 0xcd, 0x21);
    }

    [Theory]
    [InlineData(EventKind.Exception, 13, true)]
    [InlineData(EventKind.Exception, 1, false)]
    [InlineData(EventKind.ExternalInterrupt, 0x40, false)]
    internal void ResumeFlagIsPushedForFaults(EventKind kind, byte vector, bool resume)
    {
        _machine.EnterLong(3);
        _machine.SetLongGate(vector, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler);
        Assert.True(_machine.Deliver(vector, kind));
        Assert.Equal(2u | (resume ? Flags.Resume : 0), _machine.Read<ulong>(_machine.Rsp + 16));
        Assert.Equal(0u, _machine.Eflags & AllCleared);
    }

    [Theory]
    [InlineData(3, 0)]
    [InlineData(3, 1)]
    [InlineData(0, 0)]
    [InlineData(0, 1)]
    public void LongMode(byte cpl, int interruptStack)
    {
        _machine.EnterLong(cpl);
        _machine.Rsp -= 5;
        ulong rsp = _machine.Rsp;
        ushort cs = _machine.Selector(1);
        ushort ss = _machine.Selector(2);
        _machine.Eflags = 2 | Flags.Interrupt | Flags.Trap | Flags.NestedTask | Flags.AlignmentCheck;
        uint pushed = _machine.Eflags | Flags.Resume;
        _machine.Context->WatchesInstructions = true;
        _machine.SetLongGate(14, DescriptorType.InterruptGate, 0, Layout.LongCode, 0xffff_ffff_8000_1234, interruptStack);
        Assert.True(_machine.Deliver(14, EventKind.Exception, true, 7));
        ulong start = interruptStack != 0 ? Layout.InterruptStack : cpl == 3 ? Layout.KernelStack : rsp & ~15UL;
        Assert.Equal(start - 48, _machine.Rsp);
        ulong[] expected = [7, Layout.Code, cs, pushed, rsp, ss];
        for (int n = 0; n < 6; n++)
        {
            Assert.Equal(expected[n], _machine.Read<ulong>(_machine.Rsp + (ulong)(n * 8)));
        }

        Assert.Equal((0xffff_ffff_8000_1234UL, Layout.LongCode, 0), (_machine.Context->Rip, _machine.Selector(1), _machine.Context->Cpl));
        Assert.Equal(cpl == 3 ? 0 : ss, _machine.Selector(2));
        Assert.Equal(2u | Flags.AlignmentCheck, _machine.Eflags);

        _machine.Rsp += 8;
        Assert.True(_machine.Execute(0x48, 0xcf));
        Assert.Equal((rsp, (ulong)Layout.Code, cs, ss, cpl), (_machine.Rsp, _machine.Context->Rip, _machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl));
        Assert.Equal(pushed, _machine.Eflags);
    }

    [Fact]
    public void LongModeFromCompatibility()
    {
        _machine.EnterLong(3, compatibility: true);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate, 3, Layout.LongCode, Layout.Handler);
        Assert.True(_machine.Execute(0xcd, 0x80));
        Assert.Equal((8, 8, 0), (_machine.Context->CodeSize, _machine.Context->StackSize, _machine.Context->Cpl));
        Assert.True(_machine.Execute(0x48, 0xcf));
        Assert.Equal((4, 4, Layout.UserCode, Layout.Code + 2UL), (_machine.Context->CodeSize, _machine.Context->StackSize, _machine.Selector(1), _machine.Context->Rip));
    }

    [Fact]
    public void LongModeGateFaults()
    {
        _machine.EnterLong(3);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate, 3, Layout.KernelCode, Layout.Handler);
        _machine.ExpectFault(13, Layout.KernelCode, 0xcd, 0x80);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate16, 3, Layout.LongCode, Layout.Handler);
        _machine.ExpectFault(13, 0x402, 0xcd, 0x80);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate, 3, Layout.LongCode, 0x8000_0000_0000);
        _machine.ExpectFault(13, 0, 0xcd, 0x80);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate, 3, Layout.LongCode, Layout.Handler, present: false);
        _machine.ExpectFault(11, 0x402, 0xcd, 0x80);
        _machine.SetLongGate(0x80, DescriptorType.TrapGate, 3, Layout.LongCode, Layout.Handler, stack: 7);
        _machine.Write(Layout.Task + 0x54, 0x8000_0000_1000UL);
        _machine.ExpectFault(12, 0, 0xcd, 0x80);
        _machine.Context->TaskRegister.Limit = 0x5a;
        _machine.ExpectFault(10, Layout.LongTask, 0xcd, 0x80);
        _machine.Context->IdtLimit = 0x80f - 1;
        _machine.ExpectFault(13, 0x402, 0xcd, 0x80);
    }

    [Fact]
    public void NonMaskableBlocksUntilReturn()
    {
        _machine.EnterLong(0);
        _machine.SetLongGate(2, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler);
        _machine.Context->InterruptShadow = true;
        Assert.True(_machine.Deliver(2, EventKind.NonMaskable));
        Assert.True(_machine.Context->NonMaskableBlocked);
        Assert.False(_machine.Context->InterruptShadow);
        Assert.True(_machine.Execute(0x48, 0xcf));
        Assert.False(_machine.Context->NonMaskableBlocked);
    }

    [Fact]
    public void DebugExceptionClearsGeneralDetect()
    {
        _machine.EnterLong(0);
        _machine.Context->Dr7 = 0x2400;
        _machine.SetLongGate(1, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler);
        Assert.True(_machine.Deliver(1, EventKind.Exception));
        Assert.Equal(0x400UL, _machine.Context->Dr7);
    }

    [Fact]
    public void SingleStepDoesNotFollowIntoTheHandler()
    {
        _machine.EnterLong(0);
        _machine.SetLongGate(3, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler);
        _machine.Eflags |= Flags.Trap;
        Assert.True(_machine.Execute(0xcc));
        Assert.Equal(HandlerOutcome.Continue, _machine.Context->Outcome);
        Assert.Equal((ulong)Layout.Handler, _machine.Context->Rip);
        Assert.Equal(Layout.Code + 1UL, _machine.Read<ulong>(_machine.Rsp));
    }

    private void AssertStack(int size, params uint[] expected)
    {
        for (int n = 0; n < expected.Length; n++)
        {
            uint found = size == 2 ? _machine.Read<ushort>(_machine.Rsp + (ulong)(n * 2)) : _machine.Read<uint>(_machine.Rsp + (ulong)(n * 4));
            Assert.Equal(size == 2 ? (ushort)expected[n] : expected[n], found);
        }
    }
}
