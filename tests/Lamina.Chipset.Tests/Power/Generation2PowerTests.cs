using Lamina.Chipset.Interrupts;
using Lamina.Chipset.Power;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Power;

/// <summary>ACPI's registers where a machine of Hyper-V's generation 2 has them, and its I/O APIC, which has no 8259 pair beside it.</summary>
public sealed class Generation2PowerTests
{
    private readonly RecordingEvents _events = new();
    private readonly ManualClock _clock = new();
    private readonly ApicBus _bus = new();
    private readonly AddressSpace _ports = new(AddressSpace.PortCount, new CheckedLock());
    private readonly AddressSpace _mmio = new(1UL << 46, new CheckedLock());
    private readonly LocalApic _apic;
    private readonly InterruptRouter _router;
    private readonly AcpiPowerManagement _power;

    public Generation2PowerTests()
    {
        _apic = new LocalApic("lapic0", 0, true, _bus, _clock, 1_000_000_000, physicalAddressBits: 46);
        _apic.Connect(new RecordingProcessor());
        IoApic ioApic = new("ioapic", new CheckedLock(), _bus);
        ioApic.Map(_mmio);
        _router = new InterruptRouter(null, ioApic);
        _power = new AcpiPowerManagement("acpi", _clock, new CheckedLock(), new InterruptLine(_router, PcAddressMap.SciIrq), _events, canSuspend: false, PowerLayout.Generation2);
        _power.Map(_ports);
        _power.Start();
    }

    [Fact]
    public void TheSleepControlRegisterSwitchesOff()
    {
        Out(0x405, 0x00); // S5 has type 0; not yet enabled.
        Out(0x405, 0x24); // Type 1, which is nothing here.
        Out(0x405, 0x34); // Type 5, which is the PC's.
        Assert.Equal(0, _events.PowerOffs);
        Out(0x405, 0x20);
        Assert.Equal(1, _events.PowerOffs);
        Assert.Equal(0, In(0x405));
        Assert.Equal(1, In(0x404)); // Always in ACPI mode.
    }

    [Fact]
    public void SoDoesTheControlBlock()
    {
        _ports.Write(0x404, [0x01, 0x20]);
        Assert.Equal(1, _events.PowerOffs);
    }

    [Fact]
    public void TheResetRegisterTakesItsValueAlone()
    {
        Out(0x433, 0);
        Out(0x433, 6);
        Assert.Equal(0, _events.Resets);
        Out(0x433, 1);
        Assert.Equal(1, _events.Resets);
        Assert.Equal(0xff, In(0x433));
    }

    [Fact]
    public void EventsArriveByTheIoApic()
    {
        _apic.WritePage(0xf0, [0xff, 1, 0, 0]);
        Redirect(9, 0x8049);
        Redirect(4, 0x44);
        _ports.Write(0x40e, [0x01, 0x00]);
        Assert.False(_apic.TryAcknowledge(out _));
        _power.RaiseGeneralEvent(0);
        Assert.True(_apic.TryAcknowledge(out byte vector));
        Assert.Equal(0x49, vector);
        Assert.Equal(1, In(0x40c));
        _ports.Write(0x40c, [0x01, 0x00]);
        _apic.WritePage(0xb0, [0, 0, 0, 0]);
        Assert.False(_apic.TryAcknowledge(out _));

        // A line that would reach an 8259, too.
        _router.SetLine(4, true);
        Assert.True(_apic.TryAcknowledge(out vector));
        Assert.Equal(0x44, vector);
    }

    [Fact]
    public void TheTimerIsWhereTheTablesSay()
    {
        byte[] data = new byte[4];
        _clock.Advance(1_000_000_000);
        _ports.Read(0x408, data);
        Assert.InRange(BitConverter.ToUInt32(data), 3_579_544u, 3_579_546u);
        Assert.Equal(AccessResult.Unclaimed, _ports.Read(0x608, data));
    }

    private byte In(ulong port)
    {
        byte[] data = new byte[1];
        Assert.Equal(AccessResult.Done, _ports.Read(port, data));
        return data[0];
    }

    private void Out(ulong port, byte value) => Assert.Equal(AccessResult.Done, _ports.Write(port, [value]));

    private void Redirect(int pin, uint low)
    {
        _mmio.Write(0xfec0_0000, [(byte)(0x11 + (2 * pin)), 0, 0, 0]);
        _mmio.Write(0xfec0_0010, [0, 0, 0, 0]);
        _mmio.Write(0xfec0_0000, [(byte)(0x10 + (2 * pin)), 0, 0, 0]);
        _mmio.Write(0xfec0_0010, BitConverter.GetBytes(low));
    }
}
