namespace Lamina.Boot.Acpi;

/// <summary>
/// The DSDT of a machine without PCI and legacy devices, with the devices, names and numbers of Hyper-V's generation 2 (mu_msvm, MsvmPkg/AcpiTables/Dsdt.asl). VMBus is within a module device, whose memory windows it gives to
/// its own devices: there is no PCI bus that would have them.
/// </summary>
internal static class Generation2Description
{
    private const ulong Present = 0x0f;
    private const uint PageLength = 0x1000;

    // The driver wants an interrupt among the resources, and uses a vector of each processor's.
    private const int VmBusInterrupt = 5;

    public static byte[] Build(AcpiConfiguration configuration)
    {
        AmlWriter aml = new();
        AddSleepState(aml, "\\_S0", 0);
        AddSleepState(aml, "\\_S5", configuration.SoftOffType);
        aml.Scope("\\_SB");
        DifferentiatedDescription.AddProcessors(aml, configuration);
        AddModule(aml, configuration);
        AddSerialPort(aml, "UAR1", "COM1", 1, 0x3f8, 4);
        AddSerialPort(aml, "UAR2", "COM2", 2, 0x2f8, 3);
        aml.Device("RTC0").Name("_HID").EisaId("PNP0B00").Name("_UID", 0)
            .Name("_CRS").Buffer(new ResourceTemplate().Io(0x70, 2).ExclusiveInterrupt(8).ToArray()).Close();
        if (configuration.Generation != 0)
        {
            AddGeneration(aml, configuration.Generation);
        }

        aml.Close();
        DifferentiatedDescription.AddGenerationEvent(aml, configuration, "\\_SB.GENC");
        return new AcpiTable("DSDT", 2).Bytes(aml.ToArray()).Build();
    }

    private static void AddSleepState(AmlWriter aml, string name, byte type) => aml.Name(name).Package(4).Integer(type).Integer(type).Integer(0).Integer(0).Close();

    private static void AddModule(AmlWriter aml, AcpiConfiguration configuration)
    {
        // What is memory comes first: a driver takes the lowest window that has room.
        ResourceTemplate windows = new();
        if (configuration.VmBusMemoryLength != 0)
        {
            windows.MemoryRange(configuration.VmBusMemory, configuration.VmBusMemoryLength);
        }

        windows.MemoryRange(configuration.PciMemory, configuration.PciMemoryEnd - configuration.PciMemory);
        if (configuration.PciMemory64Length != 0)
        {
            windows.MemoryRange64(configuration.PciMemory64, configuration.PciMemory64Length);
        }

        aml.Device("VMOD").Name("_HID").Text("ACPI0004").Name("_UID", 0).Name("_CRS").Buffer(windows.ToArray());
        ResourceTemplate controllers = new ResourceTemplate().FixedMemory(configuration.LocalApic, PageLength).FixedMemory(configuration.IoApic, PageLength);
        aml.Device("APIC").Name("_HID").EisaId("PNP0003").Name("_CRS").Buffer(controllers.ToArray()).Close();
        if (configuration.HasVmBus)
        {
            // Older drivers go by the second name.
            aml.Device("VMBS").Name("_HID").Text("MSFT1000").Name("_CID").Text("VMBus").Name("_DDN").Text("VMBUS").Name("_UID", 0).Name("_STA", Present)
                .Name("_CRS").Buffer(new ResourceTemplate().Interrupt(VmBusInterrupt).ToArray()).Close();
        }

        aml.Close();
    }

    private static void AddSerialPort(AmlWriter aml, string name, string label, ulong number, ushort ports, uint interrupt)
    {
        aml.Device(name).Name("_HID").EisaId("PNP0501").Name("_DDN").Text(label).Name("_UID", number)
            .Name("_CRS").Buffer(new ResourceTemplate().Io(ports, 8).ExclusiveInterrupt(interrupt).ToArray()).Close();
    }

    private static void AddGeneration(AmlWriter aml, ulong address)
    {
        aml.Device("GENC").Name("_HID").Text("MSFT1002").Name("_CID").Package(3).Text("VM_Gen_Counter").Text("VMGENCTR").Text("Hyper_V_Gen_Counter_V1").Close()
            .Name("_UID", 0).Name("_DDN").Text("VM_Gen_Counter")
            .Name("ADDR").Package(2).Integer((uint)address).Integer(address >> 32).Close()
            .Close();
    }
}
