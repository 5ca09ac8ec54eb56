using System.Buffers.Binary;
using Lamina.Boot.Acpi;
using Lamina.Boot.Tests.Images;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Acpi;

/// <summary>Where a machine goes on that wakes from S3 (ACPI 6.5, section 5.2.10).</summary>
public sealed class WakingVectorTests : IDisposable
{
    private const ulong Facs = AcpiTables.FirmwareControlAddress;

    private readonly TestMemory _guest = new(4 << 20);
    private readonly GuestMemory _memory;
    private readonly ProcessorState _state;

    public WakingVectorTests()
    {
        _memory = _guest.Memory;
        _state = _guest.State;
        AcpiTables tables = new(new AcpiConfiguration { ProcessorCount = 1, SuspendType = 1 });
        Assert.True(_memory.TryWrite(AcpiTables.TablesAddress, tables.Tables.Span));
    }

    public void Dispose() => _guest.Dispose();

    [Theory]
    [InlineData(0x9_8765u, 0x9876, 0x9_8760u, 5u)]
    [InlineData(0x0_0010u, 0x0001, 0x0_0010u, 0u)]
    [InlineData(0xf_ffffu, 0xffff, 0xf_fff0u, 15u)]
    public void TheVectorIsEnteredInRealMode(uint vector, ushort selector, uint codeBase, uint offset)
    {
        SetVectors(vector, 0);
        Assert.True(WakingVector.TryEnter(_memory, _state));
        Assert.Equal(new SegmentState(selector, codeBase, 0xffff, 0x9b), _state.Segments[1]);
        Assert.Equal(offset, _state.Rip);
        Assert.Equal(0UL, _state.Cr0 & 1);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(0x10_0000u)]
    [InlineData(uint.MaxValue)]
    public void OneThatIsNotBelowOneMegabyteIsRefused(uint vector)
    {
        SetVectors(vector, 0);
        Assert.False(WakingVector.TryEnter(_memory, _state));
    }

    [Fact]
    public void TheExtendedVectorIsEnteredInFlatProtectedModeWithATableInReservedMemory()
    {
        SetVectors(0x8000, 0x12_3456);
        Assert.True(WakingVector.TryEnter(_memory, _state));
        Assert.Equal(0x12_3456UL, _state.Rip);
        Assert.Equal(1UL, _state.Cr0 & 0x8000_0001);
        Assert.Equal(0UL, _state.Rflags & 0x200);
        Assert.All(_state.Segments, static s => Assert.Equal((0UL, uint.MaxValue), (s.Base, s.Limit)));
        Assert.InRange(_state.GdtBase, 0xe_0000UL, 0xf_ffffUL);
        byte[] descriptor = new byte[8];
        Assert.True(_memory.TryRead(_state.GdtBase + _state.Segments[1].Selector, descriptor));
        Assert.Equal(0x00cf_9b00_0000_ffffUL, BinaryPrimitives.ReadUInt64LittleEndian(descriptor));

        SetVectors(0x8000, 0x1_0000_0000);
        Assert.False(WakingVector.TryEnter(_memory, _state));
    }

    [Fact]
    public void AGuestThatHasWrittenOverTheTableIsRefused()
    {
        SetVectors(0x8000, 0);
        Assert.True(_memory.TryWrite(Facs, "XXXX"u8));
        Assert.False(WakingVector.TryEnter(_memory, _state));
    }

    private void SetVectors(uint vector, ulong extended)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, vector);
        Assert.True(_memory.TryWrite(Facs + 12, bytes[..4]));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, extended);
        Assert.True(_memory.TryWrite(Facs + 24, bytes));
    }
}
