using System.Globalization;

namespace Lamina.Boot.Acpi;

/// <summary>The PC's DSDT: what cannot be found by asking the hardware.</summary>
internal static class DifferentiatedDescription
{
    private const ulong PresentAndWorking = 0x0f;
    private const int DeviceCount = 32;
    private const int PinCount = 4;
    private const int InterruptCount = 8;
    private const uint VirtioLength = 0x1000;
    private const byte HotPlugLength = 0x14;

    // PCI host bridge _OSC interface, 33db4d5b-1ff7-401c-9657-7441c03dd766 (PCI Firmware Specification 3.2, section 4.5.1).
    private static ReadOnlySpan<byte> HostBridgeInterface =>
        [0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66];

    public static byte[] Build(AcpiConfiguration configuration)
    {
        AmlWriter aml = new();
        if (configuration.SuspendType != 0)
        {
            aml.Name("\\_S3").Package(4).Integer(configuration.SuspendType).Integer(configuration.SuspendType).Integer(0).Integer(0).Close();
        }

        aml.Name("\\_S5").Package(4).Integer(configuration.SoftOffType).Integer(configuration.SoftOffType).Integer(0).Integer(0).Close();
        aml.Scope("\\_SB");
        AddProcessors(aml, configuration);
        AddHostBridge(aml, configuration);
        AddLegacyDevices(aml);
        AddPlatformDevices(aml, configuration);
        aml.Close();
        AddGenerationEvent(aml, configuration, "\\_SB.VGEN");
        if (configuration.PciHotPlug != 0)
        {
            HotPlugDescription.AddEvent(aml);
        }

        return new AcpiTable("DSDT", 2).Bytes(aml.ToArray()).Build();
    }

    /// <summary>A device for each processor.</summary>
    internal static void AddProcessors(AmlWriter aml, AcpiConfiguration configuration)
    {
        for (int i = 0; i < configuration.ProcessorCount; i++)
        {
            aml.Device(string.Create(CultureInfo.InvariantCulture, $"C{i:X3}")).Name("_HID").Text("ACPI0007").Name("_UID", (ulong)i).Close();
        }
    }

    private static void AddHostBridge(AmlWriter aml, AcpiConfiguration configuration)
    {
        aml.Device("PCI0").Name("_HID").EisaId("PNP0A08").Name("_CID").EisaId("PNP0A03").Name("_UID", 0).Name("_SEG", 0).Name("_BBN", 0);
        ResourceTemplate resources = new ResourceTemplate()
            .Buses(0, configuration.PciBusCount)
            .Io(0xcf8, 8)
            .IoRange(0x0000, 0xcf8)
            .IoRange(0x0d00, 0xf300)
            .MemoryRange(configuration.PciMemory, configuration.PciMemoryEnd - configuration.PciMemory);
        if (configuration.PciMemory64Length != 0)
        {
            resources.MemoryRange64(configuration.PciMemory64, configuration.PciMemory64Length);
        }

        aml.Name("_CRS").Buffer(resources.ToArray());
        aml.Name("_PRT").Package(DeviceCount * PinCount);
        for (int device = 0; device < DeviceCount; device++)
        {
            for (int pin = 0; pin < PinCount; pin++)
            {
                ulong interrupt = configuration.FirstPciInterrupt + (ulong)((device + pin) % InterruptCount);
                aml.Package(4).Integer(((ulong)device << 16) | 0xffff).Integer((ulong)pin).Integer(0).Integer(interrupt).Close();
            }
        }

        aml.Close();

        if (configuration.PciHotPlug != 0)
        {
            HotPlugDescription.AddSlots(aml, configuration.PciHotPlug);
        }

        // Grants whatever control the operating system asks for: there is no firmware that would want it.
        aml.Method("_OSC", 4)
            .CreateDWordField().Argument(3).Integer(0).NameString("CDW1")
            .If().NotEqual().Argument(0).Buffer(HostBridgeInterface)
            .Or().NameString("CDW1").Integer(4).NameString("CDW1")
            .Close()
            .Return().Argument(3)
            .Close();
        aml.Close();
    }

    private static void AddLegacyDevices(AmlWriter aml)
    {
        Add(aml, "COM1", "PNP0501", 1, new ResourceTemplate().Io(0x3f8, 8).Interrupt(4));
        Add(aml, "COM2", "PNP0501", 2, new ResourceTemplate().Io(0x2f8, 8).Interrupt(3));
        Add(aml, "RTC", "PNP0B00", null, new ResourceTemplate().Io(0x70, 2).Interrupt(8));
        Add(aml, "KBD", "PNP0303", null, new ResourceTemplate().Io(0x60, 1).Io(0x64, 1).Interrupt(1));
        Add(aml, "MOU", "PNP0F13", null, new ResourceTemplate().Interrupt(12));
        Add(aml, "PIC", "PNP0000", null, new ResourceTemplate().Io(0x20, 2).Io(0xa0, 2).Io(0x4d0, 2).Interrupt(2));
        Add(aml, "TIMR", "PNP0100", null, new ResourceTemplate().Io(0x40, 4).Interrupt(0));
        Add(aml, "SPKR", "PNP0800", null, new ResourceTemplate().Io(0x61, 1));
    }

    private static void AddPlatformDevices(AmlWriter aml, AcpiConfiguration configuration)
    {
        Add(aml, "HPET", "PNP0103", 0, new ResourceTemplate().FixedMemory(configuration.Hpet, 0x400));
        ResourceTemplate reserved = new ResourceTemplate()
            .FixedMemory(configuration.PciConfigurationWindow, (uint)configuration.PciBusCount << 20)
            .Io(configuration.Pm1Event, 4)
            .Io(configuration.Pm1Control, 2)
            .Io(configuration.PmTimer, 4)
            .Io(configuration.GeneralPurposeEvent, configuration.GeneralPurposeEventLength)
            .Io(0x80, 1)
            .Io(0x92, 1);
        if (configuration.PciHotPlug != 0)
        {
            reserved.Io(configuration.PciHotPlug, HotPlugLength);
        }

        Add(aml, "MRES", "PNP0C02", 0, reserved);
        for (int i = 0; i < configuration.VirtioCount; i++)
        {
            ResourceTemplate resources = new ResourceTemplate()
                .FixedMemory(configuration.Virtio + ((uint)i * VirtioLength), VirtioLength)
                .SharedInterrupt(configuration.FirstPciInterrupt + (uint)(i % InterruptCount));
            aml.Device(string.Create(CultureInfo.InvariantCulture, $"VR{i:X2}")).Name("_HID").Text("LNRO0005").Name("_UID", (ulong)i)
                .Name("_CCA", 1).Name("_STA", PresentAndWorking).Name("_CRS").Buffer(resources.ToArray()).Close();
        }

        if (configuration.HasVmBus)
        {
            // Guests want the device to have an interrupt, and use none. Its memory is that of its devices: a screen's driver takes its picture's from there.
            ResourceTemplate resources = new ResourceTemplate().Interrupt(7);
            if (configuration.VmBusMemoryLength != 0)
            {
                resources.MemoryRange(configuration.VmBusMemory, configuration.VmBusMemoryLength);
            }

            aml.Device("VMBS").Name("_HID").Text("VMBus").Name("_UID", 0).Name("_STA", PresentAndWorking)
                .Name("_CRS").Buffer(resources.ToArray()).Close();
        }

        AddGeneration(aml, configuration);
        if (configuration.Panic != 0)
        {
            aml.Device("PEVT").Name("_HID").Text("QEMU0001").Name("_STA", PresentAndWorking)
                .Name("_CRS").Buffer(new ResourceTemplate().Io(configuration.Panic, 1).ToArray()).Close();
        }
    }

    // Virtual Machine Generation ID (Microsoft, 2018): a number that changes when a machine goes on from a snapshot, so that its guest makes new random numbers. Linux goes by the second name.
    private static void AddGeneration(AmlWriter aml, AcpiConfiguration configuration)
    {
        if (configuration.Generation != 0)
        {
            aml.Device("VGEN").Name("_HID").Text("LMNA0001").Name("_CID").Package(2).Text("VM_Gen_Counter").Text("VMGENCTR").Close()
                .Name("_DDN").Text("VM_Gen_Counter").Name("_STA", PresentAndWorking)
                .Name("ADDR").Package(2).Integer((uint)configuration.Generation).Integer(configuration.Generation >> 32).Close()
                .Close();
        }
    }

    /// <summary>The event by which the device of the generation identifier is told that this has changed, if there is one.</summary>
    internal static void AddGenerationEvent(AmlWriter aml, AcpiConfiguration configuration, string device)
    {
        const ulong valueHasChanged = 0x80;
        if (configuration.Generation != 0)
        {
            aml.Scope("\\_GPE").Method(string.Create(CultureInfo.InvariantCulture, $"_E{configuration.GenerationEvent:X2}"), 0)
                .Notify().NameString(device).Integer(valueHasChanged)
                .Close().Close();
        }
    }

    private static void Add(AmlWriter aml, string name, string id, ulong? unique, ResourceTemplate resources)
    {
        aml.Device(name).Name("_HID").EisaId(id);
        if (unique is { } value)
        {
            aml.Name("_UID", value);
        }

        aml.Name("_STA", PresentAndWorking).Name("_CRS").Buffer(resources.ToArray()).Close();
    }
}
