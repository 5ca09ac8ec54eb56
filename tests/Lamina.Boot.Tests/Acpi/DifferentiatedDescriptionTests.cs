using System.Buffers.Binary;
using Lamina.Boot.Acpi;

namespace Lamina.Boot.Tests.Acpi;

/// <summary>The DSDT, decoded by a reader of its own.</summary>
public sealed class DifferentiatedDescriptionTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    public void EveryProcessorIsADeviceWithTheNumberOfTheInterruptTable(int processors)
    {
        Dictionary<string, object> names = Decode(new AcpiConfiguration { ProcessorCount = processors });
        for (int i = 0; i < processors; i++)
        {
            Assert.Equal("ACPI0007", names[$"\\_SB_.C{i:X3}._HID"]);
            Assert.Equal((ulong)i, names[$"\\_SB_.C{i:X3}._UID"]);
        }

        Assert.False(names.ContainsKey($"\\_SB_.C{processors:X3}"));
    }

    [Fact]
    public void VmBusIsThereWhereTheMachineHasIt()
    {
        Assert.Equal("VMBus", Decode(new AcpiConfiguration { ProcessorCount = 1, HasVmBus = true })["\\_SB_.VMBS._HID"]);
        Assert.False(Decode(new AcpiConfiguration { ProcessorCount = 1 }).ContainsKey("\\_SB_.VMBS._HID"));
    }

    [Fact]
    public void VmBusHasTheMemoryOfItsDevices()
    {
        AcpiConfiguration configuration = new() { ProcessorCount = 1, HasVmBus = true };
        Assert.Equal([0x22, 0x79], Resources((byte[])Decode(configuration)["\\_SB_.VMBS._CRS"]).Select(static r => r.Tag));
        List<(byte Tag, byte[] Body)> resources = Resources((byte[])Decode(configuration with { VmBusMemory = 0x1fc0_0000, VmBusMemoryLength = 4 << 20 })["\\_SB_.VMBS._CRS"]);
        Assert.Equal([0x22, 0x87, 0x79], resources.Select(static r => r.Tag));
        Assert.Equal(0x1fc0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(resources[1].Body.AsSpan(7)));
        Assert.Equal(0x1fff_ffffu, BinaryPrimitives.ReadUInt32LittleEndian(resources[1].Body.AsSpan(11)));
        Assert.Equal(0x40_0000u, BinaryPrimitives.ReadUInt32LittleEndian(resources[1].Body.AsSpan(19)));
    }

    [Fact]
    public void SoftOffHasTheTypeOfTheDevice()
    {
        object[] package = (object[])Decode(new AcpiConfiguration { ProcessorCount = 1 })["\\_S5_"];
        Assert.Equal([5UL, 5UL, 0UL, 0UL], package);
    }

    [Fact]
    public void SuspendIsThereWhereTheMachineOffersIt()
    {
        object[] package = (object[])Decode(new AcpiConfiguration { ProcessorCount = 1, SuspendType = 1 })["\\_S3_"];
        Assert.Equal([1UL, 1UL, 0UL, 0UL], package);
        Assert.False(Decode(new AcpiConfiguration { ProcessorCount = 1 }).ContainsKey("\\_S3_"));
    }

    [Fact]
    public void PciInterruptsRotateOverEightLines()
    {
        object[] routes = (object[])Decode(new AcpiConfiguration { ProcessorCount = 1 })["\\_SB_.PCI0._PRT"];
        Assert.Equal(128, routes.Length);
        for (int i = 0; i < routes.Length; i++)
        {
            ulong device = (ulong)i / 4;
            ulong pin = (ulong)i % 4;
            Assert.Equal([(device << 16) | 0xffff, pin, 0UL, 16 + ((device + pin) % 8)], (object[])routes[i]);
        }
    }

    [Fact]
    public void TheHostBridgeHasItsWindows()
    {
        AcpiConfiguration configuration = new() { ProcessorCount = 1, PciMemory64 = 0x20_0000_0000, PciMemory64Length = 0x10_0000_0000 };
        Dictionary<string, object> names = Decode(configuration);
        Assert.Equal(0x080a_d041UL, names["\\_SB_.PCI0._HID"]); // PNP0A08, compressed.
        Assert.Equal(0x030a_d041UL, names["\\_SB_.PCI0._CID"]);
        List<(byte Tag, byte[] Body)> resources = Resources((byte[])names["\\_SB_.PCI0._CRS"]);
        Assert.Equal([0x88, 0x47, 0x88, 0x88, 0x87, 0x8a, 0x79], resources.Select(r => r.Tag));
        byte[] memory = resources[4].Body;
        Assert.Equal(0xc000_0000u, BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan(7)));
        Assert.Equal(0xfebf_ffffu, BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan(11)));
        Assert.Equal(0x3ec0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(memory.AsSpan(19)));
        byte[] high = resources[5].Body;
        Assert.Equal(0x20_0000_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(high.AsSpan(11)));
        Assert.Equal(0x2f_ffff_ffffUL, BinaryPrimitives.ReadUInt64LittleEndian(high.AsSpan(19)));
        Assert.Equal(6, Resources((byte[])Decode(new AcpiConfiguration { ProcessorCount = 1 })["\\_SB_.PCI0._CRS"]).Count);
    }

    [Fact]
    public void LegacyDevicesAreListedWithPortsAndInterrupts()
    {
        Dictionary<string, object> names = Decode(new AcpiConfiguration { ProcessorCount = 1 });
        Assert.Equal(0x0105_d041UL, names["\\_SB_.COM1._HID"]); // PNP0501.
        List<(byte Tag, byte[] Body)> com1 = Resources((byte[])names["\\_SB_.COM1._CRS"]);
        Assert.Equal([0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08], com1[0].Body);
        Assert.Equal([0x10, 0x00], com1[1].Body);
        Assert.Equal("QEMU0001", names["\\_SB_.PEVT._HID"]);
        Assert.Equal(0x0303_d041UL, names["\\_SB_.KBD_._HID"]);
        Assert.Equal(0x000b_d041UL, names["\\_SB_.RTC_._HID"]);
        Assert.Equal(0x0301_d041UL, names["\\_SB_.HPET._HID"]);
        List<(byte Tag, byte[] Body)> reserved = Resources((byte[])names["\\_SB_.MRES._CRS"]);
        Assert.Equal(0xb000_0000u, BinaryPrimitives.ReadUInt32LittleEndian(reserved[0].Body.AsSpan(1)));
        Assert.Equal(0x1000_0000u, BinaryPrimitives.ReadUInt32LittleEndian(reserved[0].Body.AsSpan(5)));
        Assert.False(Decode(new AcpiConfiguration { ProcessorCount = 1, Panic = 0 }).ContainsKey("\\_SB_.PEVT"));
    }

    [Fact]
    public void SlotsCanBeEjectedAndAreToldOfByTheEvent()
    {
        Dictionary<string, object> names = Decode(new AcpiConfiguration { ProcessorCount = 1, PciHotPlug = 0xae00 });
        Assert.Equal(((byte)1, 0xae00UL, 0x0cUL), names["\\_SB_.PCI0.PCST"]);
        Assert.Equal(("\\_SB_.PCI0.PCST", 0, (byte)0x43), names["\\_SB_.PCI0.PCIU"]);
        Assert.Equal(("\\_SB_.PCI0.PCST", 32, (byte)0x43), names["\\_SB_.PCI0.PCID"]);
        Assert.Equal(("\\_SB_.PCI0.PCST", 64, (byte)0x43), names["\\_SB_.PCI0.PCEJ"]);
        byte[] tell = (byte[])names["\\_SB_.PCI0.TELL"];
        for (int slot = 1; slot < 32; slot++)
        {
            string name = $"S{slot:X2}_";
            Assert.Equal((ulong)slot << 16, names[$"\\_SB_.PCI0.{name}._ADR"]);
            Assert.Equal((ulong)slot, names[$"\\_SB_.PCI0.{name}._SUN"]);

            // One argument; stores the slot's bit, which stands behind the prefix of its size, in PCEJ.
            byte[] eject = (byte[])names[$"\\_SB_.PCI0.{name}._EJ0"];
            Assert.Equal([1, 0x70], eject[..2]);
            Assert.Equal("PCEJ"u8.ToArray(), eject[^4..]);
            ulong bit = 0;
            for (int i = eject.Length - 5; i > 2; i--)
            {
                bit = (bit << 8) | eject[i];
            }

            Assert.Equal(1UL << slot, bit);
            Assert.True(tell.AsSpan().IndexOf((byte[])[0x86, .. System.Text.Encoding.ASCII.GetBytes(name), 0x69]) > 0, $"{name} is not told.");
        }

        Assert.Equal([8, .. "TELLPCIU"u8, 1, .. "TELLPCID"u8, 0x0a, 3], (byte[])names["\\_SB_.PCI0.LOOK"]);
        Assert.Equal([0, (byte)'\\', 0x2f, 3, .. "_SB_PCI0LOOK"u8], (byte[])names["\\_GPE._E01"]);
        Assert.False(Decode(new AcpiConfiguration { ProcessorCount = 1 }).ContainsKey("\\_GPE._E01"));
    }

    private static List<(byte Tag, byte[] Body)> Resources(byte[] template)
    {
        List<(byte, byte[])> resources = [];
        for (int at = 0; at < template.Length;)
        {
            byte tag = template[at];
            int length = (tag & 0x80) != 0 ? BinaryPrimitives.ReadUInt16LittleEndian(template.AsSpan(at + 1)) : tag & 7;
            int header = (tag & 0x80) != 0 ? 3 : 1;
            resources.Add((tag, template[(at + header)..(at + header + length)]));
            at += header + length;
        }

        return resources;
    }

    private static Dictionary<string, object> Decode(AcpiConfiguration configuration)
    {
        AcpiTables tables = new(configuration);
        ReadOnlySpan<byte> fadt = AcpiTablesTests.Listed(tables, "FACP");
        byte[] dsdt = AcpiTablesTests.Table(tables, BinaryPrimitives.ReadUInt32LittleEndian(fadt[40..]), "DSDT").ToArray();
        AmlReader reader = new(dsdt);
        reader.ReadAll(36);
        return reader.Names;
    }
}
