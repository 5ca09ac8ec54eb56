using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The guest's end of the bus and of one channel of it.</summary>
internal sealed class VmBusGuest : IDisposable
{
    public const ulong MessagePage = GuestRam.Start;
    public const ulong EventPage = GuestRam.Start + 0x1000;
    public const ulong Out = GuestRam.Start + 0x2000;
    public const ulong In = GuestRam.Start + 0x6000;

    /// <summary>Where a test's buffers may lie.</summary>
    public const ulong Free = GuestRam.Start + 0x1_0000;

    private const uint RingSize = 0x3000;
    private const uint RingHandle = 77;
    private IPartitionPort _port;
    private uint _sent;
    private uint _received;

    public VmBusGuest()
    {
        Hypervisor = new HyperVPersonality(Host.CreateSettings());
        Bus = new VmBusController("vmbus", new CheckedLock(), Host.Ram.Memory, Hypervisor);
        _port = Bus;
        Hypervisor.TryWriteMsr(0, 0, HyperVMsr.MessagePage, MessagePage | 1);
        Hypervisor.TryWriteMsr(0, 0, HyperVMsr.EventFlagsPage, EventPage | 1);
        Hypervisor.TryWriteMsr(0, 0, HyperVMsr.FirstSint + 2, 0x45);
        Hypervisor.TryWriteMsr(0, 0, HyperVMsr.SControl, 1);
    }

    public TestHost Host { get; } = new();

    public GuestRam Ram => Host.Ram;

    public HyperVPersonality Hypervisor { get; }

    public VmBusController Bus { get; private set; }

    /// <summary>Whether packets that came are left in the ring.</summary>
    public bool LeavesPackets { get; set; }

    public void Dispose() => Host.Dispose();

    /// <summary>Takes a bus without devices.</summary>
    public void Rebuild() => _port = Bus = new VmBusController("vmbus", new CheckedLock(), Host.Ram.Memory, Hypervisor);

    /// <summary>Resets the bus and its devices.</summary>
    public void Reset()
    {
        foreach (IDevice device in GetRecords())
        {
            device.Reset();
        }
    }

    /// <summary>Stops the bus and saves it with its devices.</summary>
    public Dictionary<string, StateBag> Save()
    {
        Bus.Stop();
        Dictionary<string, StateBag> states = [];
        foreach (IDevice device in GetRecords())
        {
            device.Save(states[device.Name] = new StateBag());
        }

        return states;
    }

    /// <summary>Another machine with the same memory: its bus gets devices, and takes saved states.</summary>
    /// <returns>The name of what cannot be taken; null if everything was.</returns>
    public string? Restore(Dictionary<string, StateBag> states, Action<VmBusController> build)
    {
        Bus = new VmBusController("vmbus", new CheckedLock(), Host.Ram.Memory, Hypervisor);
        _port = Bus;
        build(Bus);
        string? refused = GetRecords().FirstOrDefault(d => !d.Restore(states[d.Name]))?.Name;
        if (refused is not null)
        {
            foreach (IDevice device in GetRecords())
            {
                device.Reset();
            }
        }

        return refused;
    }

    /// <summary>Saves it, and goes on with another machine, whose state is the same unless its host's is not.</summary>
    public void GoOn(Action<VmBusController> build, bool isSame = true)
    {
        Dictionary<string, StateBag> states = Save();
        Assert.Null(Restore(states, build));
        if (isSame)
        {
            Assert.Equal(Describe(states), Describe(Save()));
        }

        Bus.Start();
        Host.Clock.Advance(0);
    }

    /// <summary>A record that lacks any of its fields but those that such records did not always have, or has another kind of value there, is refused by its name; and whatever is in it, nothing throws.</summary>
    public void RefusesWhatCannotBe(string name, Action<VmBusController> build, params ushort[] optional)
    {
        Dictionary<string, StateBag> states = Save();
        StateBag good = states[name];
        Random random = new(7);
        foreach (ushort field in good.Integers.Keys.Concat(good.Bytes.Keys).ToArray())
        {
            states[name] = good.Without(field);
            Assert.Equal((field, optional.Contains(field) ? null : name), (field, Restore(states, build)));
            for (int i = 0; i < 20; i++)
            {
                states[name] = good.Without(field);
                byte[] bytes = new byte[good.Bytes.TryGetValue(field, out byte[]? before) ? before.Length : 8];
                random.NextBytes(bytes);
                if (before is null)
                {
                    states[name].Write(field, BitConverter.ToUInt64(bytes) >> random.Next(64));
                }
                else
                {
                    states[name].Write(field, bytes);
                }

                Restore(states, build);
                Bus.Start();
                Signal();
                Host.Clock.Advance(1_000_000);
                Bus.Stop();
                Bus.Reset();
            }
        }
    }

    /// <summary>Connects, and opens the only channel.</summary>
    public Guid Open()
    {
        while (Ram.Get<uint>(MessagePage + 512) != 0)
        {
            Receive();
        }

        Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Assert.Equal(15, Receive()[0]);
        Post(3);
        byte[] offer = Receive();
        Assert.Equal(4, Receive()[0]);
        StartRings();
        Assert.Equal(0u, CreateList(RingHandle, Out, 8));
        Post(5, 1, 99, RingHandle, 0, 4);
        Assert.Equal(0u, BitConverter.ToUInt32(Receive(), 16));
        return new Guid(offer.AsSpan(8, 16));
    }

    /// <summary>Empties the rings, for a channel that is to be opened on them.</summary>
    public void StartRings()
    {
        Ram.Memory.TryWrite(Out, new byte[0x8000]);
        (_sent, _received) = (0, 0);
    }

    public void Close() => Post(7, 1);

    /// <summary>Lists pages that follow each other.</summary>
    public uint CreateList(uint handle, ulong address, int pages, uint channel = 1)
    {
        int first = Math.Min(pages, 26);
        byte[] message = new byte[28 + (first * 8)];
        message[0] = 8;
        BitConverter.TryWriteBytes(message.AsSpan(8), channel);
        BitConverter.TryWriteBytes(message.AsSpan(12), handle);
        BitConverter.TryWriteBytes(message.AsSpan(16), (ushort)(8 + (pages * 8)));
        BitConverter.TryWriteBytes(message.AsSpan(18), (ushort)1);
        BitConverter.TryWriteBytes(message.AsSpan(20), pages * 4096);
        PutPages(message.AsSpan(28), address, first);
        Assert.True(_port.TryPostMessage(4, 1, message));
        for (int done = first; done < pages;)
        {
            int count = Math.Min(pages - done, 28);
            byte[] body = new byte[16 + (count * 8)];
            body[0] = 9;
            BitConverter.TryWriteBytes(body.AsSpan(12), handle);
            PutPages(body.AsSpan(16), address + ((ulong)done << 12), count);
            Assert.True(_port.TryPostMessage(4, 1, body));
            done += count;
        }

        byte[] answer = Receive();
        Assert.Equal(10, answer[0]);
        return BitConverter.ToUInt32(answer, 16);
    }

    public void Post(uint type, params uint[] words)
    {
        byte[] message = new byte[8 + (words.Length * 4)];
        message[0] = (byte)type;
        Buffer.BlockCopy(words, 0, message, 8, words.Length * 4);
        Assert.True(_port.TryPostMessage(4, 1, message));
    }

    /// <summary>Whether there is something to receive.</summary>
    public bool HasMessage => Ram.Get<uint>(MessagePage + 512) != 0;

    public byte[] Receive()
    {
        Assert.Equal(1u, Ram.Get<uint>(MessagePage + 512));
        byte[] message = Ram.Get(MessagePage + 512 + 16, Ram.Get<byte>(MessagePage + 512 + 4));
        Ram.Set(MessagePage + 512, 0u);
        _port.OnEndOfMessage();
        return message;
    }

    /// <summary>Puts a packet into the ring.</summary>
    public void Put(ushort type, ulong transaction, byte[] header, byte[] payload, bool signals = true)
    {
        byte[] packet = new byte[16 + header.Length + ((payload.Length + 7) & ~7)];
        BitConverter.TryWriteBytes(packet, type);
        BitConverter.TryWriteBytes(packet.AsSpan(2), (ushort)((16 + header.Length) / 8));
        BitConverter.TryWriteBytes(packet.AsSpan(4), (ushort)(packet.Length / 8));
        packet[6] = 1;
        BitConverter.TryWriteBytes(packet.AsSpan(8), transaction);
        header.CopyTo(packet, 16);
        payload.CopyTo(packet, 16 + header.Length);
        foreach (byte b in packet)
        {
            Ram.Set(Out + 0x1000 + _sent, b);
            _sent = (_sent + 1) % RingSize;
        }

        _sent = (_sent + 8) % RingSize;
        Ram.Set(Out, _sent);
        if (signals)
        {
            Signal();
        }
    }

    /// <summary>Pages of a packet: ranges of an address and a length.</summary>
    public static byte[] Ranges(params (ulong Address, int Length)[] ranges)
    {
        List<byte> header = [0, 0, 0, 0, .. BitConverter.GetBytes(ranges.Length)];
        foreach ((ulong address, int length) in ranges)
        {
            header.AddRange(BitConverter.GetBytes(length));
            header.AddRange(BitConverter.GetBytes((int)(address & 0xfff)));
            for (ulong page = address >> 12; page <= (address + (ulong)length - 1) >> 12; page++)
            {
                header.AddRange(BitConverter.GetBytes(page));
            }
        }

        return [.. header];
    }

    public void Signal() => Signal(1);

    /// <summary>Signals a channel.</summary>
    public void Signal(uint channel) => Assert.True(TrySignal(channel));

    /// <summary>Signals a channel that there may be.</summary>
    public bool TrySignal(uint channel) => _port.TrySignalEvent(0x1_0000 + channel);

    /// <summary>Puts a packet at the start of another ring, and signals its channel.</summary>
    public void PutFirst(uint channel, ulong ring, ulong transaction, byte[] payload)
    {
        byte[] packet = new byte[16 + ((payload.Length + 7) & ~7)];
        (packet[0], packet[2], packet[4], packet[6]) = (6, 2, (byte)(packet.Length / 8), 1);
        BitConverter.TryWriteBytes(packet.AsSpan(8), transaction);
        payload.CopyTo(packet, 16);
        Ram.Memory.TryWrite(ring + 0x1000, packet);
        Ram.Set(ring, (uint)packet.Length + 8);
        Signal(channel);
    }

    /// <summary>The next packet from the ring; null if there is none.</summary>
    public Packet? Take()
    {
        if (Ram.Get<uint>(In) == _received)
        {
            return null;
        }

        byte[] descriptor = Read(_received, 16);
        int length = BinaryPrimitives.ReadUInt16LittleEndian(descriptor.AsSpan(4)) * 8;
        int offset = BinaryPrimitives.ReadUInt16LittleEndian(descriptor.AsSpan(2)) * 8;
        byte[] packet = Read(_received, length);
        _received = (_received + (uint)length + 8) % RingSize;
        if (!LeavesPackets)
        {
            Ram.Set(In + 4, _received);
        }

        return new Packet(BinaryPrimitives.ReadUInt16LittleEndian(packet), BinaryPrimitives.ReadUInt64LittleEndian(packet.AsSpan(8)), packet[16..offset], packet[offset..]);
    }

    /// <summary>Shows that everything was taken.</summary>
    public void ShowTaken() => Ram.Set(In + 4, _received);

    private static string Describe(Dictionary<string, StateBag> states) => string.Join('\n', states.Select(static s => $"{s.Key}\n{s.Value.Describe()}"));

    private IDevice[] GetRecords() => [Bus, .. Bus.CreateDeviceStates()];

    private static void PutPages(Span<byte> list, ulong address, int count)
    {
        for (int i = 0; i < count; i++)
        {
            BitConverter.TryWriteBytes(list[(i * 8)..], (address >> 12) + (ulong)i);
        }
    }

    private byte[] Read(uint at, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            bytes[i] = Ram.Get<byte>(In + 0x1000 + ((at + (uint)i) % RingSize));
        }

        return bytes;
    }

    internal sealed record Packet(ushort Type, ulong Transaction, byte[] Header, byte[] Data)
    {
        public uint Word(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Data.AsSpan(offset));
    }
}
