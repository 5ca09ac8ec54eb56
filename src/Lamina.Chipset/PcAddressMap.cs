namespace Lamina.Chipset;

/// <summary>Where the devices of the PC are: I/O ports, memory-mapped registers, interrupt lines.</summary>
public static class PcAddressMap
{
    /// <summary>Primary 8259A.</summary>
    public const ushort PrimaryPic = 0x20;

    /// <summary>Secondary 8259A.</summary>
    public const ushort SecondaryPic = 0xa0;

    /// <summary>Edge/level control registers of both 8259A.</summary>
    public const ushort EdgeLevelControl = 0x4d0;

    /// <summary>8254 counters and control word.</summary>
    public const ushort Pit = 0x40;

    /// <summary>System control port B: gate of counter 2, speaker, refresh toggle.</summary>
    public const ushort SystemControlB = 0x61;

    /// <summary>i8042 data register.</summary>
    public const ushort KeyboardData = 0x60;

    /// <summary>i8042 status and command register.</summary>
    public const ushort KeyboardCommand = 0x64;

    /// <summary>RTC index and data.</summary>
    public const ushort Rtc = 0x70;

    /// <summary>Power-on self test code.</summary>
    public const ushort Post = 0x80;

    /// <summary>System control port A: fast A20 and reset.</summary>
    public const ushort SystemControlA = 0x92;

    /// <summary>Exit device of the test machine.</summary>
    public const ushort TestExit = 0xf4;

    /// <summary>Latch of the test device (4 bytes).</summary>
    public const ushort TestLatch = 0xe0;

    /// <summary>Where the test device is told of pages to be forgotten (4 bytes).</summary>
    public const ushort TestFlush = 0xe4;

    /// <summary>Second latch of the test device (4 bytes).</summary>
    public const ushort TestByteLatch = 0xe8;

    /// <summary>First of the test device's ports that drive interrupt lines.</summary>
    public const ushort TestLines = 0x2000;

    /// <summary>Number of interrupt lines that the test device drives.</summary>
    public const int TestLineCount = 24;

    /// <summary>Memory-mapped latch of the test device.</summary>
    public const ulong TestMemory = 0xff00_0000;

    /// <summary>Length of the test device's memory-mapped latch.</summary>
    public const int TestMemoryLength = 0x1_0000;

    /// <summary>Selector and data of the firmware configuration that test programs read.</summary>
    public const ushort FirmwareConfiguration = 0x510;

    /// <summary>First serial port.</summary>
    public const ushort Com1 = 0x3f8;

    /// <summary>Second serial port.</summary>
    public const ushort Com2 = 0x2f8;

    /// <summary>Panic notification device.</summary>
    public const ushort Panic = 0x505;

    /// <summary>ACPI PM1a event block (4 bytes).</summary>
    public const ushort Pm1Event = 0x600;

    /// <summary>ACPI PM1a control block (2 bytes).</summary>
    public const ushort Pm1Control = 0x604;

    /// <summary>ACPI PM timer (4 bytes).</summary>
    public const ushort PmTimer = 0x608;

    /// <summary>ACPI general-purpose event block 0 (status, then enable; <see cref="GeneralPurposeEventLength"/> bytes).</summary>
    public const ushort GeneralPurposeEvent = 0x620;

    /// <summary>Length of the general-purpose event block in bytes.</summary>
    public const int GeneralPurposeEventLength = 4;

    /// <summary>PCI configuration address register; the data register is four ports higher.</summary>
    public const ushort PciConfiguration = 0xcf8;

    /// <summary>Reset control register (inside the configuration address register, byte access only).</summary>
    public const ushort ResetControl = 0xcf9;

    /// <summary>Hot-plug of PCI slots.</summary>
    public const ushort PciHotPlug = 0xae00;

    /// <summary>Start of the 32-bit window for PCI memory. RAM below 4 GiB ends at <see cref="PciConfigurationWindow"/> at the latest.</summary>
    public const ulong PciMemory = 0xc000_0000;

    /// <summary>End (exclusive) of the 32-bit window for PCI memory.</summary>
    public const ulong PciMemoryEnd = 0xfec0_0000;

    /// <summary>PCI Express configuration window (ECAM).</summary>
    public const ulong PciConfigurationWindow = 0xb000_0000;

    /// <summary>Length of the configuration window: 256 buses of 1 MiB.</summary>
    public const ulong PciConfigurationWindowLength = 0x1000_0000;

    /// <summary>I/O APIC registers.</summary>
    public const ulong IoApic = 0xfec0_0000;

    /// <summary>HPET registers.</summary>
    public const ulong Hpet = 0xfed0_0000;

    /// <summary>Registers of memory-mapped virtio devices, <see cref="VirtioLength"/> bytes each, for at most <see cref="VirtioCount"/> of them.</summary>
    public const ulong Virtio = 0xfed8_0000;

    /// <summary>Length of a memory-mapped virtio device's registers.</summary>
    public const ulong VirtioLength = 0x1000;

    /// <summary>Most memory-mapped virtio devices. Device n uses the interrupt line of pin INTA of PCI device n.</summary>
    public const int VirtioCount = 32;

    /// <summary>Local APIC page after reset.</summary>
    public const ulong LocalApic = 0xfee0_0000;

    /// <summary>Interrupt line of PIT counter 0.</summary>
    public const int PitIrq = 0;

    /// <summary>Interrupt line of the keyboard.</summary>
    public const int KeyboardIrq = 1;

    /// <summary>Interrupt line of the second serial port.</summary>
    public const int Com2Irq = 3;

    /// <summary>Interrupt line of the first serial port.</summary>
    public const int Com1Irq = 4;

    /// <summary>Interrupt line of the RTC.</summary>
    public const int RtcIrq = 8;

    /// <summary>Interrupt line of ACPI (SCI): level, active high.</summary>
    public const int SciIrq = 9;

    /// <summary>Interrupt line of the i8042 auxiliary port.</summary>
    public const int AuxiliaryIrq = 12;

    /// <summary>First of the eight interrupt lines of PCI.</summary>
    public const int FirstPciIrq = 16;

    /// <summary>Number of interrupt lines of PCI.</summary>
    public const int PciIrqCount = 8;

    /// <summary>The line that pin <paramref name="pin"/> (0 is INTA) of device <paramref name="device"/> on bus 0 drives: 16 to 23. The DSDT says the same.</summary>
    public static int PciInterruptLine(int device, int pin) => FirstPciIrq + ((device + pin) & (PciIrqCount - 1));
}
