namespace Lamina.Boot.Acpi;

/// <summary>The FADT (ACPI 6.5, section 5.2.9).</summary>
internal static class FixedDescription
{
    private const byte Desktop = 1;
    private const byte NoSuchLatencyClass = 0xff;
    private const byte CenturyIndex = 0x32;
    private const ushort LegacyDevices = 1 << 0;
    private const ushort KeyboardController = 1 << 1;
    private const ushort NoVga = 1 << 2;
    private const uint WriteBackInvalidateWorks = 1 << 0;
    private const uint HaltWorks = 1 << 2;
    private const uint NoSleepButton = 1 << 5;
    private const uint NoClockWake = 1 << 6;
    private const uint TimerIs32Bit = 1 << 8;
    private const uint ResetRegisterSupported = 1 << 10;
    private const uint UsePlatformClock = 1 << 15;
    private const ushort NoSecondLevel = 101; // Microseconds: no C2, and with more than 1000 no C3 (section 5.2.9).
    private const ushort NoThirdLevel = 1001;
    private const byte WordAccess = 2;
    private const byte DWordAccess = 3;
    private const byte ByteAccess = 1;

    public static byte[] Build(AcpiConfiguration configuration, uint facs, uint dsdt)
    {
        AcpiTable fadt = new("FACP", 6);
        fadt.Integer(facs, 4).Integer(dsdt, 4).Integer(0, 1).Integer(Desktop, 1).Integer(configuration.SystemControlInterrupt, 2);
        fadt.Integer(0, 8); // No SMI command port: the machine is always in ACPI mode.
        fadt.Integer(configuration.Pm1Event, 4).Integer(0, 4).Integer(configuration.Pm1Control, 4).Integer(0, 8);
        fadt.Integer(configuration.PmTimer, 4).Integer(configuration.GeneralPurposeEvent, 4).Integer(0, 4);
        fadt.Integer(4, 1).Integer(2, 1).Integer(0, 1).Integer(4, 1).Integer(configuration.GeneralPurposeEventLength, 1).Integer(0, 3);
        fadt.Integer(((ulong)NoSuchLatencyClass << 4) | 0xf, 2).Integer(((ulong)NoSuchLatencyClass << 4) | 0xf, 2);
        fadt.Integer(0, 4).Integer(0, 2).Integer(0, 2).Integer(CenturyIndex, 1);
        fadt.Integer(LegacyDevices | KeyboardController | NoVga, 2).Integer(0, 1);
        uint clockWake = configuration.SuspendType == 0 ? NoClockWake : 0;
        fadt.Integer(WriteBackInvalidateWorks | HaltWorks | NoSleepButton | clockWake | TimerIs32Bit | ResetRegisterSupported, 4);
        fadt.Address(AddressSpaceId.Io, 8, ByteAccess, configuration.ResetRegister).Integer(configuration.ResetValue, 1);
        fadt.Integer(0, 2).Integer(5, 1); // ARM flags; minor version.
        fadt.Integer(0, 8).Integer(dsdt, 8);
        fadt.Address(AddressSpaceId.Io, 32, WordAccess, configuration.Pm1Event).Address(0, 0, 0, 0);
        fadt.Address(AddressSpaceId.Io, 16, WordAccess, configuration.Pm1Control).Address(0, 0, 0, 0).Address(0, 0, 0, 0);
        fadt.Address(AddressSpaceId.Io, 32, DWordAccess, configuration.PmTimer);
        fadt.Address(AddressSpaceId.Io, (byte)(configuration.GeneralPurposeEventLength * 8), ByteAccess, configuration.GeneralPurposeEvent).Address(0, 0, 0, 0);
        fadt.Address(0, 0, 0, 0).Address(0, 0, 0, 0).Integer(0, 8);
        return fadt.Build();
    }

    /// <summary>
    /// That of a machine without PCI and legacy devices, as Hyper-V's generation 2 has it (mu_msvm, MsvmPkg/AcpiTables/Fadt.aslc): ACPI's fixed hardware by its generic addresses alone, sleep control and status beside it, and in
    /// the boot architecture flags neither legacy devices nor an i8042. It is not a hardware-reduced machine. Unlike there, the power button is a fixed event.
    /// </summary>
    public static byte[] BuildGeneration2(AcpiConfiguration configuration, uint facs, uint dsdt)
    {
        AcpiTable fadt = new("FACP", 6);
        fadt.Integer(facs, 4).Integer(dsdt, 4).Integer(0, 1).Integer(0, 1).Integer(configuration.SystemControlInterrupt, 2);
        fadt.Integer(0, 8).Integer(0, 32); // No SMI command port, and no addresses of 32 bits.
        fadt.Integer(4, 1).Integer(2, 1).Integer(0, 1).Integer(4, 1).Integer(configuration.GeneralPurposeEventLength, 1).Integer(0, 3);
        fadt.Integer(NoSecondLevel, 2).Integer(NoThirdLevel, 2);
        fadt.Integer(0, 4).Integer(0, 2).Integer(0, 2).Integer(CenturyIndex, 1).Integer(NoVga, 2).Integer(0, 1);
        fadt.Integer(WriteBackInvalidateWorks | HaltWorks | NoSleepButton | NoClockWake | TimerIs32Bit | ResetRegisterSupported | UsePlatformClock, 4);
        fadt.Address(AddressSpaceId.Io, 8, ByteAccess, configuration.ResetRegister).Integer(configuration.ResetValue, 1);
        fadt.Integer(0, 2).Integer(5, 1); // ARM flags; minor version.
        fadt.Integer(0, 8).Integer(dsdt, 8);
        fadt.Address(AddressSpaceId.Io, 32, WordAccess, configuration.Pm1Event).Address(0, 0, 0, 0);
        fadt.Address(AddressSpaceId.Io, 16, WordAccess, configuration.Pm1Control).Address(0, 0, 0, 0).Address(0, 0, 0, 0);
        fadt.Address(AddressSpaceId.Io, 32, DWordAccess, configuration.PmTimer);
        fadt.Address(AddressSpaceId.Io, (byte)(configuration.GeneralPurposeEventLength * 8), ByteAccess, configuration.GeneralPurposeEvent).Address(0, 0, 0, 0);
        fadt.Address(AddressSpaceId.Io, 8, ByteAccess, configuration.SleepControl).Address(AddressSpaceId.Io, 8, ByteAccess, configuration.SleepStatus);
        return fadt.Text("MsHyperV").Build(); // Hypervisor vendor identity.
    }
}
