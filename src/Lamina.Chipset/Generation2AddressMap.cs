namespace Lamina.Chipset;

/// <summary>
/// Where the devices of a machine without PCI and legacy devices are, as those of Hyper-V's generation 2 (mu_msvm, MsvmPkg). The local APICs, the I/O APIC, the serial ports with their interrupt lines, the real-time
/// clock and the system control interrupt are where the PC has them.
/// </summary>
public static class Generation2AddressMap
{
    /// <summary>ACPI PM1a event block (4 bytes).</summary>
    public const ushort Pm1Event = 0x400;

    /// <summary>ACPI PM1a control block (2 bytes).</summary>
    public const ushort Pm1Control = 0x404;

    /// <summary>ACPI sleep control register: the upper byte of <see cref="Pm1Control"/>.</summary>
    public const ushort SleepControl = Pm1Control + 1;

    /// <summary>ACPI sleep status register: the upper byte of the status in <see cref="Pm1Event"/>.</summary>
    public const ushort SleepStatus = Pm1Event + 1;

    /// <summary>ACPI PM timer (4 bytes).</summary>
    public const ushort PmTimer = 0x408;

    /// <summary>ACPI general-purpose event block 0 (status, then enable; <see cref="PcAddressMap.GeneralPurposeEventLength"/> bytes).</summary>
    public const ushort GeneralPurposeEvent = 0x40c;

    /// <summary>ACPI reset register.</summary>
    public const ushort Reset = 0x433;

    /// <summary>SLP_TYP of S5.</summary>
    public const byte SoftOffType = 0;

    /// <summary>Start of the window below 4 GiB in which VMBus may give its devices memory-mapped registers and frame buffers.</summary>
    public const ulong VmBusMemory = 0xf800_0000;

    /// <summary>End (exclusive) of that window: the I/O APIC follows.</summary>
    public const ulong VmBusMemoryEnd = PcAddressMap.IoApic;
}
