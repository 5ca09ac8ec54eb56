using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>LGDT to STR, LAR to ARPL, and the I/O permission map (Intel SDM volume 2; volume 1, section 19.5).</summary>
public sealed unsafe class SystemRegisterTests : IDisposable
{
    private const ulong Umip = 1 << 11;

    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void TableRegisters()
    {
        _machine.EnterProtected(0);
        _machine.Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data, 0x8765_4321_1234UL);
        _machine.Write(Layout.Data + 4, 0x8765u);
        Assert.True(_machine.Execute(0x0f, 0x01, 0x13));
        Assert.Equal((0x8765_4321UL, 0x1234), (_machine.Context->GdtBase, _machine.Context->GdtLimit));
        Assert.True(_machine.Execute(0x66, 0x0f, 0x01, 0x1b));
        Assert.Equal((0x65_4321UL, 0x1234), (_machine.Context->IdtBase, _machine.Context->IdtLimit));
        _machine.Write(Layout.Data, ulong.MaxValue);
        Assert.True(_machine.Execute(0x0f, 0x01, 0x03));
        Assert.Equal(0xffff_8765_4321_1234UL, _machine.Read<ulong>(Layout.Data));
        _machine.EnterProtected(3);
        _machine.ExpectFault(13, 0, 0x0f, 0x01, 0x13);
        Assert.True(_machine.Execute(0x0f, 0x01, 0x0d, 0, 0, 5, 0));
        _machine.Context->Cr4 |= Umip;
        _machine.ExpectFault(13, 0, 0x0f, 0x01, 0x0d, 0, 0, 5, 0);
        _machine.ExpectFault(13, 0, 0x0f, 0x01, 0x05, 0, 0, 5, 0);
    }

    [Fact]
    public void TableRegistersOf64Bits()
    {
        _machine.EnterLong(0);
        _machine.Context->Registers[3] = Layout.Data;
        _machine.Write(Layout.Data, (ushort)0x7f);
        _machine.Write(Layout.Data + 2, 0xffff_fe00_0000_1000UL);
        Assert.True(_machine.Execute(0x0f, 0x01, 0x1b));
        Assert.Equal((0xffff_fe00_0000_1000UL, 0x7f), (_machine.Context->IdtBase, _machine.Context->IdtLimit));
        _machine.Write(Layout.Data + 2, 0x8000_0000_0000UL);
        _machine.ExpectFault(13, 0, 0x0f, 0x01, 0x1b);
        Assert.True(_machine.Execute(0x0f, 0x01, 0x0b));
        Assert.Equal(0xffff_fe00_0000_1000UL, _machine.Read<ulong>(Layout.Data + 2));
    }

    [Theory]
    [InlineData(Layout.TaskSelector, 13, (uint)Layout.TaskSelector)]
    [InlineData(0, 13, 0u)]
    [InlineData(0x4c, 13, 0x4cu)]
    [InlineData(Layout.KernelData, 13, (uint)Layout.KernelData)]
    [InlineData(Layout.OutsideGdt, 13, (uint)Layout.OutsideGdt)]
    [InlineData(Layout.OtherTaskSelector, null, null)]
    [InlineData(Layout.Task16Selector, null, null)]
    public void LoadTask(ushort selector, int? vector, uint? code)
    {
        _machine.EnterProtected(0);
        _machine.Context->Registers[0] = selector;
        if (vector is { } v)
        {
            _machine.ExpectFault((byte)v, code, 0x0f, 0x00, 0xd8);
            return;
        }

        Assert.True(_machine.Execute(0x0f, 0x00, 0xd8));
        Assert.Equal(selector, _machine.Context->TaskRegister.Selector);
        Assert.Equal(2UL, (_machine.GetDescriptor(selector) >> 40) & 2);
        Assert.True(_machine.Execute(0x0f, 0x00, 0xc9));
        Assert.Equal(selector, _machine.Context->Registers[1]);
    }

    [Fact]
    public void LoadTaskOfLongMode()
    {
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0x1234_5678, 0x67, 0x89, 0));
        _machine.SetDescriptor(Layout.Free + 8, 0xffff_8000);
        _machine.Context->Registers[0] = Layout.Free;
        Assert.True(_machine.Execute(0x0f, 0x00, 0xd8));
        Assert.Equal(0xffff_8000_1234_5678UL, _machine.Context->TaskRegister.Base);
        _machine.Context->Registers[0] = Layout.Task16Selector;
        _machine.ExpectFault(13, Layout.Task16Selector, 0x0f, 0x00, 0xd8);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0x1234_5678, 0x67, 0x82, 0));
        _machine.Context->Registers[0] = Layout.Free;
        Assert.True(_machine.Execute(0x0f, 0x00, 0xd0));
        Assert.Equal(0xffff_8000_1234_5678UL, _machine.Context->LocalDescriptorTable.Base);
        _machine.SetDescriptor(Layout.Free + 8, 0x8000);
        _machine.ExpectFault(13, Layout.Free, 0x0f, 0x00, 0xd0);
    }

    [Fact]
    public void LoadLocalTable()
    {
        _machine.EnterProtected(0);
        Assert.True(_machine.Execute(0x0f, 0x00, 0xd0));
        Assert.False(_machine.Context->LocalDescriptorTable.IsUsable);
        _machine.Context->Registers[0] = Layout.LocalTable;
        Assert.True(_machine.Execute(0x0f, 0x00, 0xd0));
        Assert.True(_machine.Context->LocalDescriptorTable.IsUsable);
        _machine.SetDescriptor(Layout.Free, Descriptors.Segment(0, 0x67, 0x02, 0));
        _machine.Context->Registers[0] = Layout.Free;
        _machine.ExpectFault(11, Layout.Free, 0x0f, 0x00, 0xd0);
        _machine.EnterProtected(3);
        _machine.ExpectFault(13, 0, 0x0f, 0x00, 0xd0);
        _machine.ExpectFault(13, 0, 0x0f, 0x00, 0xd8);
        Assert.True(_machine.Execute(0x0f, 0x00, 0xc0));
        Assert.Equal(Layout.LocalTable, _machine.Context->Registers[0]);
        _machine.Context->Cr4 |= Umip;
        _machine.ExpectFault(13, 0, 0x0f, 0x00, 0xc0);
        _machine.ExpectFault(13, 0, 0x0f, 0x00, 0xc8);
    }

    [Theory]
    [InlineData(0xc0)]
    [InlineData(0xc8)]
    [InlineData(0xd0)]
    [InlineData(0xd8)]
    [InlineData(0xe0)]
    [InlineData(0xe8)]
    public void Group6IsUndefinedOutsideProtectedMode(byte modRm)
    {
        _machine.EnterReal();
        _machine.ExpectFault(6, null, 0x0f, 0x00, modRm);
        _machine.EnterVirtual8086(3);
        _machine.ExpectFault(6, null, 0x0f, 0x00, modRm);
        _machine.ExpectFault(6, null, 0x0f, 0x02, 0xc0);
        _machine.ExpectFault(6, null, 0x63, 0xc0);
    }

    [Theory]
    [InlineData(Layout.KernelCode, 0, true, 0x00cf_9a00u, uint.MaxValue)]
    [InlineData(Layout.UserData, 3, true, 0x00cf_f200u, uint.MaxValue)]
    [InlineData(Layout.KernelData, 3, false, 0u, 0u)]
    [InlineData(Layout.KernelData | 1, 0, false, 0u, 0u)]
    [InlineData(Layout.ConformingCode, 3, true, 0x00cf_9e00u, uint.MaxValue)]
    [InlineData(Layout.AbsentData, 0, true, 0x00cf_1200u, uint.MaxValue)]
    [InlineData(Layout.LocalTable, 0, true, 0x8200u, 0xffu)]
    [InlineData(Layout.Task16Selector, 0, true, 0x8100u, 0x2bu)]
    [InlineData(0, 0, false, 0u, 0u)]
    [InlineData(Layout.OutsideGdt, 0, false, 0u, 0u)]
    public void AccessRightsAndLimit(ushort selector, byte cpl, bool visible, uint rights, uint limit)
    {
        _machine.EnterProtected(cpl);
        _machine.Eflags = 2u | (visible ? 0 : Flags.Zero) | Flags.Carry | Flags.Overflow;
        _machine.Context->Registers[0] = selector;
        _machine.Context->Registers[1] = 0x5555;
        Assert.True(_machine.Execute(0x0f, 0x02, 0xc8));
        Assert.Equal(2u | (visible ? Flags.Zero : 0) | Flags.Carry | Flags.Overflow, _machine.Eflags);
        Assert.Equal(visible ? rights : 0x5555u, _machine.Context->Registers[1]);
        _machine.Context->Registers[1] = 0x5555;
        Assert.True(_machine.Execute(0x0f, 0x03, 0xc8));
        Assert.Equal(visible ? limit : 0x5555u, _machine.Context->Registers[1]);
    }

    [Fact]
    public void GatesHaveRightsButNoLimit()
    {
        _machine.EnterProtected(0);
        _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 0, Layout.KernelCode, 0));
        _machine.Context->Registers[0] = Layout.Free;
        Assert.True(_machine.Execute(0x0f, 0x02, 0xc8));
        Assert.NotEqual(0u, _machine.Eflags & Flags.Zero);
        Assert.True(_machine.Execute(0x0f, 0x03, 0xc8));
        Assert.Equal(0u, _machine.Eflags & Flags.Zero);
        _machine.EnterLong(0);
        _machine.Context->Registers[0] = Layout.Task16Selector;
        Assert.True(_machine.Execute(0x0f, 0x02, 0xc8));
        Assert.Equal(0u, _machine.Eflags & Flags.Zero);
    }

    [Theory]
    [InlineData(Layout.KernelData, 0, true, true)]
    [InlineData(Layout.KernelData, 3, false, false)]
    [InlineData(Layout.UserData, 3, true, true)]
    [InlineData(Layout.ReadOnlyData, 0, true, false)]
    [InlineData(Layout.KernelCode, 0, true, false)]
    [InlineData(Layout.ExecuteOnlyCode, 0, false, false)]
    [InlineData(Layout.ConformingCode, 3, true, false)]
    [InlineData(Layout.TaskSelector, 0, false, false)]
    [InlineData(0, 0, false, false)]
    public void Verify(ushort selector, byte cpl, bool read, bool write)
    {
        _machine.EnterProtected(cpl);
        _machine.Context->Registers[0] = selector;
        Assert.True(_machine.Execute(0x0f, 0x00, 0xe0));
        Assert.Equal(read, (_machine.Eflags & Flags.Zero) != 0);
        Assert.True(_machine.Execute(0x0f, 0x00, 0xe8));
        Assert.Equal(write, (_machine.Eflags & Flags.Zero) != 0);
    }

    [Theory]
    [InlineData(0x10, 0x03, 0x13, true)]
    [InlineData(0x12, 0x01, 0x12, false)]
    [InlineData(0x12, 0x02, 0x12, false)]
    public void AdjustPrivilege(ushort destination, ushort source, ushort expected, bool zero)
    {
        _machine.EnterProtected(0);
        _machine.Context->Registers[0] = 0xabcd_0000u | destination;
        _machine.Context->Registers[1] = source;
        Assert.True(_machine.Execute(0x63, 0xc8));
        Assert.Equal(0xabcd_0000u | expected, _machine.Context->Registers[0]);
        Assert.Equal(zero, (_machine.Eflags & Flags.Zero) != 0);
        _machine.Write(Layout.Data, destination);
        _machine.Context->Registers[3] = Layout.Data;
        Assert.True(_machine.Execute(0x63, 0x0b));
        Assert.Equal(expected, _machine.Read<ushort>(Layout.Data));
    }

    [Fact]
    public void IoPermissionMap()
    {
        _machine.EnterProtected(3);
        _machine.Eflags = 2 | Flags.IoPrivilege;
        Assert.True(IoPermission.Check(_machine.Context, 0xcf8, 4));
        _machine.Eflags = 2;
        _machine.Write(Layout.Task + 0x66, (ushort)0x68);
        _machine.Write(Layout.Task + 0x68 + 0xe, (byte)0x80);
        Assert.True(IoPermission.Check(_machine.Context, 0x70, 4));
        Assert.True(IoPermission.Check(_machine.Context, 0x73, 4));
        Assert.False(IoPermission.Check(_machine.Context, 0x74, 4));
        _machine.AssertFault(13, 0);
        Assert.False(IoPermission.Check(_machine.Context, 0x76, 2));
        Assert.True(IoPermission.Check(_machine.Context, 0x78, 1));

        // The byte after the last one of the map is read too.
        uint last = (0xff - 0x68) * 8;
        Assert.True(IoPermission.Check(_machine.Context, (ushort)(last - 1), 1));
        Assert.False(IoPermission.Check(_machine.Context, (ushort)last, 1));
        _machine.Context->TaskRegister.Attributes = 0x83;
        Assert.False(IoPermission.Check(_machine.Context, 0x70, 1));
        _machine.EnterProtected(0);
        Assert.True(IoPermission.Check(_machine.Context, 0x77, 1));
    }

    [Fact]
    public void Virtual8086AlwaysAsksTheMap()
    {
        _machine.EnterVirtual8086(3);
        _machine.Write(Layout.Task + 0x66, (ushort)0x68);
        _machine.Write(Layout.Task + 0x68 + 0xe, (byte)0x80);
        Assert.True(IoPermission.Check(_machine.Context, 0x70, 1));
        Assert.False(IoPermission.Check(_machine.Context, 0x77, 1));
        _machine.EnterReal();
        Assert.True(IoPermission.Check(_machine.Context, 0x77, 1));
    }
}
