using Lamina.Chipset.Diagnostics;
using Lamina.Chipset.Interrupts;
using Lamina.Chipset.Keyboard;
using Lamina.Chipset.Pci;
using Lamina.Chipset.Power;
using Lamina.Chipset.Serial;
using Lamina.Chipset.Timers;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests;

/// <summary>Every device of the PC on one board with a manual clock, wired as a machine wires them.</summary>
internal sealed class TestBoard
{
    public const ulong TscFrequency = 2_000_000_000;

    public TestBoard(int processors = 2)
    {
        Ports = new AddressSpace(AddressSpace.PortCount, new CheckedLock());
        Mmio = new AddressSpace(1UL << 46, new CheckedLock());
        Pic = new PicPair("pic", new CheckedLock(), Bus);
        Apics = [.. Enumerable.Range(0, processors).Select(i => new LocalApic($"lapic{i}", (uint)i, i == 0, Bus, Clock, TscFrequency, physicalAddressBits: 46))];
        Processors = [.. Apics.Select(_ => new RecordingProcessor())];
        for (int i = 0; i < processors; i++)
        {
            Apics[i].Connect(Processors[i]);
        }

        IoApic = new IoApic("ioapic", new CheckedLock(), Bus);
        Router = new InterruptRouter(Pic, IoApic);
        Pit = new Pit("pit", Clock, new CheckedLock(), Line(PcAddressMap.PitIrq));
        Rtc = new Rtc("rtc", Clock, new CheckedLock(), Line(PcAddressMap.RtcIrq), 1UL << 30, 0);
        Hpet = new Hpet("hpet", Clock, new CheckedLock(), Router);
        Uart = new Uart("uart0", Clock, new CheckedLock(), Line(PcAddressMap.Com1Irq), Output);
        Keyboard = new KeyboardController("i8042", new CheckedLock(), Line(PcAddressMap.KeyboardIrq), Line(PcAddressMap.AuxiliaryIrq), Events);
        Power = new AcpiPowerManagement("acpi-pm", Clock, new CheckedLock(), Line(PcAddressMap.SciIrq), Events, canSuspend: true, PowerLayout.Pc);
        Rtc.Connect(Power);
        PortA = new SystemControlPort("port92", new CheckedLock(), Events);
        ResetControl = new ResetControl("reset", new CheckedLock(), Events);
        PciBus = new PciBus(new CheckedLock(), Ports, Mmio, Router);
        HostBridge = new PciHostBridge("host-bridge", new CheckedLock(), PciBus, ResetControl);
        HotPlug = new PciHotPlug("hotplug", new CheckedLock(), PciBus, Power, Events);
        Panic = new PanicDevice("pvpanic", Events);
        Exit = new ExitDevice("exit", Events);
        Post = new PostPort("post");
        Test = new TestDevice("testdev", [.. Enumerable.Range(0, PcAddressMap.TestLineCount).Select(Line)]);
        Configuration = new FirmwareConfiguration("fwcfg", new CheckedLock(), 1UL << 30, processors);
        Pic.Map(Ports);
        IoApic.Map(Mmio);
        Pit.Map(Ports);
        Rtc.Map(Ports);
        Hpet.Map(Mmio);
        Uart.Map(Ports, PcAddressMap.Com1);
        Keyboard.Map(Ports);
        Power.Map(Ports);
        PortA.Map(Ports);
        HostBridge.Map(Ports, Mmio);
        HotPlug.Map(Ports);
        Panic.Map(Ports);
        Exit.Map(Ports);
        Post.Map(Ports);
        Test.Map(Ports, Mmio);
        Configuration.Map(Ports);
        Devices = [Pic, .. Apics, IoApic, Pit, Rtc, Hpet, Uart, Keyboard, Power, PortA, ResetControl, HostBridge, HotPlug, Panic, Exit, Post, Test, Configuration];
        foreach (IDevice device in Devices)
        {
            device.Start();
        }
    }

    public ManualClock Clock { get; } = new();

    public ApicBus Bus { get; } = new();

    public RecordingEvents Events { get; } = new();

    public RecordingOutput Output { get; } = new();

    public AddressSpace Ports { get; }

    public AddressSpace Mmio { get; }

    public PicPair Pic { get; }

    public LocalApic[] Apics { get; }

    public RecordingProcessor[] Processors { get; }

    public IoApic IoApic { get; }

    public InterruptRouter Router { get; }

    public Pit Pit { get; }

    public Rtc Rtc { get; }

    public Hpet Hpet { get; }

    public Uart Uart { get; }

    public KeyboardController Keyboard { get; }

    public AcpiPowerManagement Power { get; }

    public SystemControlPort PortA { get; }

    public ResetControl ResetControl { get; }

    public PciBus PciBus { get; }

    public PciHostBridge HostBridge { get; }

    public PciHotPlug HotPlug { get; }

    public PanicDevice Panic { get; }

    public ExitDevice Exit { get; }

    public PostPort Post { get; }

    public TestDevice Test { get; }

    public FirmwareConfiguration Configuration { get; }

    public IDevice[] Devices { get; }

    public InterruptLine Line(int number) => new(Router, number);

    public byte In(ulong port) => (byte)In(port, 1);

    public uint In(ulong port, int width)
    {
        Span<byte> data = stackalloc byte[width];
        Ports.Read(port, data);
        return (uint)LittleEndian.Get(data);
    }

    public void Out(ulong port, uint value, int width = 1)
    {
        Span<byte> data = stackalloc byte[width];
        LittleEndian.Put(data, value);
        Ports.Write(port, data);
    }

    public ulong Load(ulong address, int width = 4)
    {
        Span<byte> data = stackalloc byte[width];
        Mmio.Read(address, data);
        return LittleEndian.Get(data);
    }

    public void Store(ulong address, ulong value, int width = 4)
    {
        Span<byte> data = stackalloc byte[width];
        LittleEndian.Put(data, value);
        Mmio.Write(address, data);
    }

    public uint Apic(int index, int register)
    {
        Span<byte> data = stackalloc byte[4];
        Apics[index].ReadPage((ulong)register, data);
        return (uint)LittleEndian.Get(data);
    }

    public void Apic(int index, int register, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        LittleEndian.Put(data, value);
        Apics[index].WritePage((ulong)register, data);
    }

    /// <summary>Programs an I/O APIC entry.</summary>
    public void Redirect(int pin, ulong entry)
    {
        Store(PcAddressMap.IoApic, (ulong)(0x11 + (2 * pin)));
        Store(PcAddressMap.IoApic + 0x10, entry >> 32);
        Store(PcAddressMap.IoApic, (ulong)(0x10 + (2 * pin)));
        Store(PcAddressMap.IoApic + 0x10, (uint)entry);
    }

    public ulong Redirection(int pin)
    {
        Store(PcAddressMap.IoApic, (ulong)(0x11 + (2 * pin)));
        ulong high = Load(PcAddressMap.IoApic + 0x10);
        Store(PcAddressMap.IoApic, (ulong)(0x10 + (2 * pin)));
        return (high << 32) | Load(PcAddressMap.IoApic + 0x10);
    }

    public void EnableApics()
    {
        for (int i = 0; i < Apics.Length; i++)
        {
            Apic(i, 0xf0, 0x1ff);
        }
    }

    /// <summary>Initialises both 8259 as Linux does: bases 0x30 and 0x38, everything but the given inputs masked.</summary>
    public void InitializePics(ushort mask, byte icw4 = 0x01)
    {
        Out(0x20, 0x11);
        Out(0x21, 0x30);
        Out(0x21, 0x04);
        Out(0x21, icw4);
        Out(0xa0, 0x11);
        Out(0xa1, 0x38);
        Out(0xa1, 0x02);
        Out(0xa1, icw4);
        Out(0x21, (uint)(mask & 0xff));
        Out(0xa1, (uint)(mask >> 8));
    }

    public byte? Acknowledge(int processor = 0) => Apics[processor].TryAcknowledge(out byte vector) ? vector : null;
}
