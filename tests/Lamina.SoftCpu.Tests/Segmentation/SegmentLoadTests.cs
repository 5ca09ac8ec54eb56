using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>MOV, POP, LES and their kin (Intel SDM volume 2; volume 3, section 5.6).</summary>
public sealed unsafe class SegmentLoadTests : IDisposable
{
    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(Layout.KernelData, 0)]
    [InlineData(Layout.UserData, 0)]
    [InlineData(Layout.UserData, 3)]
    [InlineData(Layout.KernelCode, 0)]
    [InlineData(Layout.ConformingCode, 3)]
    [InlineData(Layout.ReadOnlyData, 0)]
    [InlineData(Layout.Ring1Data, 1)]
    public void DataSegmentsLoad(ushort selector, byte cpl)
    {
        _machine.EnterProtected(cpl);
        _machine.Context->Registers[0] = selector;
        Assert.True(_machine.Execute(0x8e, 0xc0));
        Assert.Equal(selector, _machine.Selector(SegmentRegister.Es));
        Assert.True(_machine.Segment(SegmentRegister.Es).IsUsable);
        Assert.Equal(uint.MaxValue, _machine.Segment(SegmentRegister.Es).Limit);
        Assert.Equal(1UL, (_machine.GetDescriptor(selector) >> 40) & 1);
    }

    [Theory]
    [InlineData(Layout.KernelData, 3, 13)]
    [InlineData(Layout.KernelData | 3, 0, 13)]
    [InlineData(Layout.ExecuteOnlyCode, 0, 13)]
    [InlineData(Layout.TaskSelector, 0, 13)]
    [InlineData(Layout.OutsideGdt, 0, 13)]
    [InlineData(0x104, 0, 13)]
    [InlineData(Layout.AbsentData, 0, 11)]
    [InlineData(Layout.KernelCode, 3, 13)]
    public void DataSegmentsAreRefused(ushort selector, byte cpl, byte vector)
    {
        _machine.EnterProtected(cpl);
        _machine.Context->Registers[0] = selector;
        _machine.ExpectFault(vector, selector & 0xfffcu, 0x8e, 0xc0);
    }

    [Theory]
    [InlineData(Layout.KernelData, 0, null, null)]
    [InlineData(Layout.UserData, 3, null, null)]
    [InlineData(Layout.UserData, 0, 13, (uint)(Layout.UserData & 0xfffc))]
    [InlineData(Layout.KernelData | 3, 0, 13, (uint)Layout.KernelData)]
    [InlineData(Layout.ReadOnlyData, 0, 13, (uint)Layout.ReadOnlyData)]
    [InlineData(Layout.KernelCode, 0, 13, (uint)Layout.KernelCode)]
    [InlineData(Layout.AbsentData, 0, 12, (uint)Layout.AbsentData)]
    [InlineData(0, 0, 13, 0u)]
    [InlineData(3, 0, 13, 0u)]
    public void StackSegments(ushort selector, byte cpl, int? vector, uint? code)
    {
        _machine.EnterProtected(cpl);
        _machine.Context->Registers[0] = selector;
        if (vector is { } v)
        {
            _machine.ExpectFault((byte)v, code, 0x8e, 0xd0);
            Assert.False(_machine.Context->InterruptShadow);
        }
        else
        {
            Assert.True(_machine.Execute(0x8e, 0xd0));
            Assert.Equal(selector, _machine.Selector(SegmentRegister.Ss));
            Assert.True(_machine.Context->InterruptShadow);
            Assert.True(_machine.Context->StackSegmentShadow);
            Assert.NotEqual(0, _machine.Context->Attention & (int)AttentionBits.Step);
        }
    }

    [Fact]
    public void StackSizeFollowsTheDescriptor()
    {
        _machine.EnterProtected(0);
        _machine.Context->Registers[0] = Layout.Data16;
        Assert.True(_machine.Execute(0x8e, 0xd0));
        Assert.Equal(2, _machine.Context->StackSize);
    }

    [Fact]
    public void NullDataSegmentIsUnusable()
    {
        _machine.EnterProtected(0);
        _machine.Context->Registers[0] = 3;
        Assert.True(_machine.Execute(0x8e, 0xd8));
        Assert.Equal(3, _machine.Selector(SegmentRegister.Ds));
        Assert.False(_machine.Segment(SegmentRegister.Ds).IsUsable);
        Assert.False(GuestAccess.Load<byte>(_machine.Context, SegmentRegister.Ds, 0, out _));
        _machine.AssertFault(13, 0);
    }

    [Fact]
    public void LocalTableIsUsed()
    {
        _machine.EnterProtected(0);
        _machine.SetDescriptor(0x0c, Descriptors.Segment(0x1234_5678, 0x12, 0x92, 8));
        _machine.Context->Registers[0] = 0x0c;
        Assert.True(_machine.Execute(0x8e, 0xe0));
        Assert.Equal(0x1234_5678UL, _machine.Context->SegmentBase[SegmentRegister.Fs]);
        Assert.Equal(0x12fffu, _machine.Segment(SegmentRegister.Fs).Limit);
        _machine.Context->LocalDescriptorTable.Attributes |= SegmentCache.Unusable;
        _machine.ExpectFault(13, 0x0c, 0x8e, 0xe0);
    }

    [Fact]
    public void RealModeLoadKeepsLimitAndAttributes()
    {
        _machine.EnterReal();
        _machine.Segment(SegmentRegister.Ds).Limit = uint.MaxValue;
        _machine.Context->Registers[0] = 0xfedc;
        Assert.True(_machine.Execute(0x8e, 0xd8));
        Assert.Equal(0xfedc0UL, _machine.Context->SegmentBase[SegmentRegister.Ds]);
        Assert.Equal(uint.MaxValue, _machine.Segment(SegmentRegister.Ds).Limit);
    }

    [Fact]
    public void Virtual8086LoadSetsEverything()
    {
        _machine.EnterVirtual8086(0);
        _machine.Segment(SegmentRegister.Ds).Limit = uint.MaxValue;
        _machine.Context->Registers[0] = 0x1234;
        Assert.True(_machine.Execute(0x8e, 0xd8));
        Assert.Equal(new SegmentCache { Selector = 0x1234, Base = 0x12340, Limit = 0xffff, Attributes = 0xf3 }, _machine.Segment(SegmentRegister.Ds));
    }

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(3, 0, false)]
    [InlineData(1, 1, true)]
    [InlineData(0, 3, false)]
    [InlineData(3, 3, false)]
    public void NullStackInLongMode(ushort selector, byte cpl, bool allowed)
    {
        _machine.EnterLong(cpl);
        _machine.Context->Registers[0] = selector;
        if (!allowed)
        {
            _machine.ExpectFault(13, 0, 0x8e, 0xd0);
            return;
        }

        Assert.True(_machine.Execute(0x8e, 0xd0));
        Assert.Equal(8, _machine.Context->StackSize);
        Assert.False(_machine.Segment(SegmentRegister.Ss).IsUsable);
        Assert.Equal(cpl, _machine.Segment(SegmentRegister.Ss).Dpl);
    }

    [Fact]
    public void LongModeIgnoresBasesButOfFsAndGs()
    {
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0x1000, 0xfff, 0x92, 0));
        _machine.Context->Registers[0] = Layout.Free;
        Assert.True(_machine.Execute(0x8e, 0xd8));
        Assert.Equal(0UL, _machine.Context->SegmentBase[SegmentRegister.Ds]);
        Assert.True(_machine.Execute(0x8e, 0xe8));
        Assert.Equal(0x1000UL, _machine.Context->SegmentBase[SegmentRegister.Gs]);
        _machine.Context->Registers[0] = 0;
        Assert.True(_machine.Execute(0x8e, 0xe8));
        Assert.Equal(0UL, _machine.Context->SegmentBase[SegmentRegister.Gs]);
    }

    [Fact]
    public void FarPointersLoad()
    {
        _machine.EnterProtected(0);
        _machine.Write(Layout.Data, 0x8765_4321u);
        _machine.Write(Layout.Data + 4, Layout.UserData);
        _machine.Context->Registers[3] = Layout.Data;
        Assert.True(_machine.Execute(0xc4, 0x0b));
        Assert.Equal(0x8765_4321UL, _machine.Context->Registers[1]);
        Assert.Equal(Layout.UserData, _machine.Selector(SegmentRegister.Es));

        _machine.Write(Layout.Data + 4, Layout.AbsentData);
        _machine.ExpectFault(11, Layout.AbsentData, 0x0f, 0xb5, 0x0b);
        _machine.ExpectFault(12, Layout.AbsentData, 0x0f, 0xb2, 0x0b);
        _machine.Write(Layout.Data + 2, Layout.KernelData);
        Assert.True(_machine.Execute(0x66, 0x0f, 0xb2, 0x23));
        Assert.Equal(0x4321UL, _machine.Rsp & 0xffff);
        Assert.False(_machine.Context->InterruptShadow);
    }

    [Fact]
    public void FarPointerOf80Bits()
    {
        _machine.EnterLong(0);
        _machine.Write(Layout.Data, 0x1122_3344_5566_7788UL);
        _machine.Write(Layout.Data + 8, Layout.UserData);
        _machine.Context->Registers[3] = Layout.Data;
        Assert.True(_machine.Execute(0x48, 0x0f, 0xb4, 0x03));
        Assert.Equal(0x1122_3344_5566_7788UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void SelectorsAreStored()
    {
        _machine.EnterLong(3);
        _machine.Context->Registers[0] = ulong.MaxValue;
        Assert.True(_machine.Execute(0x8c, 0xd8));
        Assert.Equal(Layout.UserData, _machine.Context->Registers[0]);
        _machine.Context->Registers[0] = ulong.MaxValue;
        Assert.True(_machine.Execute(0x66, 0x8c, 0xd8));
        Assert.Equal(0xffff_ffff_ffff_0000UL | Layout.UserData, _machine.Context->Registers[0]);
        _machine.Write(Layout.Data, uint.MaxValue);
        _machine.Context->Registers[3] = Layout.Data;
        Assert.True(_machine.Execute(0x48, 0x8c, 0x1b));
        Assert.Equal(0xffff_0000u | Layout.UserData, _machine.Read<uint>(Layout.Data));
    }

    [Fact]
    public void PushAndPop()
    {
        _machine.EnterProtected(0);
        _machine.Write((uint)_machine.Rsp - 4, 0xaaaa_aaaau);
        uint top = (uint)_machine.Rsp;
        Assert.True(_machine.Execute(0x0e));
        Assert.Equal(top - 4, _machine.Rsp);
        Assert.Equal(0xaaaa_0000u | Layout.KernelCode, _machine.Read<uint>(top - 4));
        _machine.Write(top - 4, (uint)Layout.UserData);
        Assert.True(_machine.Execute(0x0f, 0xa9));
        Assert.Equal(top, _machine.Rsp);
        Assert.Equal(Layout.UserData, _machine.Selector(SegmentRegister.Gs));

        _machine.Write(top, (uint)Layout.AbsentData);
        _machine.ExpectFault(11, Layout.AbsentData, 0x1f);
        _machine.ExpectFault(12, Layout.AbsentData, 0x17);
        _machine.Write(top, (uint)Layout.Data16);
        Assert.True(_machine.Execute(0x17));
        Assert.Equal(top + 4, _machine.Rsp);
        Assert.Equal(2, _machine.Context->StackSize);
        Assert.True(_machine.Context->StackSegmentShadow);
    }

    [Fact]
    public void AccessedBitNeedsAWritablePage()
    {
        _machine.EnterLong(0);
        _machine.Context->Cr0 |= 0x1_0000;
        ulong entry = Layout.PageTables + 0x3000 + 7UL;
        _machine.Write(Layout.PageTables + 0x2000, entry);
        for (uint n = 0; n < 512; n++)
        {
            _machine.Write(Layout.PageTables + 0x3000 + n * 8, (n << 12) | (n << 12 == Layout.Gdt ? 5UL : 7UL));
        }

        MemoryUnit.FlushTlb(_machine.Context);
        _machine.Context->Registers[0] = Layout.UserData;
        _machine.ExpectFault(Fault.PageFaultVector, 3, 0x8e, 0xd8);
        Assert.Equal(Layout.Gdt + (Layout.UserData & 0xfff8u) + 5, _machine.Context->Cr2);
    }
}
