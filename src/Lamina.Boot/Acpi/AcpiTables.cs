using System.Buffers.Binary;

namespace Lamina.Boot.Acpi;

/// <summary>
/// The ACPI tables (ACPI 6.5, section 5.2) as bytes, with the guest-physical addresses where they go: RSDP, XSDT, RSDT, FADT, FACS, MADT, DSDT, and MCFG and HPET or, without PCI and legacy devices, WAET. All lie in
/// the BIOS area, which the memory map is to call reserved from 0xe0000 to 0xfffff; the configuration window is to be reserved in it as well.
/// </summary>
public sealed class AcpiTables
{
    /// <summary>Where the root pointer goes: a multiple of 16 inside the BIOS area that operating systems scan (section 5.2.5.1).</summary>
    public const ulong RootPointerAddress = 0xf_0000;

    /// <summary>Where the other tables go. They end below <see cref="RootPointerAddress"/>.</summary>
    public const ulong TablesAddress = 0xe_0000;

    /// <summary>Where the FACS is: the first of the other tables.</summary>
    public const ulong FirmwareControlAddress = TablesAddress;

    /// <summary>Where the generation identifier goes, in the same area.</summary>
    public const ulong GenerationAddress = 0xf_0100;

    /// <summary>Bytes of the generation identifier.</summary>
    public const int GenerationLength = 16;

    /// <summary>The general-purpose event that says that the PC's generation identifier has changed.</summary>
    public const byte GenerationEvent = 5;

    /// <summary>That of a machine of Hyper-V's generation 2.</summary>
    public const byte Generation2Event = 0;

    private const int Alignment = 64;
    private const int RootPointerLength = 36;
    private const int RootPointerFirstLength = 20;

    private readonly List<byte> _tables = [];
    private readonly byte[] _rootPointer;

    /// <summary>Builds them.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number of processors is not 1 to 64.</exception>
    public AcpiTables(AcpiConfiguration configuration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(configuration.ProcessorCount, 1, nameof(configuration));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(configuration.ProcessorCount, AcpiConfiguration.MaximumProcessors, nameof(configuration));
        uint facs = Add(FirmwareControl()); // At FirmwareControlAddress.
        uint[] listed = configuration.IsGeneration2 ? AddGeneration2(configuration, facs) : AddPc(configuration, facs);
        AcpiTable rsdt = new("RSDT", 1);
        AcpiTable xsdt = new("XSDT", 1);
        foreach (uint address in listed)
        {
            rsdt.Integer(address, 4);
            xsdt.Integer(address, 8);
        }

        uint rsdtAddress = Add(rsdt.Build());
        _rootPointer = BuildRootPointer(rsdtAddress, Add(xsdt.Build()));
    }

    /// <summary>The root pointer, for <see cref="RootPointerAddress"/>.</summary>
    public ReadOnlyMemory<byte> RootPointer => _rootPointer;

    /// <summary>Every other table, for <see cref="TablesAddress"/>.</summary>
    public ReadOnlyMemory<byte> Tables => _tables.ToArray();

    private uint[] AddPc(AcpiConfiguration configuration, uint facs)
    {
        uint dsdt = Add(DifferentiatedDescription.Build(configuration));
        return
        [
            Add(FixedDescription.Build(configuration, facs, dsdt)),
            Add(Interrupts(configuration)),
            Add(ConfigurationWindow(configuration)),
            Add(EventTimer(configuration)),
        ];
    }

    private uint[] AddGeneration2(AcpiConfiguration configuration, uint facs)
    {
        uint dsdt = Add(Generation2Description.Build(configuration));
        return
        [
            Add(FixedDescription.BuildGeneration2(configuration, facs, dsdt)),
            Add(Interrupts(configuration)),
            Add(EmulatedDevices()),
        ];
    }

    private static byte[] BuildRootPointer(uint rsdt, uint xsdt)
    {
        byte[] pointer = new byte[RootPointerLength];
        "RSD PTR "u8.CopyTo(pointer);
        "LAMINA"u8.CopyTo(pointer.AsSpan(9));
        pointer[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(16), rsdt);
        BinaryPrimitives.WriteInt32LittleEndian(pointer.AsSpan(20), RootPointerLength);
        BinaryPrimitives.WriteUInt64LittleEndian(pointer.AsSpan(24), xsdt);
        pointer[8] = AcpiTable.Checksum(pointer.AsSpan(0, RootPointerFirstLength));
        pointer[32] = AcpiTable.Checksum(pointer);
        return pointer;
    }

    // FACS (section 5.2.10): no header checksum.
    private static byte[] FirmwareControl()
    {
        byte[] table = new byte[64];
        "FACS"u8.CopyTo(table);
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[32] = 2;
        return table;
    }

    // MADT (section 5.2.12).
    private static byte[] Interrupts(AcpiConfiguration configuration)
    {
        const byte everyProcessor = 0xff;
        const ushort levelActiveHigh = 0x0d;
        AcpiTable madt = new("APIC", 5);
        madt.Integer(configuration.LocalApic, 4).Integer(configuration.IsGeneration2 ? 0u : 1u, 4); // Whether there are 8259s, too.
        for (int i = 0; i < configuration.ProcessorCount; i++)
        {
            madt.Integer(0, 1).Integer(8, 1).Integer((ulong)i, 1).Integer((ulong)i, 1).Integer(1, 4);
        }

        madt.Integer(1, 1).Integer(12, 1).Integer(0, 2).Integer(configuration.IoApic, 4).Integer(0, 4);
        if (!configuration.IsGeneration2)
        {
            Override(madt, source: 0, interrupt: 2, flags: 0);
        }

        Override(madt, configuration.SystemControlInterrupt, configuration.SystemControlInterrupt, levelActiveHigh);
        madt.Integer(4, 1).Integer(6, 1).Integer(everyProcessor, 1).Integer(0, 2).Integer(1, 1); // NMI at LINT1.
        return madt.Build();
    }

    private static void Override(AcpiTable madt, byte source, uint interrupt, ushort flags)
    {
        madt.Integer(2, 1).Integer(10, 1).Integer(0, 1).Integer(source, 1).Integer(interrupt, 4).Integer(flags, 2);
    }

    // MCFG (PCI Firmware Specification 3.2, section 4.1.2).
    private static byte[] ConfigurationWindow(AcpiConfiguration configuration)
    {
        return new AcpiTable("MCFG", 1).Integer(0, 8)
            .Integer(configuration.PciConfigurationWindow, 8).Integer(0, 2).Integer(0, 1).Integer((ulong)configuration.PciBusCount - 1, 1).Integer(0, 4)
            .Build();
    }

    // HPET description table (IA-PC HPET specification 1.0a, section 3.2.4): the low half of the capabilities, the address, the shortest safe period.
    private static byte[] EventTimer(AcpiConfiguration configuration)
    {
        return new AcpiTable("HPET", 1).Integer(0x8086_a201, 4)
            .Address(AddressSpaceId.Memory, 64, 0, configuration.Hpet).Integer(0, 1).Integer(10_000, 2).Integer(0, 1)
            .Build();
    }

    // Windows ACPI Emulated Devices Table (Microsoft, 2009): one read of the power management timer is enough. The real-time clock is as a real one.
    private static byte[] EmulatedDevices()
    {
        const uint timerIsGood = 1 << 1;
        return new AcpiTable("WAET", 1).Integer(timerIsGood, 4).Build();
    }

    private uint Add(byte[] table)
    {
        while (_tables.Count % Alignment != 0)
        {
            _tables.Add(0);
        }

        uint address = (uint)TablesAddress + (uint)_tables.Count;
        _tables.AddRange(table);
        return address;
    }
}
