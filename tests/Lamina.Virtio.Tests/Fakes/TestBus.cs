using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Pci;
using Lamina.Virtio.Transport;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>A device behind its PCI transport, as a driver sees it: set up by firmware, reached through the registers.</summary>
internal sealed class TestBus : IPciPins, IMessageInterruptSink, ITestTransport
{
    public const ulong Registers = 0xc000_0000;
    public const ulong Messages = 0xc001_0000;
    private readonly AddressSpace _mmio = new(1UL << 36, new CheckedLock());

    public TestBus(VirtioDevice device)
    {
        Device = device;
        Transport = new PciTransport(device, new CheckedLock(), new CheckedLock(), this);
        Transport.Function.Attach(this, 3, new AddressSpace(AddressSpace.PortCount, new CheckedLock()), _mmio);
        SetUpFunction();
        Transport.Start();
    }

    public VirtioDevice Device { get; }

    public PciTransport Transport { get; }

    public IDevice Lifecycle => Transport;

    public bool Pin { get; private set; }

    public List<uint> Sent { get; } = [];

    public void SetUpFunction()
    {
        Configure(0x10, Registers, 4);
        Configure(0x14, Messages, 4);
        Configure(0x04, 0x0006, 2);
    }

    public void Configure(int offset, ulong value, int length)
    {
        Span<byte> data = stackalloc byte[length];
        LittleEndian.Put(data, value);
        Transport.Function.WriteConfiguration(offset, data);
    }

    public ulong Configuration(int offset, int length)
    {
        Span<byte> data = stackalloc byte[length];
        Transport.Function.ReadConfiguration(offset, data);
        return LittleEndian.Get(data);
    }

    public ulong Read(uint offset, int length)
    {
        Span<byte> data = stackalloc byte[length];
        Assert.Equal(AccessResult.Done, _mmio.Read(Registers + offset, data));
        return LittleEndian.Get(data);
    }

    public void Write(uint offset, ulong value, int length)
    {
        Span<byte> data = stackalloc byte[length];
        LittleEndian.Put(data, value);
        Assert.Equal(AccessResult.Done, _mmio.Write(Registers + offset, data));
    }

    public byte Status
    {
        get => (byte)Read(0x14, 1);
        set => Write(0x14, value, 1);
    }

    public ulong OfferedFeatures
    {
        get
        {
            Write(0, 0, 4);
            ulong low = Read(4, 4);
            Write(0, 1, 4);
            return low | (Read(4, 4) << 32);
        }
    }

    /// <summary>Resets the device, agrees on features, and sets queues up, each with a message of its own.</summary>
    public void Begin(ulong features, params DriverQueue[] queues)
    {
        Status = 0;
        Assert.Equal(0, Status);
        Status = 1;
        Status = 3;
        Assert.Equal(features, features & OfferedFeatures);
        Choose(features);
        Status = 11;
        Assert.Equal(11, Status);
        EnableMessages(queues.Length + 1);
        Write(0x10, 0, 2);
        for (int i = 0; i < queues.Length; i++)
        {
            Write(0x16, (uint)i, 2);
            Write(0x18, queues[i].Size, 2);
            Write(0x1a, (uint)i + 1, 2);
            Write(0x20, queues[i].Descriptors, 8);
            Write(0x28, (uint)queues[i].Driver, 4);
            Write(0x2c, queues[i].Driver >> 32, 4);
            Write(0x30, queues[i].Device, 8);
            Write(0x1c, 1, 2);
        }

        Status = 15;
        Assert.Equal(15, Status);
        Sent.Clear();
    }

    public void Choose(ulong features)
    {
        Write(8, 0, 4);
        Write(12, (uint)features, 4);
        Write(8, 1, 4);
        Write(12, features >> 32, 4);
    }

    public (bool Queue, bool Configuration) TakeInterrupts()
    {
        (bool, bool) taken = (Sent.Any(m => m != 0), Sent.Contains(0));
        Sent.Clear();
        return taken;
    }

    public ulong ReadDevice(uint offset, int length)
    {
        // Registers longer than four bytes are read in two halves.
        return length == 8 ? Read(0x2000 + offset, 4) | (Read(0x2004 + offset, 4) << 32) : Read(0x2000 + offset, length);
    }

    public void Kick(int queue) => Write(0x3000 + (4 * (uint)queue), (uint)queue, 2);

    public void SetPin(int device, int pin, bool asserted) => Pin = asserted;

    public void RestorePin(int device, int pin, bool asserted) => Pin = asserted;

    public void Send(ulong address, uint data)
    {
        lock (Sent)
        {
            Sent.Add(data);
        }
    }

    private void EnableMessages(int count)
    {
        Span<byte> entry = stackalloc byte[16];
        for (int i = 0; i < count; i++)
        {
            entry.Clear();
            LittleEndian.Put(entry[..4], 0xfee0_0000);
            LittleEndian.Put(entry.Slice(8, 4), (uint)i);
            for (int part = 0; part < 16; part += 4)
            {
                Assert.Equal(AccessResult.Done, _mmio.Write(Messages + (16UL * (uint)i) + (uint)part, entry.Slice(part, 4)));
            }
        }

        int capability = FindCapability(0x11);
        Configure(capability + 2, 0x8000, 2);
    }

    public int FindCapability(byte id, byte type = 0)
    {
        for (int at = (int)Configuration(0x34, 1); at != 0; at = (int)Configuration(at + 1, 1))
        {
            if (Configuration(at, 1) == id && (type == 0 || Configuration(at + 3, 1) == type))
            {
                return at;
            }
        }

        throw new InvalidOperationException("There is no such capability.");
    }
}
