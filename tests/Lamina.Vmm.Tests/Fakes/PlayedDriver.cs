using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Tests.Fakes;

/// <summary>
/// What a guest's kernel would do on its first processor to reach Hyper-V's bus and a device on it, done from outside while the machine is paused: what it leaves is in the guest's memory and in the machine, so that the
/// same goes on in another.
/// </summary>
internal sealed class PlayedDriver(PartitionSettings machine)
{
    // The last pages of the first 4 MiB.
    private const ulong HypercallPage = 0x38_0000;
    private const ulong MessagePage = HypercallPage + 0x1000;
    private const ulong EventPage = HypercallPage + 0x2000;
    private const ulong Input = HypercallPage + 0x3000;
    private const ulong Out = HypercallPage + 0x4000;
    private const ulong In = HypercallPage + 0x8000;
    private const ulong OpenChannel = HypercallPage + 0xc000;
    private const int PagesOfRings = 8;
    private const uint RingLength = 0x3000;
    private const uint Handle = 77;
    private const uint EndOfMessage = 0x4000_0084;
    private const ulong PostMessageCall = 0x5c;
    private const ulong SignalEventCall = 0x1_005d;
    private const ulong Slot = MessagePage + 512;
    private static readonly Guid DynamicMemory = new("525074dc-8985-46e2-8057-a307dc18a502");
    private readonly Dictionary<Guid, uint> _channels = [];

    private GuestMemory Memory => machine.Memory;

    private IPersonality Hypervisor => machine.Personality!;

    /// <summary>Says which system it is, turns the synthetic interrupt controller on, agrees on VMBus 5.3 and hears what there is.</summary>
    public void Connect()
    {
        foreach ((uint register, ulong value) in (ReadOnlySpan<(uint, ulong)>)
            [(0x4000_0000, 1), (0x4000_0001, HypercallPage | 1), (0x4000_0083, MessagePage | 1), (0x4000_0082, EventPage | 1), (0x4000_0092, 0x45), (0x4000_0080, 1)])
        {
            Assert.True(Hypervisor.TryWriteMsr(0, 0, register, value), $"The register {register:x} is not there.");
        }

        Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Assert.Equal(15, Receive()[0]);
        Post(3);
        while (TakeOffer())
        {
        }
    }

    /// <summary>Takes an offer.</summary>
    /// <returns><c>false</c> if that was the last of those that were asked for.</returns>
    public bool TakeOffer()
    {
        byte[] offer = Receive();
        if (offer[0] == 4)
        {
            return false;
        }

        Assert.Equal(1, offer[0]);
        _channels.TryAdd(new Guid(offer.AsSpan(8, 16)), BitConverter.ToUInt32(offer, 184));
        return true;
    }

    // Opens the channel of a device.
    private void Open(Guid type)
    {
        uint channel = _channels[type];
        Assert.True(Memory.TryWrite(OpenChannel, channel));
        Memory.TryWrite(Out, new byte[PagesOfRings << 12]);
        byte[] list = new byte[28 + (PagesOfRings * 8)];
        list[0] = 8;
        BitConverter.TryWriteBytes(list.AsSpan(8), channel);
        BitConverter.TryWriteBytes(list.AsSpan(12), Handle);
        BitConverter.TryWriteBytes(list.AsSpan(16), (ushort)(8 + (PagesOfRings * 8)));
        BitConverter.TryWriteBytes(list.AsSpan(18), (ushort)1);
        BitConverter.TryWriteBytes(list.AsSpan(20), PagesOfRings << 12);
        for (int i = 0; i < PagesOfRings; i++)
        {
            BitConverter.TryWriteBytes(list.AsSpan(28 + (i * 8)), (Out >> 12) + (ulong)i);
        }

        Post(list);
        byte[] created = Receive();
        Assert.Equal((10, 0u), (created[0], BitConverter.ToUInt32(created, 16)));
        Post(5, channel, 1, Handle, 0, 4);
        byte[] opened = Receive();
        Assert.Equal((6, 0u), (opened[0], BitConverter.ToUInt32(opened, 16)));
    }

    /// <summary>Opens the channel of dynamic memory, agrees on its version 1.0, and says what the guest can.</summary>
    /// <param name="capabilities">1 to give memory back, 2 to add it, and from bit 2 on the alignment that it needs for that.</param>
    public void OpenDynamicMemory(byte capabilities)
    {
        Open(DynamicMemory);
        Send([1, 0, 16, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        Assert.Equal([2, 0, 16, 0, 1, 0, 0, 0, 1], Take()![..9]);
        Send([3, 0, 32, 0, 2, 0, 0, 0, capabilities, .. new byte[23]]);
        Assert.Equal([4, 0, 16, 0, 2, 0, 0, 0, 1], Take()![..9]);
    }

    /// <summary>Says how many pages were added.</summary>
    public void AnswerHotAdd(uint pages, bool succeeded) => Send([11, 0, 16, 0, 3, 0, 0, 0, .. BitConverter.GetBytes(pages), succeeded ? (byte)1 : (byte)0, 0, 0, 0]);

    /// <summary>Sends a packet.</summary>
    public void Send(ReadOnlySpan<byte> payload)
    {
        byte[] packet = new byte[16 + ((payload.Length + 7) & ~7) + 8];
        (packet[0], packet[2], packet[4]) = (6, 2, (byte)((packet.Length - 8) / 8));
        payload.CopyTo(packet.AsSpan(16));
        uint at = Get(Out);
        foreach (byte b in packet)
        {
            Assert.True(Memory.TryWrite(Out + 0x1000 + at, b));
            at = (at + 1) % RingLength;
        }

        Assert.True(Memory.TryWrite(Out, at));
        Call(SignalEventCall, 0x1_0000 + Get(OpenChannel));
    }

    /// <summary>Takes a packet; null if there is none.</summary>
    public byte[]? Take()
    {
        uint at = Get(In + 4);
        if (Get(In) == at)
        {
            return null;
        }

        byte[] descriptor = Read(at, 16);
        byte[] packet = Read(at, BinaryPrimitives.ReadUInt16LittleEndian(descriptor.AsSpan(4)) * 8);
        Assert.True(Memory.TryWrite(In + 4, (at + (uint)packet.Length + 8) % RingLength));
        return packet[(BinaryPrimitives.ReadUInt16LittleEndian(packet.AsSpan(2)) * 8)..];
    }

    private void Post(uint type, params ReadOnlySpan<uint> words)
    {
        byte[] message = new byte[8 + (words.Length * 4)];
        message[0] = (byte)type;
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(words).CopyTo(message.AsSpan(8));
        Post(message);
    }

    private void Post(byte[] message)
    {
        byte[] input = [4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, .. BitConverter.GetBytes(message.Length), .. message];
        Assert.True(Memory.TryWrite(Input, input));
        Assert.Equal(0, Call(PostMessageCall, Input));
    }

    private byte[] Receive()
    {
        Assert.Equal(1u, Get(Slot));
        byte[] head = new byte[16];
        Assert.True(Memory.TryRead(Slot, head));
        byte[] message = new byte[head[4]];
        Assert.True(Memory.TryRead(Slot + 16, message));
        Assert.True(Memory.TryWrite(Slot, 0u));
        Hypervisor.TryWriteMsr(0, 0, EndOfMessage, 0);
        return message;
    }

    private int Call(ulong control, ulong input)
    {
        Span<ulong> registers = stackalloc ulong[16];
        registers.Clear();
        (registers[GuestCall.Rcx], registers[GuestCall.Rdx]) = (control, input);
        Assert.True(Hypervisor.TryHypercall(new GuestCall(0, registers, 0, is64Bit: true)));
        return (ushort)registers[GuestCall.Rax];
    }

    private uint Get(ulong address)
    {
        Assert.True(Memory.TryRead(address, out uint value));
        return value;
    }

    private byte[] Read(uint at, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            Assert.True(Memory.TryRead(In + 0x1000 + ((at + (uint)i) % RingLength), out bytes[i]));
        }

        return bytes;
    }
}
