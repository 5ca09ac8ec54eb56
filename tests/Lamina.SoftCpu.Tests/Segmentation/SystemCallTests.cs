using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT and SWAPGS (Intel SDM volume 2).</summary>
public sealed unsafe class SystemCallTests : IDisposable
{
    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void SyscallAndSysret()
    {
        _machine.EnterLong(3);
        _machine.Context->Star = 0x0023_0010_0000_0000;
        _machine.Context->Lstar = 0xffff_ffff_8000_0000;
        _machine.Context->Fmask = Flags.Interrupt | Flags.Direction | Flags.AlignmentCheck;
        _machine.Eflags = 2 | Flags.Interrupt | Flags.Direction | Flags.AlignmentCheck | Flags.Carry | Flags.Resume;
        Assert.True(_machine.Execute(0x0f, 0x05));
        Assert.Equal((0xffff_ffff_8000_0000UL, (ulong)Layout.Code + 2), (_machine.Context->Rip, _machine.Context->Registers[1]));
        Assert.Equal((ulong)(2 | Flags.Interrupt | Flags.Direction | Flags.AlignmentCheck | Flags.Carry), _machine.Context->Registers[11]);
        Assert.Equal(2u | Flags.Carry, _machine.Eflags);
        Assert.Equal(new SegmentCache { Selector = 0x10, Limit = uint.MaxValue, Attributes = 0xa09b }, _machine.Segment(SegmentRegister.Cs));
        Assert.Equal(new SegmentCache { Selector = 0x18, Limit = uint.MaxValue, Attributes = 0xc093 }, _machine.Segment(SegmentRegister.Ss));
        Assert.Equal((0, 8), (_machine.Context->Cpl, _machine.Context->CodeSize));

        _machine.Context->Registers[11] = ~(ulong)Flags.Trap;
        Assert.True(_machine.Execute(0x48, 0x0f, 0x07));
        Assert.Equal(0x3c_7ed7u, _machine.Eflags);
        Assert.Equal(new SegmentCache { Selector = 0x33, Limit = uint.MaxValue, Attributes = 0xa0fb }, _machine.Segment(SegmentRegister.Cs));
        Assert.Equal(new SegmentCache { Selector = 0x2b, Limit = uint.MaxValue, Attributes = 0xc0f3 }, _machine.Segment(SegmentRegister.Ss));
        Assert.Equal((3, Layout.Code + 2UL), (_machine.Context->Cpl, _machine.Context->Rip));
    }

    [Fact]
    public void SysretToCompatibility()
    {
        _machine.EnterLong(0);
        _machine.Context->Star = 0x0023_0010_0000_0000;
        _machine.Context->Registers[1] = 0x1_0000_1234;
        Assert.True(_machine.Execute(0x0f, 0x07));
        Assert.Equal((0x23, 4, 4, 0x1234UL), (_machine.Selector(1), _machine.Context->CodeSize, _machine.Context->StackSize, _machine.Context->Rip));
        Assert.Equal(0xc0fbu, _machine.Segment(SegmentRegister.Cs).Attributes);
    }

    [Fact]
    public void SysretWithTrapFlagTrapsAtOnce()
    {
        _machine.EnterLong(0);
        _machine.Context->Registers[1] = Layout.Handler;
        _machine.Context->Registers[11] = Flags.Trap | 2;
        Assert.False(_machine.Execute(0x48, 0x0f, 0x07));
        Assert.Equal(HandlerOutcome.Trap, _machine.Context->Outcome);
        _machine.AssertFault(1, null);
        Assert.Equal(0x4000UL, _machine.Context->Dr6 & 0x4000);
        Assert.Equal((3, (ulong)Layout.Handler), (_machine.Context->Cpl, _machine.Context->Rip));
    }

    [Fact]
    public void SyscallFaults()
    {
        _machine.EnterLong(3);
        _machine.ExpectFault(13, 0, 0x48, 0x0f, 0x07);
        _machine.Context->Efer &= ~1UL;
        _machine.ExpectFault(6, null, 0x0f, 0x05);
        _machine.ExpectFault(6, null, 0x48, 0x0f, 0x07);
        _machine.EnterLong(0);
        _machine.Context->Registers[1] = 0x8000_0000_0000;
        _machine.ExpectFault(13, 0, 0x48, 0x0f, 0x07);
        _machine.EnterLong(3, compatibility: true);
        _machine.ExpectFault(6, null, 0x0f, 0x05);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void SysenterAndSysexit(bool longMode)
    {
        if (longMode)
        {
            _machine.EnterLong(3);
        }
        else
        {
            _machine.EnterProtected(3);
        }

        _machine.Context->SysenterCs = 0x1_0043;
        _machine.Context->SysenterEsp = 0xffff_8000_0000_1000;
        _machine.Context->SysenterEip = 0xffff_8000_0000_2000;
        _machine.Eflags = 2 | Flags.Interrupt | Flags.Trap;
        Assert.True(_machine.Execute(0x0f, 0x34));
        Assert.Equal((0x40, 0x48, 0, longMode ? 8 : 4), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl, _machine.Context->CodeSize));
        Assert.Equal(longMode ? 0xffff_8000_0000_1000 : 0x1000UL, _machine.Rsp);
        Assert.Equal(longMode ? 0xffff_8000_0000_2000 : 0x2000UL, _machine.Context->Rip);
        Assert.Equal(2u | Flags.Trap, _machine.Eflags);

        _machine.Context->Registers[1] = 0x1_0000_3000;
        _machine.Context->Registers[2] = 0x1_0000_4000;
        Assert.True(_machine.Execute(0x0f, 0x35));
        Assert.Equal((0x53, 0x5b, 3, 4), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl, _machine.Context->CodeSize));
        Assert.Equal((0x3000UL, 0x4000UL), (_machine.Rsp, _machine.Context->Rip));
        _machine.ExpectFault(13, 0, 0x0f, 0x35);
    }

    [Fact]
    public void SysexitTo64Bits()
    {
        _machine.EnterLong(0);
        _machine.Context->SysenterCs = 0x40;
        _machine.Context->Registers[1] = 0x7000_0000_3000;
        _machine.Context->Registers[2] = 0x8000_0000_0000;
        _machine.ExpectFault(13, 0, 0x48, 0x0f, 0x35);
        _machine.Context->Registers[2] = 0x7000_0000_4000;
        Assert.True(_machine.Execute(0x48, 0x0f, 0x35));
        Assert.Equal((0x63, 0x6b, 3, 8), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl, _machine.Context->CodeSize));
        Assert.Equal((0x7000_0000_3000UL, 0x7000_0000_4000UL), (_machine.Rsp, _machine.Context->Rip));
    }

    [Fact]
    public void SysenterNeedsASelectorAndProtectedMode()
    {
        _machine.EnterProtected(3);
        _machine.Context->SysenterCs = 3;
        _machine.ExpectFault(13, 0, 0x0f, 0x34);
        _machine.EnterReal();
        _machine.Context->SysenterCs = 8;
        _machine.ExpectFault(13, 0, 0x0f, 0x34);
    }

    [Fact]
    public void SysenterLeavesVirtual8086()
    {
        _machine.EnterVirtual8086(0);
        _machine.Context->SysenterCs = 8;
        _machine.Context->SysenterEip = 0x1234;
        Assert.True(_machine.Execute(0x0f, 0x34));
        Assert.Equal((false, true, 4, 0), (_machine.Context->Virtual8086, _machine.Context->Protected, _machine.Context->CodeSize, _machine.Context->Cpl));
    }

    [Fact]
    public void SwapGs()
    {
        _machine.EnterLong(0);
        _machine.Context->KernelGsBase = 0xffff_8000_0000_0000;
        _machine.Segment(SegmentRegister.Gs).Base = 0x1234;
        Assert.True(_machine.Execute(0x0f, 0x01, 0xf8));
        Assert.Equal((0x1234UL, 0xffff_8000_0000_0000UL, 0xffff_8000_0000_0000UL), (_machine.Context->KernelGsBase, _machine.Segment(SegmentRegister.Gs).Base, _machine.Context->SegmentBase[SegmentRegister.Gs]));
        _machine.EnterLong(3);
        _machine.ExpectFault(13, 0, 0x0f, 0x01, 0xf8);
    }
}
