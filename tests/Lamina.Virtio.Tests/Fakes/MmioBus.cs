using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;
using Lamina.Virtio.Transport;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>A device behind its memory-mapped registers, as a driver sees it.</summary>
internal sealed class MmioBus : IPciPins, ITestTransport
{
    public MmioBus(VirtioDevice device)
    {
        Transport = new MmioTransport(device, this, 5);
        Transport.Start();
    }

    public MmioTransport Transport { get; }

    public IDevice Lifecycle => Transport;

    public bool Line { get; private set; }

    public byte Status
    {
        get => (byte)Read(0x70);
        set => Write(0x70, value);
    }

    public ulong OfferedFeatures
    {
        get
        {
            Write(0x14, 0);
            ulong low = Read(0x10);
            Write(0x14, 1);
            return low | ((ulong)Read(0x10) << 32);
        }
    }

    public void Choose(ulong features)
    {
        Write(0x24, 0);
        Write(0x20, (uint)features);
        Write(0x24, 1);
        Write(0x20, (uint)(features >> 32));
    }

    public void Begin(ulong features, params DriverQueue[] queues)
    {
        Status = 0;
        Assert.Equal(0, Status);
        Status = 1;
        Status = 3;
        Choose(features);
        Status = 11;
        Assert.Equal(11, Status);
        for (int i = 0; i < queues.Length; i++)
        {
            Write(0x30, (uint)i);
            Assert.Equal(0u, Read(0x44));
            Assert.True(Read(0x34) >= queues[i].Size);
            Write(0x38, queues[i].Size);
            Write(0x80, (uint)queues[i].Descriptors);
            Write(0x84, (uint)(queues[i].Descriptors >> 32));
            Write(0x90, (uint)queues[i].Driver);
            Write(0x94, (uint)(queues[i].Driver >> 32));
            Write(0xa0, (uint)queues[i].Device);
            Write(0xa4, (uint)(queues[i].Device >> 32));
            Write(0x44, 1);
            Assert.Equal(1u, Read(0x44));
        }

        Status = 15;
        Assert.Equal(15, Status);
        TakeInterrupts();
    }

    public void Kick(int queue) => Write(0x50, (uint)queue);

    public (bool Queue, bool Configuration) TakeInterrupts()
    {
        uint status = Read(0x60);
        Assert.Equal(status != 0, Line);
        Write(0x64, status);
        Assert.False(Line);
        return ((status & 1) != 0, (status & 2) != 0);
    }

    public ulong ReadDevice(uint offset, int length)
    {
        Span<byte> data = stackalloc byte[length];
        Assert.Equal(AccessResult.Done, Transport.Read(0x100 + offset, data));
        return LittleEndian.Get(data);
    }

    public uint Read(uint offset)
    {
        Span<byte> data = stackalloc byte[4];
        Assert.Equal(AccessResult.Done, Transport.Read(offset, data));
        return (uint)LittleEndian.Get(data);
    }

    public void Write(uint offset, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        LittleEndian.Put(data, value);
        Assert.Equal(AccessResult.Done, Transport.Write(offset, data));
    }

    public void SetPin(int device, int pin, bool asserted)
    {
        Assert.Equal((5, 0, !asserted), (device, pin, Line));
        Line = asserted;
    }

    public void RestorePin(int device, int pin, bool asserted) => Line = asserted;
}
