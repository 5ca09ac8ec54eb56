using System.Buffers.Binary;
using System.Text;
using Lamina.Boot.Acpi;

namespace Lamina.Boot.Tests.Acpi;

/// <summary>The tables as an operating system reads them: found by scanning, followed by address, checked by sum.</summary>
public sealed class AcpiTablesTests
{
    public static TheoryData<int> ProcessorCounts => [1, 2, 8, 64];

    [Theory]
    [MemberData(nameof(ProcessorCounts))]
    public void EveryTableIsReachableWholeAndSumsToZero(int processors)
    {
        AcpiTables tables = new(new AcpiConfiguration { ProcessorCount = processors });
        ReadOnlySpan<byte> pointer = tables.RootPointer.Span;
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(pointer[..8]));
        Assert.Equal(36, pointer.Length);
        Assert.Equal(2, pointer[15]);
        Assert.Equal(0, Sum(pointer[..20]));
        Assert.Equal(0, Sum(pointer));
        Assert.True(AcpiTables.TablesAddress + (ulong)tables.Tables.Length <= AcpiTables.RootPointerAddress, "The tables run into the root pointer.");

        string[] expected = ["FACP", "APIC", "MCFG", "HPET"];
        ReadOnlySpan<byte> xsdt = Table(tables, BinaryPrimitives.ReadUInt64LittleEndian(pointer[24..]), "XSDT");
        ReadOnlySpan<byte> rsdt = Table(tables, BinaryPrimitives.ReadUInt32LittleEndian(pointer[16..]), "RSDT");
        Assert.Equal(36 + (8 * expected.Length), xsdt.Length);
        Assert.Equal(36 + (4 * expected.Length), rsdt.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(xsdt[(36 + (8 * i))..]);
            Assert.Equal(address, BinaryPrimitives.ReadUInt32LittleEndian(rsdt[(36 + (4 * i))..]));
            Table(tables, address, expected[i]);
        }
    }

    [Fact]
    public void TheFixedDescriptionNamesTheRegisters()
    {
        AcpiTables tables = new(new AcpiConfiguration { ProcessorCount = 1 });
        ReadOnlySpan<byte> fadt = Listed(tables, "FACP");
        Assert.Equal(276, fadt.Length);
        Assert.Equal(6, fadt[8]);
        Assert.Equal(9, BinaryPrimitives.ReadUInt16LittleEndian(fadt[46..]));
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[48..])); // No SMI command port.
        Assert.Equal(0x600u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[56..]));
        Assert.Equal(0x604u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[64..]));
        Assert.Equal(0x608u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[76..]));
        Assert.Equal(0x620u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[80..]));
        Assert.Equal([4, 2, 0, 4, 4], fadt.Slice(88, 5).ToArray());
        Assert.Equal(0x0fff, BinaryPrimitives.ReadUInt16LittleEndian(fadt[96..]));
        Assert.Equal(0x32, fadt[108]);
        Assert.Equal(7, BinaryPrimitives.ReadUInt16LittleEndian(fadt[109..]));
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(fadt[112..]);
        Assert.Equal(0x565u, flags); // The power button (bit 4) is a fixed event; not hardware-reduced (bit 20).
        Assert.Equal([1, 8, 0, 1], fadt.Slice(116, 4).ToArray());
        Assert.Equal(0xcf9u, BinaryPrimitives.ReadUInt64LittleEndian(fadt[120..]));
        Assert.Equal(6, fadt[128]);
        Assert.Equal(0x600u, BinaryPrimitives.ReadUInt64LittleEndian(fadt[152..]));
        Assert.Equal(0x604u, BinaryPrimitives.ReadUInt64LittleEndian(fadt[176..]));
        Assert.Equal(0x608u, BinaryPrimitives.ReadUInt64LittleEndian(fadt[212..]));
        Assert.Equal(0x620u, BinaryPrimitives.ReadUInt64LittleEndian(fadt[224..]));
        uint facs = BinaryPrimitives.ReadUInt32LittleEndian(fadt[36..]);
        Assert.Equal(0u, facs % 64);
        Assert.Equal("FACS", Encoding.ASCII.GetString(At(tables, facs, 4)));
        Assert.Equal(64, BinaryPrimitives.ReadInt32LittleEndian(At(tables, facs + 4, 4)));
        uint dsdt = BinaryPrimitives.ReadUInt32LittleEndian(fadt[40..]);
        Assert.Equal(dsdt, BinaryPrimitives.ReadUInt64LittleEndian(fadt[140..]));
        Table(tables, dsdt, "DSDT");
    }

    [Theory]
    [MemberData(nameof(ProcessorCounts))]
    public void TheInterruptTableListsProcessorsAndOverrides(int processors)
    {
        AcpiTables tables = new(new AcpiConfiguration { ProcessorCount = processors });
        ReadOnlySpan<byte> madt = Listed(tables, "APIC");
        Assert.Equal(0xfee0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(madt[36..]));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(madt[40..]));
        List<string> entries = [];
        for (int at = 44; at < madt.Length; at += madt[at + 1])
        {
            Assert.True(madt[at + 1] >= 2 && at + madt[at + 1] <= madt.Length, "An entry leaves the table.");
            entries.Add(Convert.ToHexString(madt.Slice(at, madt[at + 1])));
        }

        Assert.Equal(processors + 4, entries.Count);
        for (int i = 0; i < processors; i++)
        {
            Assert.Equal($"0008{i:X2}{i:X2}01000000", entries[i]);
        }

        Assert.Equal(["010C00000000C0FE00000000", "020A0000020000000000", "020A0009090000000D00", "0406FF000001"], entries[processors..]);
    }

    [Fact]
    public void TheOtherTablesPointToTheirDevices()
    {
        AcpiTables tables = new(new AcpiConfiguration { ProcessorCount = 1 });
        ReadOnlySpan<byte> mcfg = Listed(tables, "MCFG");
        Assert.Equal(60, mcfg.Length);
        Assert.Equal(0xb000_0000u, BinaryPrimitives.ReadUInt64LittleEndian(mcfg[44..]));
        Assert.Equal((0, 255), (mcfg[54], mcfg[55]));
        ReadOnlySpan<byte> hpet = Listed(tables, "HPET");
        Assert.Equal(56, hpet.Length);
        Assert.Equal(0x8086_a201u, BinaryPrimitives.ReadUInt32LittleEndian(hpet[36..]));
        Assert.Equal(0xfed0_0000u, BinaryPrimitives.ReadUInt64LittleEndian(hpet[44..]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    [InlineData(-1)]
    public void ImpossibleProcessorCountsAreRefused(int processors)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new AcpiTables(new AcpiConfiguration { ProcessorCount = processors }));
    }

    internal static ReadOnlySpan<byte> Listed(AcpiTables tables, string signature)
    {
        ReadOnlySpan<byte> xsdt = Table(tables, BinaryPrimitives.ReadUInt64LittleEndian(tables.RootPointer.Span[24..]), "XSDT");
        for (int at = 36; at < xsdt.Length; at += 8)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(xsdt[at..]);
            if (Encoding.ASCII.GetString(At(tables, address, 4)) == signature)
            {
                return Table(tables, address, signature);
            }
        }

        throw new InvalidOperationException($"The XSDT does not list {signature}.");
    }

    internal static ReadOnlySpan<byte> Table(AcpiTables tables, ulong address, string signature)
    {
        Assert.Equal(signature, Encoding.ASCII.GetString(At(tables, address, 4)));
        int length = BinaryPrimitives.ReadInt32LittleEndian(At(tables, address + 4, 4));
        ReadOnlySpan<byte> table = At(tables, address, length);
        Assert.True(Sum(table) == 0, $"{signature} has a wrong checksum.");
        return table;
    }

    private static ReadOnlySpan<byte> At(AcpiTables tables, ulong address, int length)
    {
        return tables.Tables.Span.Slice((int)(address - AcpiTables.TablesAddress), length);
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }
}
