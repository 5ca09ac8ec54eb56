using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>IRET (Intel SDM volume 2).</summary>
public sealed unsafe class InterruptReturnTests : IDisposable
{
    private const uint AllFlags = 0x3f_7fd7;

    private readonly SegmentedMachine _machine = new();

    // RF is kept only while it means something.
    public InterruptReturnTests() => _machine.Context->WatchesInstructions = true;

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void RealMode()
    {
        _machine.EnterReal();
        _machine.Write(0x8000, 0x3000_0040u);
        _machine.Write(0x8004, (ushort)0xffff);
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal((0x3000, 0x40UL, 0x8006UL), (_machine.Selector(1), _machine.Context->Rip, _machine.Rsp));
        Assert.Equal(0x7fd7u, _machine.Eflags);
        _machine.Eflags = 2;
        _machine.Rsp = 0x8000;
        _machine.Write(0x8000, 0x40u);
        _machine.Write(0x8004, 0x3000u);
        _machine.Write(0x8008, uint.MaxValue);
        Assert.True(_machine.Execute(0x66, 0xcf));
        Assert.Equal(0x25_7fd7u, _machine.Eflags);
        _machine.Write(0x800c, 0x1_0000u);
        _machine.ExpectFault(13, 0, 0x66, 0xcf);
    }

    [Theory]
    [InlineData(3, 0, AllFlags & ~(Flags.IoPrivilege | Flags.Interrupt | Flags.VirtualInterrupt | Flags.VirtualInterruptPending | Flags.Virtual8086))]
    [InlineData(3, 3, AllFlags & ~(Flags.VirtualInterrupt | Flags.VirtualInterruptPending | Flags.Virtual8086))]
    [InlineData(1, 1, (AllFlags & ~(Flags.IoPrivilege | Flags.VirtualInterrupt | Flags.VirtualInterruptPending | Flags.Virtual8086)) | 0x1000)]
    [InlineData(0, 0, AllFlags & ~Flags.Virtual8086)]
    public void ProtectedSameLevelFlags(byte cpl, int iopl, uint expected)
    {
        _machine.EnterProtected(cpl);
        _machine.Eflags = 2u | ((uint)iopl << 12);
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Handler);
        _machine.Write(top + 4, (uint)_machine.Selector(1));
        _machine.Write(top + 8, uint.MaxValue & (cpl == 0 ? ~Flags.Virtual8086 : uint.MaxValue));
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal(expected, _machine.Eflags);
        Assert.Equal((top + 12, (ulong)Layout.Handler, cpl), (_machine.Rsp, _machine.Context->Rip, _machine.Context->Cpl));
    }

    [Fact]
    public void SixteenBitImageLeavesTheUpperFlags()
    {
        _machine.EnterProtected(0);
        _machine.Eflags = 2 | Flags.Identification | Flags.AlignmentCheck;
        ulong top = _machine.Rsp;
        _machine.Write(top, (ushort)0x1234);
        _machine.Write(top + 2, Layout.KernelCode);
        _machine.Write(top + 4, (ushort)0xbfd7);
        Assert.True(_machine.Execute(0x66, 0xcf));
        Assert.Equal(0x24_3fd7u, _machine.Eflags);
        Assert.Equal(0x1234UL, _machine.Context->Rip);
    }

    [Fact]
    public void ProtectedOuterReturn()
    {
        _machine.EnterProtected(0);
        _machine.Eflags = 2u;
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Code);
        _machine.Write(top + 4, (uint)Layout.UserCode);
        _machine.Write(top + 8, 2u | Flags.Interrupt);
        _machine.Write(top + 12, Layout.UserStack);
        _machine.Write(top + 16, (uint)Layout.UserData);
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal((3, (ulong)Layout.UserStack, Layout.UserData), (_machine.Context->Cpl, _machine.Rsp, _machine.Selector(2)));
        Assert.Equal(2u | Flags.Interrupt, _machine.Eflags);
        foreach (int n in new[] { 0, 3, 4, 5 })
        {
            Assert.False(_machine.Segment(n).IsUsable);
        }
    }

    [Fact]
    public void ToVirtual8086ChecksIp()
    {
        _machine.EnterProtected(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, 0x1_0000u);
        _machine.Write(top + 8, 2u | Flags.Virtual8086);
        _machine.ExpectFault(13, 0, 0xcf);
    }

    [Fact]
    public void VmIsIgnoredAboveLevelZero()
    {
        _machine.EnterProtected(1);
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Code);
        _machine.Write(top + 4, (uint)Layout.Ring1Code);
        _machine.Write(top + 8, 2u | Flags.Virtual8086);
        Assert.True(_machine.Execute(0xcf));
        Assert.False(_machine.Context->Virtual8086);
    }

    [Theory]
    [InlineData(3, 2u | Flags.IoPrivilege, 0x25_7fd7u | Flags.IoPrivilege | Flags.Virtual8086)]
    public void Virtual8086(int iopl, uint before, uint after)
    {
        _machine.EnterVirtual8086(iopl);
        _machine.Eflags = before | Flags.Virtual8086;
        uint top = 0x12000 + 0x200;
        _machine.Write(top, 0x40u);
        _machine.Write(top + 4, 0x3000u);
        _machine.Write(top + 8, 0xffff_cfffu);
        Assert.True(_machine.Execute(0x66, 0xcf));
        Assert.Equal(after, _machine.Eflags);
        Assert.Equal((0x3000, 0x40UL, 0x20cUL), (_machine.Selector(1), _machine.Context->Rip, _machine.Rsp));
    }

    [Fact]
    public void ResumeFlagIsDroppedWithoutBreakpoints()
    {
        _machine.Context->WatchesInstructions = false;
        _machine.EnterProtected(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Handler);
        _machine.Write(top + 4, (uint)Layout.KernelCode);
        _machine.Write(top + 8, 2u | Flags.Resume);
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal(2u, _machine.Eflags);
    }

    [Fact]
    public void NestedTaskInLongMode()
    {
        _machine.EnterLong(0);
        _machine.Eflags |= Flags.NestedTask;
        _machine.ExpectFault(13, 0, 0x48, 0xcf);
        _machine.ExpectFault(13, 0, 0xcf);
    }

    [Fact]
    public void LongModeFaults()
    {
        _machine.EnterLong(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, 0x8000_0000_0000UL);
        _machine.Write(top + 8, (ulong)Layout.LongUserCode);
        _machine.Write(top + 16, 2UL);
        _machine.Write(top + 24, (ulong)Layout.UserStack);
        _machine.Write(top + 32, (ulong)Layout.UserData);
        _machine.ExpectFault(13, 0, 0x48, 0xcf);
        _machine.Write(top, (ulong)Layout.Code);
        _machine.Write(top + 32, 0UL);
        _machine.ExpectFault(13, 0, 0x48, 0xcf);
        _machine.Write(top + 32, (ulong)Layout.KernelData);
        _machine.ExpectFault(13, Layout.KernelData, 0x48, 0xcf);
        _machine.Rsp = 0x7fff_ffff_fff0;
        _machine.ExpectFault(12, 0, 0x48, 0xcf);
    }

    [Fact]
    public void OuterReturnKeepsTheBaseOfADroppedSegment()
    {
        _machine.EnterLong(0);
        _machine.Segment(SegmentRegister.Gs).Base = 0xffff_8000_0000_0000;
        ProcessorMode.Update(_machine.Context);
        ulong top = _machine.Rsp;
        _machine.Write(top, (ulong)Layout.Code);
        _machine.Write(top + 8, (ulong)Layout.LongUserCode);
        _machine.Write(top + 16, 2UL);
        _machine.Write(top + 24, (ulong)Layout.UserStack);
        _machine.Write(top + 32, (ulong)Layout.UserData);
        Assert.True(_machine.Execute(0x48, 0xcf));
        Assert.Equal((0, 3), (_machine.Selector(SegmentRegister.Gs), _machine.Context->Cpl));
        Assert.Equal(0xffff_8000_0000_0000UL, _machine.Context->SegmentBase[SegmentRegister.Gs]);
    }

    [Fact]
    public void LongModeReturnsToANullStackOfTheSameLevel()
    {
        _machine.EnterLong(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, (ulong)Layout.Handler);
        _machine.Write(top + 8, (ulong)Layout.LongCode);
        _machine.Write(top + 16, 0x2UL | Flags.Interrupt | Flags.Resume);
        _machine.Write(top + 24, 0xffff_8000_0000_1234UL);
        _machine.Write(top + 32, 0UL);
        Assert.True(_machine.Execute(0x48, 0xcf));
        Assert.Equal((0xffff_8000_0000_1234UL, 0, 0), (_machine.Rsp, _machine.Selector(2), _machine.Context->Cpl));
        Assert.Equal(2u | Flags.Interrupt | Flags.Resume, _machine.Eflags);
        Assert.Equal(0, _machine.Segment(SegmentRegister.Ss).Dpl);
    }

    [Fact]
    public void ThirtyTwoBitFormInLongModePopsTheStackToo()
    {
        _machine.EnterLong(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Handler);
        _machine.Write(top + 4, (uint)Layout.LongCode);
        _machine.Write(top + 8, 2u | Flags.Virtual8086);
        _machine.Write(top + 12, 0x1234u);
        _machine.Write(top + 16, (uint)Layout.KernelData);
        Assert.True(_machine.Execute(0xcf));
        Assert.Equal((0x1234UL, (ulong)Layout.Handler, 2u), (_machine.Rsp, _machine.Context->Rip, _machine.Eflags));
    }
}
