namespace Lamina.Boot.Acpi;

/// <summary>
/// What the ACPI tables describe. The defaults are this machine's own addresses; they must agree with the devices, so whoever composes a machine passes the
/// devices' constants where it can.
/// </summary>
public sealed record AcpiConfiguration
{
    /// <summary>The greatest <see cref="ProcessorCount"/>.</summary>
    public const int MaximumProcessors = 64;

    /// <summary>Number of processors, 1 to 64. Their local APIC identifiers are 0 to this minus one.</summary>
    public required int ProcessorCount { get; init; }

    /// <summary>
    /// Whether the machine has neither PCI nor legacy devices, as Hyper-V's generation 2 (<see cref="Generation2Description"/>). What describes such devices here is not looked at then, and the memory windows are VMBus's.
    /// </summary>
    public bool IsGeneration2 { get; init; }

    /// <summary>First byte of the 32-bit PCI memory window.</summary>
    public uint PciMemory { get; init; } = 0xc000_0000;

    /// <summary>Byte after the last of the 32-bit PCI memory window.</summary>
    public uint PciMemoryEnd { get; init; } = 0xfec0_0000;

    /// <summary>First byte of the 64-bit PCI memory window; must lie above RAM. 0 if there is none.</summary>
    public ulong PciMemory64 { get; init; }

    /// <summary>Length of the 64-bit PCI memory window; 0 if there is none.</summary>
    public ulong PciMemory64Length { get; init; }

    /// <summary>PCI Express configuration window.</summary>
    public uint PciConfigurationWindow { get; init; } = 0xb000_0000;

    /// <summary>Number of buses in the configuration window, of 1 MiB each.</summary>
    public int PciBusCount { get; init; } = 256;

    /// <summary>First of the eight global system interrupts of PCI. Pin p of device d drives number (d + p) modulo 8 of them.</summary>
    public uint FirstPciInterrupt { get; init; } = 16;

    /// <summary>Local APIC page.</summary>
    public uint LocalApic { get; init; } = 0xfee0_0000;

    /// <summary>I/O APIC registers.</summary>
    public uint IoApic { get; init; } = 0xfec0_0000;

    /// <summary>HPET registers.</summary>
    public uint Hpet { get; init; } = 0xfed0_0000;

    /// <summary>Registers of the first memory-mapped virtio device; the others follow, 4 KiB each. Number n uses the interrupt of pin 0 of PCI device n.</summary>
    public uint Virtio { get; init; } = 0xfed8_0000;

    /// <summary>Number of memory-mapped virtio devices.</summary>
    public int VirtioCount { get; init; }

    /// <summary>Registers of the PCI slots' hot-plug, or 0 for none. Changes raise general-purpose event 1.</summary>
    public ushort PciHotPlug { get; init; }

    /// <summary>Whether there is VMBus.</summary>
    public bool HasVmBus { get; init; }

    /// <summary>Where memory is that VMBus gives its devices.</summary>
    public uint VmBusMemory { get; init; }

    /// <summary>Bytes of it; 0 for none.</summary>
    public uint VmBusMemoryLength { get; init; }

    /// <summary>PM1a event block, 4 ports.</summary>
    public ushort Pm1Event { get; init; } = 0x600;

    /// <summary>PM1a control block, 2 ports.</summary>
    public ushort Pm1Control { get; init; } = 0x604;

    /// <summary>Power management timer, 4 ports, 32 bits.</summary>
    public ushort PmTimer { get; init; } = 0x608;

    /// <summary>General-purpose event block 0.</summary>
    public ushort GeneralPurposeEvent { get; init; } = 0x620;

    /// <summary>Length of the general-purpose event block in ports.</summary>
    public byte GeneralPurposeEventLength { get; init; } = 4;

    /// <summary>Where the generation identifier is, 16 bytes in reserved RAM; 0 if there is none.</summary>
    public ulong Generation { get; init; } = AcpiTables.GenerationAddress;

    /// <summary>General-purpose event that says that the generation identifier has changed.</summary>
    public byte GenerationEvent { get; init; } = AcpiTables.GenerationEvent;

    /// <summary>Sleep control register, 1 port; 0 if there is none beside the PM1a control block.</summary>
    public ushort SleepControl { get; init; }

    /// <summary>Sleep status register, 1 port; 0 if there is none beside the PM1a event block.</summary>
    public ushort SleepStatus { get; init; }

    /// <summary>System control interrupt: level triggered, active high.</summary>
    public byte SystemControlInterrupt { get; init; } = 9;

    /// <summary>Reset register (a port) and the value that resets.</summary>
    public ushort ResetRegister { get; init; } = 0xcf9;

    /// <summary>What to write to the reset register.</summary>
    public byte ResetValue { get; init; } = 0x06;

    /// <summary>SLP_TYP that switches off.</summary>
    public byte SoftOffType { get; init; } = 5;

    /// <summary>SLP_TYP that suspends to RAM; 0 if the machine does not offer that.</summary>
    public byte SuspendType { get; init; }

    /// <summary>Panic notification port, or 0 for none.</summary>
    public ushort Panic { get; init; } = 0x505;
}
