using System.Buffers.Binary;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Fuzz.Devices;

/// <summary>
/// A guest's kernel that knows how devices are spoken to, and does so badly. It gives PCI functions their addresses, brings virtio devices up with queues that lie somewhere, and otherwise
/// touches every register of whatever is mapped: a new device is among them when it is in the catalog.
/// </summary>
internal sealed class HostileDriver(FuzzedMachine machine, Random random)
{
    private const ushort ConfigurationAddress = 0xcf8;
    private const ushort ConfigurationData = 0xcfc;
    private const ushort VirtioVendor = 0x1af4;
    private const ulong FirstWindow = 0xe000_0000;
    private const ulong WindowStep = 0x10_0000;
    private const uint FirstPort = 0xc000;
    private const uint PortStep = 0x100;
    private const int QueueEntries = 16;
    private static readonly int[] Widths = [1, 2, 4, 8];
    private readonly List<(int Function, ulong Window, List<ulong[]> Queues)> _virtio = [];
    private readonly List<int> _functions = [];
    private readonly HostileVmBus _bus = new(machine, random);
    private readonly HostileXen _xen = new(machine, random);

    /// <summary>Finds the functions, and gives them addresses.</summary>
    public void BringUp()
    {
        FillMemory();
        ulong window = FirstWindow;
        uint port = FirstPort;
        for (int function = 8; function < 256; function++)
        {
            uint identity = ReadConfiguration(function, 0);
            if (identity is 0xffffffff or 0)
            {
                continue;
            }

            _functions.Add(function);
            ulong first = window;
            for (int bar = 0x10; bar < 0x28; bar += 4)
            {
                WriteConfiguration(function, bar, uint.MaxValue);
                uint size = ReadConfiguration(function, bar);
                bool isPort = (size & 1) != 0;
                WriteConfiguration(function, bar, isPort ? port : (uint)window);
                port += isPort ? PortStep : 0;
                window += isPort || size == 0 ? 0 : WindowStep;
            }

            WriteConfiguration(function, 4, 7);
            if ((ushort)identity == VirtioVendor)
            {
                _virtio.Add((function, first, BringUpVirtio(first)));
            }
        }

        _bus.BringUp();
        _xen.BringUp();
    }

    /// <summary>Does one thing.</summary>
    public void Step()
    {
        switch (random.Next(16))
        {
            case 0 or 1 or 2:
                Touch(machine.Ports, isPort: true);
                break;
            case 3 or 4 or 5:
                Touch(machine.Mmio, isPort: false);
                break;
            case 6 when _functions.Count > 0:
                int function = _functions[random.Next(_functions.Count)];
                int register = random.Next(64) * 4;

                // Often enough its addresses and its enabling bits stay.
                if (random.Next(4) == 0 || register is >= 0x28 or 0)
                {
                    WriteConfiguration(function, register, (uint)Number());
                }

                ReadConfiguration(function, register);
                break;
            case 7 or 8 or 9 when _virtio.Count > 0:
                OfferBuffers();
                break;
            case 10:
                FillPage();
                break;
            case 12 or 13 or 14 or 15:
                _bus.Step();
                _xen.Step();
                break;
            default:
                TouchProcessor();
                break;
        }
    }

    private static ulong Spread(ulong value, int size) => size == 8 ? value : value & ((1UL << (8 * size)) - 1);

    private ulong Number() => FuzzValues.Number(random, FuzzedMachine.RamLength);

    private ulong Page() => (ulong)random.Next(1, (int)(FuzzedMachine.RamLength >> 12)) << 12;

    private void FillMemory()
    {
        for (int i = 0; i < 64; i++)
        {
            FillPage();
        }
    }

    private void FillPage()
    {
        byte[] page = new byte[4096];
        for (int at = 0; at < page.Length; at += 8)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(at), random.Next(3) == 0 ? Page() | ((ulong)random.Next(1, 4097) << 32) : Number());
        }

        machine.Memory.TryWrite(Page(), page);
    }

    private void Touch(AddressSpace space, bool isPort)
    {
        ReadOnlySpan<AddressMapping> all = space.Mappings;
        AddressMapping mapping = all[random.Next(all.Length)];
        int width = Widths[random.Next(isPort ? 3 : 4)];
        ulong offset = mapping.Length > (ulong)width ? (ulong)random.NextInt64((long)mapping.Length) : 0;
        offset = random.Next(8) == 0 ? offset : offset & ~((ulong)width - 1);
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, Spread(Number(), width));
        if (random.Next(3) == 0)
        {
            space.Read(mapping.Address + offset, data[..width]);
        }
        else
        {
            space.Write(mapping.Address + offset, data[..width]);
        }
    }

    private void TouchProcessor()
    {
        int processor = random.Next(2);
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, Number());
        int width = Widths[random.Next(4)];
        switch (random.Next(3))
        {
            case 0:
                machine.Devices.LocalApics[processor].WritePage((ulong)random.Next(4096 - width), data[..width]);
                break;
            case 1:
                machine.Devices.LocalApics[processor].ReadPage((ulong)random.Next(4096 - width), data[..width]);
                break;
            default:
                GuestRequests.Make(machine, random, processor);
                break;
        }
    }

    private List<ulong[]> BringUpVirtio(ulong window)
    {
        List<ulong[]> queues = [];
        Write(window + 0x14, 0, 1);
        Write(window + 0x14, 3, 1);
        for (uint half = 0; half < 2; half++)
        {
            Write(window, half, 4);
            uint offered = (uint)Read(window + 4, 4);
            Write(window + 8, half, 4);

            // Split rings, and a version that it must have; the rest as it comes. Packed ones have a test of their own.
            Write(window + 12, half == 1 ? (offered & 1) : offered & (uint)random.Next(), 4);
        }

        Write(window + 0x14, 11, 1);
        ulong count = Math.Min(Read(window + 0x12, 2), 8);
        for (ulong queue = 0; queue < count; queue++)
        {
            ulong[] places = [Page(), Page(), Page()];
            Write(window + 0x16, queue, 2);
            Write(window + 0x18, QueueEntries, 2);
            for (uint i = 0; i < 3; i++)
            {
                Write(window + 0x20 + (8 * i), places[i], 4);
                Write(window + 0x24 + (8 * i), 0, 4);
            }

            Write(window + 0x1c, 1, 2);
            queues.Add(places);
        }

        Write(window + 0x14, 15, 1);
        return queues;
    }

    // A chain that makes sense as a chain, of which nothing else need make sense, and a doorbell.
    private void OfferBuffers()
    {
        (int _, ulong window, List<ulong[]> queues) = _virtio[random.Next(_virtio.Count)];
        if (queues.Count == 0)
        {
            return;
        }

        int queue = random.Next(queues.Count);
        ulong[] places = queues[queue];
        int length = random.Next(1, 6);
        int head = random.Next(QueueEntries);
        Span<byte> descriptor = stackalloc byte[16];
        bool writes = false;
        for (int i = 0; i < length; i++)
        {
            writes |= random.Next(3) == 0;
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, random.Next(16) == 0 ? Number() : Page() + (ulong)random.Next(4096));
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], random.Next(16) == 0 ? (uint)Number() : (uint)random.Next(1, random.Next(2) == 0 ? 64 : 9000));
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)((i + 1 < length ? 1 : 0) | (writes ? 2 : 0) | (random.Next(64) == 0 ? 4 : 0)));
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], (ushort)((head + i + 1) % QueueEntries));
            machine.Memory.TryWrite(places[0] + (16 * (ulong)((head + i) % QueueEntries)), descriptor);

            // What begins with a small number is what many devices take for a request.
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, (ulong)random.Next(48));
            machine.Memory.TryWrite(BinaryPrimitives.ReadUInt64LittleEndian(descriptor), descriptor[..8]);
        }

        Span<byte> index = stackalloc byte[2];
        machine.Memory.TryRead(places[1] + 2, index);
        ushort next = BinaryPrimitives.ReadUInt16LittleEndian(index);
        BinaryPrimitives.WriteUInt16LittleEndian(index, (ushort)head);
        machine.Memory.TryWrite(places[1] + 4 + (2 * (ulong)(next % QueueEntries)), index);
        BinaryPrimitives.WriteUInt16LittleEndian(index, (ushort)(next + 1));
        machine.Memory.TryWrite(places[1] + 2, index);
        Write(window + 0x3000 + (4 * (ulong)queue), (ulong)queue, 2);
    }

    private ulong Read(ulong address, int width)
    {
        Span<byte> data = stackalloc byte[8];
        data.Clear();
        machine.Mmio.Read(address, data[..width]);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    private void Write(ulong address, ulong value, int width)
    {
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        machine.Mmio.Write(address, data[..width]);
    }

    private uint ReadConfiguration(int function, int register)
    {
        Span<byte> data = stackalloc byte[4];
        Select(function, register);
        machine.Ports.Read(ConfigurationData, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    private void WriteConfiguration(int function, int register, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        Select(function, register);
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        machine.Ports.Write(ConfigurationData, data);
    }

    private void Select(int function, int register)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, 0x80000000 | ((uint)function << 8) | (uint)register);
        machine.Ports.Write(ConfigurationAddress, data);
    }
}
