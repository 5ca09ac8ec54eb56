using System.Buffers.Binary;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware.Vmci;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>A guest's driver of VMware's device for sockets, as Linux's is: it writes datagrams byte by byte, and reads a page of them at a time.</summary>
internal sealed class VmciGuest : IDisposable
{
    public const uint Context = 7;
    public const uint Anybody = uint.MaxValue;
    public const uint Length = 2048;

    // A page with indices and one with bytes, each way.
    public const ulong Out = GuestRam.Start + 0x10_0000;
    public const ulong In = Out + 0x2000;
    public const ulong Flags = Out + 0x8000;
    private const int Page = 4096;
    private readonly Queue<byte[]> _received = [];

    public VmciGuest(GuestRam ram, TestSockets host)
    {
        Ram = ram;
        Host = host;
        Device = new VmciDevice("vmci", new CheckedLock(), new CheckedLock(), new CheckedLock(), ram.Memory, Clock, new RecordingMessages(), host, Context);
    }

    public GuestRam Ram { get; }

    public TestSockets Host { get; }

    public ManualClock Clock { get; } = new();

    public VmciDevice Device { get; }

    public void Dispose() => Ram.Dispose();

    /// <summary>What the driver does when it finds the device.</summary>
    public void Probe()
    {
        Device.Function.WriteConfiguration(4, [5, 0]);
        uint capabilities = Read(0x18);
        Assert.Equal(0x1cu, capabilities);
        Write(0x18, capabilities);
        Assert.Equal(0, Call(2, BitConverter.GetBytes(Flags >> 12)));
        Assert.Equal(1, Call(0, Words(1, 0, 1)));
        Assert.Equal((int)Context, Call(1, []));
        Write(0x0c, 3);
        Write(0x04, 2);
    }

    public uint Read(ulong register)
    {
        byte[] value = new byte[4];
        Device.Read(register, value);
        return BitConverter.ToUInt32(value);
    }

    public void Write(ulong register, uint value) => Device.Write(register, BitConverter.GetBytes(value));

    /// <summary>Asks the hypervisor for something.</summary>
    public int Call(uint resource, byte[] payload) => Send(0, resource, payload);

    /// <summary>Sends a datagram.</summary>
    public int Send(uint context, uint resource, byte[] payload)
    {
        Put([.. Words(context, resource, Anybody, Anybody), .. BitConverter.GetBytes((ulong)payload.Length), .. payload]);
        return (int)Read(0x1c);
    }

    public void Put(byte[] bytes)
    {
        foreach (byte value in bytes)
        {
            Device.Write(0x10, [value]);
        }
    }

    /// <summary>Sends a control packet to the host.</summary>
    public void Say(byte type, uint guestPort, uint hostPort, ulong value = 0, ushort protocol = 0)
    {
        byte[] payload = [1, type, .. BitConverter.GetBytes(protocol), .. Words(guestPort, hostPort, 0), .. BitConverter.GetBytes(value), .. new byte[8]];
        Assert.Equal(56, Send(2, 1, payload));
    }

    /// <summary>The next datagram; null if there is none.</summary>
    public byte[]? Take()
    {
        if (_received.Count == 0)
        {
            ReadPage();
        }

        return _received.TryDequeue(out byte[]? datagram) ? datagram : null;
    }

    /// <summary>The next datagram, which must be a control packet of that type.</summary>
    public Packet Expect(byte type)
    {
        byte[]? datagram = Take();
        Assert.True(datagram != null, $"There is no datagram, where a packet of type {type} is due.");
        Assert.Equal(56, datagram.Length);
        Assert.Equal([Context, 1u, 2u, 1u], ReadWords(datagram, 0, 4));
        Assert.Equal((1, type), (datagram[24], datagram[25]));
        return new Packet(BitConverter.ToUInt16(datagram, 26), BitConverter.ToUInt32(datagram, 28), BitConverter.ToUInt32(datagram, 32), BitConverter.ToUInt64(datagram, 40));
    }

    /// <summary>The next datagram, which must be an event of the hypervisor's.</summary>
    public ulong ExpectEvent(uint happened)
    {
        byte[]? datagram = Take();
        Assert.True(datagram != null, $"There is no datagram, where event {happened} is due.");
        Assert.Equal(48, datagram.Length);
        Assert.Equal([Context, 0u, 0u, 0u], ReadWords(datagram, 0, 4));
        Assert.Equal(happened, BitConverter.ToUInt32(datagram, 24));
        return BitConverter.ToUInt64(datagram, 32);
    }

    public void ExpectNothing() => Assert.Null(Take());

    /// <summary>Makes a queue pair, or brings the pages of one.</summary>
    public int Allocate(ulong handle, uint flags = 0, ulong length = Length, uint peer = 2, ulong? firstPage = null)
    {
        ulong first = (firstPage ?? Out) >> 12;
        byte[] list = [.. Enumerable.Range(0, 4).SelectMany(i => BitConverter.GetBytes(first + (ulong)i))];
        return Call(10, [.. BitConverter.GetBytes(handle), .. Words(peer, flags), .. BitConverter.GetBytes(length), .. BitConverter.GetBytes(length), .. BitConverter.GetBytes(4UL), .. list]);
    }

    public int Detach(ulong handle) => Call(11, BitConverter.GetBytes(handle));

    /// <summary>Writes into the guest's queue, and says so if it was empty.</summary>
    public void Produce(ReadOnlySpan<byte> bytes, uint guestPort, uint hostPort)
    {
        ulong tail = Ram.Get<ulong>(Out + 8);
        bool wasEmpty = tail == Ram.Get<ulong>(In + 16);
        foreach (byte value in bytes)
        {
            Ram.Set(Out + Page + tail, value);
            tail = (tail + 1) % Length;
            Assert.True(tail != Ram.Get<ulong>(In + 16), "The guest's queue is full.");
        }

        Ram.Set(Out + 8, tail);
        if (wasEmpty)
        {
            Say(5, guestPort, hostPort);
        }
    }

    /// <summary>How many bytes of the guest's the host has not consumed.</summary>
    public int CountProduced() => (int)((Ram.Get<ulong>(Out + 8) + Length - Ram.Get<ulong>(In + 16)) % Length);

    /// <summary>Reads all that is in the host's queue.</summary>
    public byte[] Consume()
    {
        ulong head = Ram.Get<ulong>(Out + 16);
        List<byte> bytes = [];
        for (; head != Ram.Get<ulong>(In + 8); head = (head + 1) % Length)
        {
            bytes.Add(Ram.Get<byte>(In + Page + head));
        }

        Ram.Set(Out + 16, head);
        return [.. bytes];
    }

    public static byte[] Words(params uint[] words)
    {
        byte[] bytes = new byte[words.Length * 4];
        Buffer.BlockCopy(words, 0, bytes, 0, bytes.Length);
        return bytes;
    }

    private static uint[] ReadWords(byte[] bytes, int offset, int count)
    {
        uint[] words = new uint[count];
        Buffer.BlockCopy(bytes, offset, words, 0, count * 4);
        return words;
    }

    // A header without a destination is the end of what is in the page.
    private void ReadPage()
    {
        byte[] page = new byte[Page];
        for (int i = 0; i < Page; i++)
        {
            Device.Read(0x14, page.AsSpan(i, 1));
        }

        for (int at = 0; at + 24 <= Page && BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(at + 4)) != uint.MaxValue;)
        {
            int length = 24 + (int)BitConverter.ToUInt64(page, at + 16);
            Assert.InRange(length, 24, Page - at);
            _received.Enqueue(page[at..(at + length)]);
            at += (length + 7) & ~7;
        }
    }

    public readonly record struct Packet(ushort Protocol, uint HostPort, uint GuestPort, ulong Value);
}
