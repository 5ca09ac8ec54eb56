using Lamina.Boot.Layout;
using Lamina.Chipset;
using Lamina.Chipset.Diagnostics;
using Lamina.Chipset.Interrupts;
using Lamina.Chipset.Keyboard;
using Lamina.Chipset.Pci;
using Lamina.Chipset.Power;
using Lamina.Chipset.Serial;
using Lamina.Chipset.Timers;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Limits;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Time;
using Lamina.Personalities;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.Diagnostics;
using Lamina.Personalities.VMware;
using Lamina.Personalities.Xen;
using Lamina.Vmm.Processors;

namespace Lamina.Vmm.Devices;

/// <summary>
/// The one list of the devices of the PC, and of the machine of Hyper-V's generation 2, which has fewer: makes them, wires their interrupt lines, and maps their registers.
/// </summary>
internal sealed class DeviceCatalog
{
    // The 8259 pair at vectors 0x08 and 0x70 with the timer's line open, and the timer at 18.2 Hz.
    private static readonly (ushort Port, byte Value)[] BiosSettings =
    [
        (PcAddressMap.PrimaryPic, 0x11), (PcAddressMap.PrimaryPic + 1, 0x08), (PcAddressMap.PrimaryPic + 1, 0x04), (PcAddressMap.PrimaryPic + 1, 0x01),
        (PcAddressMap.SecondaryPic, 0x11), (PcAddressMap.SecondaryPic + 1, 0x70), (PcAddressMap.SecondaryPic + 1, 0x02), (PcAddressMap.SecondaryPic + 1, 0x01),
        (PcAddressMap.PrimaryPic + 1, 0xfa), (PcAddressMap.SecondaryPic + 1, 0xff),
        (PcAddressMap.Pit + 3, 0x34), (PcAddressMap.Pit, 0), (PcAddressMap.Pit, 0),
    ];

    private readonly List<IDevice> _devices = [];
    private readonly AddressSpace _ports;
    private readonly Rtc _clock;
    private readonly bool _hasLegacyInterrupts;

    internal DeviceCatalog(
        AddressSpace ports,
        AddressSpace mmio,
        IMachineClock clock,
        IPlatformEvents events,
        MachineLayout layout,
        ulong tscFrequency,
        ulong crystalFrequency,
        int physicalAddressBits,
        MachineSettings settings,
        bool isPvh,
        GuestMemory memory,
        IHotPlugEvents hotPlug,
        Action<IDisposable> own,
        Action<string> notice)
    {
        _ports = ports;
        ApicBus apicBus = ApicBus = new();
        LocalApics = new LocalApic[settings.ProcessorCount];
        for (int i = 0; i < settings.ProcessorCount; i++)
        {
            LocalApics[i] = Add(new LocalApic($"lapic{i}", (uint)i, i == 0, apicBus, clock, tscFrequency, crystalFrequency, physicalAddressBits));
        }

        bool isPc = !settings.IsGeneration2;
        PicPair? pic = isPc ? Add(new PicPair("pic", new MonitorLock(), apicBus)) : null;
        pic?.Map(ports);
        _hasLegacyInterrupts = pic != null;
        IoApic ioApic = Add(new IoApic("ioapic", new MonitorLock(), apicBus));
        ioApic.Map(mmio);
        InterruptRouter router = new(pic, ioApic);
        InterruptLine Line(int number) => new(router, number);

        if (isPc)
        {
            Pit pit = Add(new Pit("pit", clock, new MonitorLock(), Line(PcAddressMap.PitIrq)));
            pit.Map(ports);
            router.Attach(pit);
        }

        _clock = Add(new Rtc("rtc", clock, new MonitorLock(), Line(PcAddressMap.RtcIrq), layout.LowMemoryEnd, layout.UpperMemoryLength));
        _clock.Map(ports);
        if (isPc)
        {
            Add(new Hpet("hpet", clock, new MonitorLock(), router)).Map(mmio);
        }

        Uart0 = Add(new Uart("uart0", clock, new MonitorLock(), Line(PcAddressMap.Com1Irq), settings.Serial0));
        Uart0.Map(ports, PcAddressMap.Com1);
        Uart1 = Add(new Uart("uart1", clock, new MonitorLock(), Line(PcAddressMap.Com2Irq), settings.Serial1));
        Uart1.Map(ports, PcAddressMap.Com2);
        KeyboardController? keyboard = isPc ? Add(new KeyboardController("i8042", new MonitorLock(), Line(PcAddressMap.KeyboardIrq), Line(PcAddressMap.AuxiliaryIrq), events)) : null;
        keyboard?.Map(ports);
        Power = Add(new AcpiPowerManagement(
            "acpi", clock, new MonitorLock(), Line(PcAddressMap.SciIrq), events, CanSuspend(settings.Personality), isPc ? PowerLayout.Pc : PowerLayout.Generation2));
        Power.Map(ports);
        if (CanSuspend(settings.Personality))
        {
            // Where the FADT says that the alarm has a bit of the fixed registers.
            _clock.Connect(Power);
        }

        PciBus? pci = null;
        if (isPc)
        {
            Add(new SystemControlPort("port92", new MonitorLock(), events)).Map(ports);
            pci = new PciBus(new MonitorLock(), ports, mmio, router);
            ResetControl resetControl = Add(new ResetControl("reset", new MonitorLock(), events));
            Add(new PciHostBridge("pcihost", new MonitorLock(), pci, resetControl)).Map(ports, mmio);
        }

        StolenTime = new StolenTime(settings.ProcessorCount);
        own(StolenTime);
        PersonalitySettings personality = new()
        {
            Gate = new MonitorLock(),
            Memory = memory,
            Clock = clock,
            Messages = apicBus,
            Lines = isPvh ? null : router,
            ProcessorCount = settings.ProcessorCount,
            TscFrequency = tscFrequency,
            LocalTimerFrequency = crystalFrequency,
            Requests = new GuestRequests(events),
        };
        Personality = Add(PersonalityCatalog.Create(settings.Personality, personality, StolenTime, [settings.Accelerator, .. settings.CompatibleWith], settings.Console));
        IMessageInterruptSink messages = Personality is XenPersonality xen ? xen.TakeMessages(apicBus) : apicBus;
        if (settings.Personality != PersonalityKind.Kvm)
        {
            Paravirtual = new ParavirtualCatalog(settings, clock, own, notice);
            settings = Paravirtual.Add(settings, isPvh, Personality, memory, pci, ports, mmio, messages, User, this);
            _devices.AddRange(Paravirtual.Devices);
        }

        if (keyboard != null)
        {
            User.Add(keyboard);
        }

        Virtio = new VirtioCatalog(settings, memory, clock, pci, mmio, messages, own, notice, Paravirtual?.TakenSlots ?? 0);
        _devices.AddRange(Virtio.Devices);
        if (pci != null)
        {
            HotPlug = Add(new PciHotPlug("hotplug", new MonitorLock(), pci, Power, hotPlug));
            HotPlug.Map(ports);
            AllowRemoval(HotPlug);
            Add(new PanicDevice("panic", events)).Map(ports);
            Add(new ExitDevice("exit", events)).Map(ports);
        }

        Post = Add(new PostPort("post"));
        Post.Map(ports);
        if (settings.HasTestDevices)
        {
            Add(new TestDevice("testdev", [.. Enumerable.Range(0, PcAddressMap.TestLineCount).Select(Line)])).Map(ports, mmio);
            // A machine that was saved before there was one goes on without it.
            const string ConnectionTest = "hvtestdev";
            if (Personality is HyperVPersonality hypervisor && settings.Snapshot?.HasRecord(ConnectionTest) != false)
            {
                Add(new ConnectionTestDevice(ConnectionTest, new MonitorLock(), hypervisor)).Map(ports);
            }

            Add(new FirmwareConfiguration("fwcfg", new MonitorLock(), layout.MemorySize, settings.ProcessorCount)).Map(ports);
        }
    }

    /// <summary>All of them, in the order in which they start and reset.</summary>
    internal IReadOnlyList<IDevice> Devices => _devices;

    /// <summary>What carries interrupts to the local APICs.</summary>
    internal ApicBus ApicBus { get; }

    /// <summary>The local APICs, by processor.</summary>
    internal LocalApic[] LocalApics { get; }

    /// <summary>The power button.</summary>
    internal AcpiPowerManagement Power { get; }

    /// <summary>What firmware and tests say of how far they are.</summary>
    internal PostPort Post { get; }

    /// <summary>The hypervisor that the guest sees.</summary>
    internal IPersonality Personality { get; }

    /// <summary>What the host took of the processors' time.</summary>
    internal StolenTime StolenTime { get; }

    /// <summary>The personality's disks and network cards; null if these are virtio devices.</summary>
    internal ParavirtualCatalog? Paravirtual { get; }

    /// <summary>What a person uses: keyboards, pointer, screen.</summary>
    internal UserDevices User { get; } = new();

    /// <summary>The disks' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Disks => Paravirtual?.Disks ?? Virtio.Disks;

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Networks => Paravirtual is { Networks.Count: > 0 } own ? own.Networks : Virtio.Networks;

    /// <summary>The memory balloon; null if there is none.</summary>
    internal MemoryBalloon? Balloon => Paravirtual?.Balloon ?? Virtio.Balloon;

    /// <summary>The virtio devices.</summary>
    internal VirtioCatalog Virtio { get; }

    /// <summary>What lets PCI devices come and go; null without PCI.</summary>
    internal PciHotPlug? HotPlug { get; }

    /// <summary>COM1.</summary>
    internal Uart Uart0 { get; }

    /// <summary>COM2.</summary>
    internal Uart Uart1 { get; }

    internal void Start()
    {
        foreach (IDevice device in _devices)
        {
            device.Start();
        }
    }

    /// <summary>Tells the networks where the cards' addresses are now. Before they start.</summary>
    internal void AnnounceNetworks()
    {
        foreach (LimitedDevice device in Networks)
        {
            (device.Way as LimitedNetwork)?.Announce();
        }
    }

    internal void Stop()
    {
        for (int i = _devices.Count - 1; i >= 0; i--)
        {
            _devices[i].Stop();
        }
    }

    /// <summary>Whether a machine of this personality offers S3: the devices of the others lose what their drivers do not set again.</summary>
    internal static bool CanSuspend(PersonalityKind personality) => personality == PersonalityKind.Kvm;

    /// <summary>Resets all devices, and then does to them what firmware does before it starts a system.</summary>
    internal void Reset()
    {
        Power.Reset();
        _clock.Reset();
        LosePower();
    }

    /// <summary>Does so to all but those that have power while the machine sleeps.</summary>
    internal void LosePower()
    {
        foreach (IDevice device in _devices)
        {
            if (device != Power && device != _clock)
            {
                device.Reset();
            }
        }

        if (_hasLegacyInterrupts)
        {
            LocalApics[0].EnterVirtualWireMode();
        }

        ApicBus.ShowReset();
    }

    /// <summary>After <see cref="Reset"/>: what a BIOS does to the interrupt controllers and the timer, for kernels that are entered as from one.</summary>
    internal void EnterBiosState()
    {
        foreach ((ushort port, byte value) in BiosSettings)
        {
            _ports.Write(port, [value]);
        }
    }

    /// <summary>Takes a device that has come while the machine runs. On the control thread.</summary>
    internal void Add(IDevice device) => _devices.Add(device);

    /// <summary>The time of day has gone on while the machine stood still: the guest's services are to set it. Any thread; takes their locks, so none of the machine's may be held.</summary>
    internal void SetTime()
    {
        Paravirtual?.Services?.TimeSync.Continue();
        (Personality as VMwarePersonality)?.Tools.Continue();
    }

    /// <summary>Forgets a device that has gone. On the control thread.</summary>
    internal void Remove(IDevice device) => _devices.Remove(device);

    /// <summary>Forgets the device of a name. On the control thread.</summary>
    internal void Remove(string name) => _devices.RemoveAll(d => d.Name == name);

    private void AllowRemoval(PciHotPlug hotPlug)
    {
        foreach (AttachedDevice attached in Virtio.Attached)
        {
            hotPlug.SetRemovable(attached.Slot, Virtio.CanChange);
        }

        foreach (ParavirtualNetwork network in Paravirtual?.AttachedNetworks ?? [])
        {
            if (network.Slot is { } slot)
            {
                hotPlug.SetRemovable(slot, Virtio.CanChange);
            }
        }
    }

    private T Add<T>(T device)
        where T : IDevice
    {
        _devices.Add(device);
        return device;
    }
}
