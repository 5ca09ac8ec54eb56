using System.Buffers.Binary;
using System.Text;
using Lamina.Boot.Acpi;

namespace Lamina.Boot.Tests.Acpi;

/// <summary>What ACPI tells of a machine without PCI and legacy devices: what Hyper-V's firmware tells of its generation 2.</summary>
public sealed class Generation2TablesTests
{
    private const ulong Window = 0x80_0000_0000;

    private static readonly AcpiConfiguration Configuration = new()
    {
        ProcessorCount = 4,
        IsGeneration2 = true,
        HasVmBus = true,
        PciMemory = 0xf800_0000,
        PciMemoryEnd = 0xfec0_0000,
        PciMemory64 = Window,
        PciMemory64Length = Window,
        Pm1Event = 0x400,
        Pm1Control = 0x404,
        PmTimer = 0x408,
        GeneralPurposeEvent = 0x40c,
        SleepControl = 0x405,
        SleepStatus = 0x401,
        ResetRegister = 0x433,
        ResetValue = 1,
        SoftOffType = 0,
        GenerationEvent = AcpiTables.Generation2Event,
    };

    [Fact]
    public void NoTableNamesAPciBusOrAnEventTimer()
    {
        AcpiTables tables = new(Configuration);
        ReadOnlySpan<byte> pointer = tables.RootPointer.Span;
        ReadOnlySpan<byte> xsdt = AcpiTablesTests.Table(tables, BinaryPrimitives.ReadUInt64LittleEndian(pointer[24..]), "XSDT");
        List<string> listed = [];
        for (int at = 36; at < xsdt.Length; at += 8)
        {
            int offset = (int)(BinaryPrimitives.ReadUInt64LittleEndian(xsdt[at..]) - AcpiTables.TablesAddress);
            listed.Add(Encoding.ASCII.GetString(tables.Tables.Span.Slice(offset, 4)));
        }

        Assert.Equal(["FACP", "APIC", "WAET"], listed);
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(AcpiTablesTests.Listed(tables, "WAET")[36..]));
    }

    [Fact]
    public void TheFixedDescriptionHasGenericAddressesAloneAndNoLegacyDevices()
    {
        ReadOnlySpan<byte> fadt = AcpiTablesTests.Listed(new AcpiTables(Configuration), "FACP");
        Assert.Equal(276, fadt.Length);
        Assert.Equal(9, BinaryPrimitives.ReadUInt16LittleEndian(fadt[46..]));
        Assert.True(fadt.Slice(48, 40).IndexOfAnyExcept((byte)0) < 0, "There is an SMI command port, or a register by an address of 32 bits.");
        Assert.Equal([4, 2, 0, 4, 4], fadt.Slice(88, 5).ToArray());

        // No VGA is there; legacy devices (bit 0) and an i8042 (bit 1) are not; a real-time clock is (bit 5).
        Assert.Equal(4, BinaryPrimitives.ReadUInt16LittleEndian(fadt[109..]));

        // The fixed hardware is there: not hardware-reduced (bit 20).
        Assert.Equal(0x8565u, BinaryPrimitives.ReadUInt32LittleEndian(fadt[112..]));
        (int Offset, byte Width, ulong Address)[] registers = [(116, 8, 0x433), (148, 32, 0x400), (172, 16, 0x404), (208, 32, 0x408), (220, 32, 0x40c), (244, 8, 0x405), (256, 8, 0x401)];
        foreach ((int offset, byte width, ulong address) in registers)
        {
            Assert.Equal([1, width, 0], fadt.Slice(offset, 3).ToArray());
            Assert.Equal(address, BinaryPrimitives.ReadUInt64LittleEndian(fadt[(offset + 4)..]));
        }

        Assert.Equal(1, fadt[128]);
        Assert.Equal("MsHyperV", Encoding.ASCII.GetString(fadt[268..]));
    }

    [Fact]
    public void TheInterruptTableHasTheIoApicAndNo8259()
    {
        ReadOnlySpan<byte> madt = AcpiTablesTests.Listed(new AcpiTables(Configuration), "APIC");
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(madt[40..]));
        Assert.Equal("010C00000000C0FE00000000020A0009090000000D000406FF000001", Convert.ToHexString(madt[(44 + (4 * 8))..]));
    }

    [Fact]
    public void VmBusIsInAModuleThatHasItsMemory()
    {
        Dictionary<string, object> names = Decode(Configuration);
        Assert.Equal("ACPI0004", names["\\_SB_.VMOD._HID"]);
        byte[] windows = (byte[])names["\\_SB_.VMOD._CRS"];
        Assert.Equal(0x87, windows[0]);
        Assert.Equal(0xf800_0000u, BinaryPrimitives.ReadUInt32LittleEndian(windows.AsSpan(10)));
        Assert.Equal(0xfebf_ffffu, BinaryPrimitives.ReadUInt32LittleEndian(windows.AsSpan(14)));
        Assert.Equal(0x8a, windows[26]);
        Assert.Equal(Window, BinaryPrimitives.ReadUInt64LittleEndian(windows.AsSpan(40)));
        Assert.Equal((2 * Window) - 1, BinaryPrimitives.ReadUInt64LittleEndian(windows.AsSpan(48)));
        Assert.Equal("MSFT1000", names["\\_SB_.VMOD.VMBS._HID"]);
        Assert.Equal("VMBus", names["\\_SB_.VMOD.VMBS._CID"]);
        Assert.Equal([0x22, 0x20, 0x00, 0x79, 0x00], (byte[])names["\\_SB_.VMOD.VMBS._CRS"]);
        Assert.Equal(0x0300_d041UL, names["\\_SB_.VMOD.APIC._HID"]); // PNP0003.
        Assert.False(Decode(Configuration with { PciMemory64Length = 0 })["\\_SB_.VMOD._CRS"] is byte[] { Length: > 28 });
    }

    [Fact]
    public void TheModuleHasTheMemoryOfAScreenFirst()
    {
        byte[] without = (byte[])Decode(Configuration)["\\_SB_.VMOD._CRS"];
        byte[] windows = (byte[])Decode(Configuration with { VmBusMemory = 0x1fc0_0000, VmBusMemoryLength = 4 << 20 })["\\_SB_.VMOD._CRS"];
        Assert.Equal(0x87, windows[0]);
        Assert.Equal(0x1fc0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(windows.AsSpan(10)));
        Assert.Equal(0x1fff_ffffu, BinaryPrimitives.ReadUInt32LittleEndian(windows.AsSpan(14)));
        Assert.Equal(0x40_0000u, BinaryPrimitives.ReadUInt32LittleEndian(windows.AsSpan(22)));
        Assert.Equal(without, windows[26..]);
    }

    [Fact]
    public void SerialPortsClockAndGenerationAreTheOnlyOtherDevices()
    {
        Dictionary<string, object> names = Decode(Configuration);
        Assert.Equal(
            ["\\_SB_.C000", "\\_SB_.C001", "\\_SB_.C002", "\\_SB_.C003", "\\_SB_.GENC", "\\_SB_.RTC0", "\\_SB_.UAR1", "\\_SB_.UAR2", "\\_SB_.VMOD", "\\_SB_.VMOD.APIC", "\\_SB_.VMOD.VMBS"],
            names.Keys.Where(static n => n.EndsWith("._HID", StringComparison.Ordinal)).Select(static n => n[..^5]).Order(StringComparer.Ordinal));
        Assert.Equal(0x0105_d041UL, names["\\_SB_.UAR1._HID"]); // PNP0501.
        Assert.Equal("COM1", names["\\_SB_.UAR1._DDN"]);
        Assert.Equal([0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x89, 6, 0, 0x03, 1, 4, 0, 0, 0, 0x79, 0], (byte[])names["\\_SB_.UAR1._CRS"]);
        Assert.Equal([0x47, 0x01, 0xf8, 0x02, 0xf8, 0x02, 0x01, 0x08, 0x89, 6, 0, 0x03, 1, 3, 0, 0, 0, 0x79, 0], (byte[])names["\\_SB_.UAR2._CRS"]);
        Assert.Equal(0x000b_d041UL, names["\\_SB_.RTC0._HID"]); // PNP0B00.
        Assert.Equal("MSFT1002", names["\\_SB_.GENC._HID"]);
        Assert.Equal(["VM_Gen_Counter", "VMGENCTR", "Hyper_V_Gen_Counter_V1"], (object[])names["\\_SB_.GENC._CID"]);
        Assert.Equal([AcpiTables.GenerationAddress, 0UL], (object[])names["\\_SB_.GENC.ADDR"]);
        Assert.Equal([0, 0x86, (byte)'\\', 0x2e, .. "_SB_GENC"u8, 0x0a, 0x80], (byte[])names["\\_GPE._E00"]);
        Assert.Equal([0UL, 0UL, 0UL, 0UL], (object[])names["\\_S5_"]);
        Assert.False(Decode(Configuration with { Generation = 0 }).ContainsKey("\\_GPE._E00"));
        Assert.False(Decode(Configuration with { HasVmBus = false }).ContainsKey("\\_SB_.VMOD.VMBS._HID"));
    }

    private static Dictionary<string, object> Decode(AcpiConfiguration configuration)
    {
        AcpiTables tables = new(configuration);
        ReadOnlySpan<byte> fadt = AcpiTablesTests.Listed(tables, "FACP");
        AmlReader reader = new(AcpiTablesTests.Table(tables, BinaryPrimitives.ReadUInt32LittleEndian(fadt[40..]), "DSDT").ToArray());
        reader.ReadAll(36);
        return reader.Names;
    }
}
