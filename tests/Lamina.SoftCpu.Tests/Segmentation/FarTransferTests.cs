using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>Far JMP, CALL and RET, and call gates (Intel SDM volume 3, section 5.8).</summary>
public sealed unsafe class FarTransferTests : IDisposable
{
    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void RealModeJumpCallAndReturn()
    {
        _machine.EnterReal();
        Assert.True(_machine.Execute(0x9a, 0x34, 0x12, 0x78, 0x56));
        Assert.Equal((0x5678, 0x1234UL, 0x56780UL), (_machine.Selector(1), _machine.Context->Rip, _machine.Context->SegmentBase[1]));
        Assert.Equal(0x7ffcUL, _machine.Rsp);
        Assert.Equal(0x1000_0105u, _machine.Read<uint>(0x7ffc));
        Assert.True(_machine.Execute(0xca, 0x04, 0x00));
        Assert.Equal((0x1000, 0x105UL), (_machine.Selector(1), _machine.Context->Rip));
        Assert.Equal(0x8004UL, _machine.Rsp);
        Assert.True(_machine.Execute(0xea, 0x01, 0x00, 0x00, 0x20));
        Assert.Equal((0x2000, 1UL), (_machine.Selector(1), _machine.Context->Rip));
        _machine.ExpectFault(13, 0, 0x66, 0xea, 0x00, 0x00, 0x01, 0x00, 0x00, 0x20);
        _machine.Rsp = 2;
        _machine.ExpectFault(12, 0, 0x66, 0x9a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20);
    }

    [Theory]
    [InlineData(Layout.KernelCode, 0, null)]
    [InlineData(Layout.ConformingCode, 3, null)]
    [InlineData(Layout.ConformingCode | 3, 0, null)]
    [InlineData(Layout.UserCode, 3, null)]
    [InlineData(Layout.Code16, 0, null)]
    [InlineData(Layout.UserCode, 0, 13)]
    [InlineData(Layout.KernelCode | 3, 0, 13)]
    [InlineData(Layout.KernelCode, 3, 13)]
    [InlineData(Layout.KernelData, 0, 13)]
    [InlineData(Layout.AbsentCode, 0, 11)]
    [InlineData(Layout.OutsideGdt, 0, 13)]
    [InlineData(Layout.LocalTable, 0, 13)]
    [InlineData(0, 0, 13)]
    public void ProtectedJump(ushort selector, byte cpl, int? vector)
    {
        _machine.EnterProtected(cpl);
        byte[] jump = [0xea, 0x00, 0x80, 0x00, 0x00, (byte)selector, (byte)(selector >> 8)];
        if (vector is { } v)
        {
            _machine.ExpectFault((byte)v, selector & 0xfffcu, jump);
            return;
        }

        Assert.True(_machine.Execute(jump));
        Assert.Equal((selector & ~3) | cpl, _machine.Selector(1));
        Assert.Equal(cpl, _machine.Context->Cpl);
        Assert.Equal(0x8000UL, _machine.Context->Rip);
        Assert.Equal(selector == Layout.Code16 ? 2 : 4, _machine.Context->CodeSize);
        Assert.Equal(1UL, (_machine.GetDescriptor(selector) >> 40) & 1);
    }

    [Fact]
    public void JumpBeyondTheLimit()
    {
        _machine.EnterProtected(0);
        _machine.ExpectFault(13, 0, 0xea, 0x00, 0x00, 0x01, 0x00, (byte)Layout.Code16, 0);
    }

    [Fact]
    public void CallAndReturnAtTheSameLevel()
    {
        _machine.EnterProtected(3);
        uint top = (uint)_machine.Rsp;
        Assert.True(_machine.Execute(0x9a, 0x00, 0x80, 0x00, 0x00, (byte)Layout.UserCode, 0));
        Assert.Equal(top - 8, _machine.Rsp);
        Assert.Equal(Layout.Code + 7, _machine.Read<uint>(top - 8));
        Assert.Equal(Layout.UserCode, _machine.Read<uint>(top - 4));
        Assert.True(_machine.Execute(0xcb));
        Assert.Equal(Layout.Code + 7, _machine.Context->Rip);
        Assert.Equal(top, _machine.Rsp);
    }

    [Theory]
    [InlineData(DescriptorType.CallGate, 4, 3)]
    [InlineData(DescriptorType.CallGate16, 2, 2)]
    public void CallGateToInnerLevelCopiesParameters(uint type, int size, int count)
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(type, 3, Layout.KernelCode, Layout.Handler & (size == 2 ? 0xffffu : ~0u), count));
        uint top = (uint)_machine.Rsp;
        for (uint n = 0; n < count; n++)
        {
            _machine.Write(top + n * (uint)size, 0x1111_0000u + n + 1);
        }

        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0));
        Assert.Equal((Layout.KernelCode, Layout.KernelData), (_machine.Selector(1), _machine.Selector(2)));
        Assert.Equal(0, _machine.Context->Cpl);
        Assert.Equal(size == 2 ? Layout.Handler & 0xffff : Layout.Handler, _machine.Context->Rip);
        ulong[] expected = count == 3
            ? [Layout.Code + 7, Layout.UserCode, 0x1111_0001, 0x1111_0002, 0x1111_0003, top, Layout.UserData]
            : [(Layout.Code + 7) & 0xffff, Layout.UserCode, 1, 2, top & 0xffff, Layout.UserData];
        if (count == 2)
        {
            // Sixteen-bit slots: the words written above overlap.
            expected[2] = _machine.Read<ushort>(top);
            expected[3] = _machine.Read<ushort>(top + 2);
        }

        Assert.Equal(Layout.KernelStack - (uint)(expected.Length * size), _machine.Rsp);
        for (int n = 0; n < expected.Length; n++)
        {
            ulong at = _machine.Rsp + (ulong)(n * size);
            Assert.Equal(expected[n], size == 2 ? _machine.Read<ushort>(at) : _machine.Read<uint>(at));
        }

        // And back, releasing the parameters on both stacks. DS, which the outer level may see, stays; ES does not.
        _machine.Context->Registers[0] = Layout.KernelData;
        Assert.True(_machine.Execute(0x8e, 0xc0));
        byte[] release = size == 2 ? [0x66, 0xca, (byte)(count * size), 0] : [0xca, (byte)(count * size), 0];
        if (size == 4)
        {
            Assert.True(_machine.Execute(release));
            Assert.Equal((Layout.UserCode, Layout.UserData, 3), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl));
            Assert.Equal(Layout.Code + 7, _machine.Context->Rip);
            Assert.Equal(top + (uint)(count * size), _machine.Rsp);
            Assert.Equal((0, Layout.UserData), (_machine.Selector(0), _machine.Selector(3)));
            Assert.False(_machine.Segment(0).IsUsable);
        }
    }

    [Theory]
    [InlineData(2, Layout.KernelCode, true, 13, (uint)Layout.Free)]
    [InlineData(3, Layout.KernelCode, false, 11, (uint)Layout.Free)]
    [InlineData(3, 0, true, 13, 0u)]
    [InlineData(3, Layout.OutsideGdt, true, 13, (uint)Layout.OutsideGdt)]
    [InlineData(3, Layout.KernelData, true, 13, (uint)Layout.KernelData)]
    [InlineData(3, Layout.AbsentCode, true, 11, (uint)Layout.AbsentCode)]
    public void CallGateFaults(int dpl, ushort target, bool present, byte vector, uint code)
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, dpl, target, Layout.Handler, 0, present));
        _machine.ExpectFault(vector, code, 0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0);
    }

    [Theory]
    [InlineData(0, 10, 0u)]
    [InlineData(Layout.OutsideGdt, 10, (uint)Layout.OutsideGdt)]
    [InlineData(Layout.UserData, 10, (uint)(Layout.UserData & 0xfffc))]
    [InlineData(Layout.KernelData | 1, 10, (uint)Layout.KernelData)]
    [InlineData(Layout.ReadOnlyData, 10, (uint)Layout.ReadOnlyData)]
    [InlineData(Layout.AbsentData, 12, (uint)Layout.AbsentData)]
    [InlineData(Layout.SmallStack, 12, (uint)Layout.SmallStack)]
    public void InnerStackFaults(ushort stack, byte vector, uint code)
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, Layout.Handler, 1));
        _machine.Write(Layout.Task + 4, 0x10u);
        _machine.Write(Layout.Task + 8, stack);
        _machine.ExpectFault(vector, code, 0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0);
    }

    [Fact]
    public void TaskStateTooSmallForTheStack()
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, Layout.Handler));
        _machine.Context->TaskRegister.Limit = 8;
        _machine.ExpectFault(10, Layout.TaskSelector, 0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0);
        _machine.Context->TaskRegister.Limit = 9;
        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0));
    }

    [Fact]
    public void GateToConformingCodeKeepsTheLevel()
    {
        _machine.EnterProtected(3);
        uint top = (uint)_machine.Rsp;
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.ConformingCode, Layout.Handler, 5));
        Assert.True(_machine.Execute(0x9a, 0, 0, 0, 0, (byte)Layout.Free, 0));
        Assert.Equal((Layout.ConformingCode | 3, 3), (_machine.Selector(1), _machine.Context->Cpl));
        Assert.Equal(top - 8, _machine.Rsp);
        _machine.EnterProtected(3);
        Assert.True(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.Free, 0));
        Assert.Equal((ulong)Layout.Handler, _machine.Context->Rip);
        Assert.Equal(top, _machine.Rsp);
    }

    [Fact]
    public void JumpThroughAGateCannotGoInwards()
    {
        _machine.EnterProtected(3);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, Layout.Handler));
        _machine.ExpectFault(13, Layout.KernelCode, 0xea, 0, 0, 0, 0, (byte)Layout.Free, 0);
    }

    [Theory]
    [InlineData(Layout.KernelCode, 13)]
    [InlineData(0, 13)]
    [InlineData(Layout.UserData, 13)]
    [InlineData(Layout.AbsentCode | 3, 13)]
    public void ReturnFaults(ushort selector, byte vector)
    {
        _machine.EnterProtected(3);
        _machine.Write(_machine.Rsp + 4, (uint)selector);
        _machine.ExpectFault(vector, selector & 0xfffcu, 0xcb);
    }

    [Theory]
    [InlineData(0, 13)]
    [InlineData(Layout.KernelData, 13)]
    [InlineData(Layout.UserCode, 13)]
    [InlineData(Layout.UserData & ~3, 13)]
    public void OuterReturnChecksTheStack(ushort stack, byte vector)
    {
        _machine.EnterProtected(0);
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Code);
        _machine.Write(top + 4, (uint)Layout.UserCode);
        _machine.Write(top + 8, Layout.UserStack);
        _machine.Write(top + 12, (uint)stack);
        _machine.ExpectFault(vector, stack & 0xfffcu, 0xcb);
    }

    [Fact]
    public void OuterReturnToASmallStackSetsSpOnly()
    {
        _machine.EnterProtected(0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0x10000, 0xffff, 0xf2, 0));
        ulong top = _machine.Rsp;
        _machine.Write(top, Layout.Code);
        _machine.Write(top + 4, (uint)Layout.UserCode);
        _machine.Write(top + 8, 0x1234_5678u);
        _machine.Write(top + 12, (uint)Layout.Free | 3);
        Assert.True(_machine.Execute(0xcb));
        Assert.Equal((top & 0xffff_0000) | 0x5678, _machine.Rsp);
    }

    [Fact]
    public void LongModeFarTransfers()
    {
        _machine.EnterLong(0);
        ulong top = _machine.Rsp;
        _machine.Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data, (ulong)Layout.Handler);
        _machine.Write(Layout.Data + 8, Layout.LongCode);
        Assert.True(_machine.Execute(0x48, 0xff, 0x1b));
        Assert.Equal(top - 16, _machine.Rsp);
        Assert.Equal((ulong)Layout.Code + 3, _machine.Read<ulong>(top - 16));
        Assert.Equal(Layout.LongCode, _machine.Read<ulong>(top - 8));
        Assert.True(_machine.Execute(0x48, 0xcb));
        Assert.Equal(((ulong)Layout.Code + 3, top), (_machine.Context->Rip, _machine.Rsp));

        _machine.Write(Layout.Data, 0x8000_0000_0000UL);
        _machine.ExpectFault(13, 0, 0x48, 0xff, 0x2b);
        _machine.Write(Layout.Data, (ulong)Layout.KernelCode << 32 | Layout.Handler);
        Assert.True(_machine.Execute(0xff, 0x2b));
        Assert.Equal((4, 4, (ulong)Layout.Handler), (_machine.Context->CodeSize, _machine.Context->StackSize, _machine.Context->Rip));
        Assert.True(_machine.Execute(0xea, 0x10, 0x00, 0x00, 0x00, (byte)Layout.LongCode, 0));
        Assert.Equal((8, 0x10UL), (_machine.Context->CodeSize, _machine.Context->Rip));
    }

    [Fact]
    public void LongModeCallGate()
    {
        _machine.EnterLong(3);
        ulong top = _machine.Rsp;
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.LongCode, 0x8000_1234));
        _machine.SetDescriptor(Layout.Free + 8, 0xffff_8000);
        _machine.Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data + 4, Layout.Free);
        Assert.True(_machine.Execute(0xff, 0x1b));
        Assert.Equal(0xffff_8000_8000_1234, _machine.Context->Rip);
        Assert.Equal((Layout.LongCode, 0, 0), (_machine.Selector(1), _machine.Selector(2), _machine.Context->Cpl));
        Assert.Equal(Layout.KernelStack - 32UL, _machine.Rsp);
        ulong[] expected = [Layout.Code + 2, Layout.LongUserCode, top, Layout.UserData];
        for (int n = 0; n < 4; n++)
        {
            Assert.Equal(expected[n], _machine.Read<ulong>(_machine.Rsp + (ulong)(n * 8)));
        }

        Assert.True(_machine.Execute(0x48, 0xcb));
        Assert.Equal((3, top, (ulong)Layout.Code + 2), (_machine.Context->Cpl, _machine.Rsp, _machine.Context->Rip));

        _machine.SetDescriptor(Layout.Free + 8, 0xffff_8000 | (1UL << 40));
        _machine.ExpectFault(13, Layout.Free, 0xff, 0x1b);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, Layout.KernelCode, 0));
        _machine.SetDescriptor(Layout.Free + 8, 0);
        _machine.ExpectFault(13, Layout.KernelCode, 0xff, 0x1b);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate16, 3, Layout.LongCode, 0));
        _machine.ExpectFault(13, Layout.Free, 0xff, 0x1b);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.TaskGate, 3, Layout.OtherTaskSelector, 0));
        _machine.ExpectFault(13, Layout.Free, 0xff, 0x1b);
    }

    [Fact]
    public void JumpWithLAndDIsRefusedInLongModeOnly()
    {
        _machine.EnterLong(0, compatibility: true);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0, 0xf_ffff, 0x9a, 0xe));
        _machine.ExpectFault(13, Layout.Free, 0xea, 0, 0, 0, 0, (byte)Layout.Free, 0);
        _machine.EnterProtected(0);
        Assert.True(_machine.Execute(0xea, 0, 0, 0, 0, (byte)Layout.Free, 0));
        Assert.Equal(4, _machine.Context->CodeSize);
    }

    [Fact]
    public void ReturnToOuterLongCodeWithANullStackIsForInnerLevelsOnly()
    {
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0, 0xf_ffff, 0xba, 0xa));
        ulong top = _machine.Rsp;
        _machine.Write(top, (ulong)Layout.Handler);
        _machine.Write(top + 8, (ulong)Layout.LongUserCode);
        _machine.Write(top + 16, (ulong)Layout.UserStack);
        _machine.Write(top + 24, 0UL);
        _machine.ExpectFault(13, 0, 0x48, 0xcb);
        _machine.Write(top + 8, (ulong)Layout.Free | 1);
        _machine.Write(top + 24, 1UL);
        Assert.True(_machine.Execute(0x48, 0xcb));
        Assert.Equal((1, 1), (_machine.Context->Cpl, _machine.Selector(SegmentRegister.Ss)));
    }
}
