using System.Buffers.Binary;
using Lamina.Machine.Personalities;
using Lamina.Personalities.HyperV;

namespace Lamina.Fuzz.Devices;

/// <summary>A guest that speaks VMBus as far as its rings, and then says what it likes: channels with lists of pages, packets of the storage, network and service protocols with fields that are wrong.</summary>
internal sealed class HostileVmBus(FuzzedMachine machine, Random random)
{
    private const ulong HypercallPage = 8 << 20;
    private const ulong MessagePage = HypercallPage + 0x1000;
    private const ulong EventPage = HypercallPage + 0x2000;
    private const ulong Input = HypercallPage + 0x3000;
    private const ulong FirstRing = HypercallPage + 0x1_0000;
    private const ulong Buffers = HypercallPage + 0x10_0000;
    private const ulong RingStep = 0x8000;
    private const uint RingSize = 0x3000;
    private const int ChannelCount = 11;

    // Of a card that comes and goes, and is opened when it is there.
    private const uint SecondCard = ChannelCount;

    // Sub-channels of disks and cards.
    private const uint FirstSubChannel = 33;
    private const int SubChannelCount = 4;

    // Channels of sockets, which are offered when they are asked for.
    private const uint FirstSocket = 193;
    private const int SocketCount = 4;
    private const uint ReceiveBuffer = 100;
    private const uint SendBuffer = 101;
    private static readonly uint[] NetworkMessages = [1, 100, 101, 103, 104, 106, 107, 107, 107, 107, 107, 125, 129, 133];
    private static readonly uint[] ServiceTail = [0x11e6_facb, 0x0064_58bd, 0xd386_796a];
    private readonly uint[] _written = new uint[ChannelCount + SubChannelCount + SocketCount + 1];

    private bool IsPresent => machine.Devices.Personality is HyperVPersonality;

    /// <summary>Brings the bus and its channels up.</summary>
    public void BringUp()
    {
        if (!IsPresent)
        {
            return;
        }

        foreach ((uint register, ulong value) in new (uint, ulong)[]
        {
            (0x4000_0000, 1), (0x4000_0001, HypercallPage | 1), (0x4000_0083, MessagePage | 1), (0x4000_0082, EventPage | 1), (0x4000_0092, 0x45), (0x4000_0080, 1),
        })
        {
            machine.Devices.Personality.TryWriteMsr(0, 0, register, value);
        }

        Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Post(3);
        for (uint channel = 1; channel <= ChannelCount; channel++)
        {
            Open(channel);
        }

        List(2, ReceiveBuffer, Buffers, 60);
        List(2, SendBuffer, Buffers + 0x4_0000, 12);
        Put(2, 6, [], Words(1, 0x6_0001, 0x6_0001));
        Put(2, 6, [], Words(101, ReceiveBuffer));
        Put(2, 6, [], Words(104, SendBuffer));
        Put(1, 6, [], [.. Words(13, 0, 0, 1), .. new byte[48]]);
        Put(2, 6, [], Words(133, 1, 1));
        Open(FirstSubChannel);
        Open(FirstSubChannel + 2);
    }

    /// <summary>Says one thing.</summary>
    public void Step()
    {
        if (!IsPresent)
        {
            return;
        }

        machine.Memory.TryWrite(MessagePage + 512, 0u);
        machine.Devices.Personality.TryWriteMsr(0, 0, 0x4000_0084, 0);
        uint channel = random.Next(8) switch
        {
            0 or 1 => FirstSubChannel + (uint)random.Next(SubChannelCount),
            2 => FirstSocket + (uint)random.Next(SocketCount),
            _ => (uint)random.Next(1, ChannelCount + 1),
        };
        if (channel >= FirstSocket && random.Next(3) == 0)
        {
            StepSocket(channel);
        }

        if (random.Next(32) == 0)
        {
            machine.ChangeCard();
        }

        switch (random.Next(24))
        {
            case 3 when channel is SecondCard or 1:
                Post(13, channel);
                break;
            case 0:
                Post((uint)random.Next(26), channel, (uint)random.Next(4), Number(), Number(), Number());
                break;
            case 1:
                Post(7, channel);
                Post(11, channel, 200 + channel);
                Open(channel);
                break;
            case 2:
                machine.Memory.TryWrite(Ring(channel), Number());
                Signal(channel);
                break;
            default:
                Put(channel, (ushort)(random.Next(4) switch { 0 => 9, 1 => 11, _ => 6 }), random.Next(3) == 0 ? Pages() : [], Payload(channel));
                break;
        }

        // What was said to the guest, it takes.
        ulong incoming = Ring(channel) + 0x4000;
        if (machine.Memory.TryRead(incoming, out uint index))
        {
            machine.Memory.TryWrite(incoming + 4, index);
        }
    }

    private static ulong Ring(uint channel) => FirstRing + (GetPlace(channel) * RingStep);

    private static uint GetPlace(uint channel) => channel < FirstSubChannel ? channel : channel < FirstSocket ? channel - FirstSubChannel + ChannelCount + 1 : channel - FirstSocket + SubChannelCount + ChannelCount + 1;

    // Connects, opens what was offered, ends, and gives back.
    private void StepSocket(uint channel)
    {
        switch (random.Next(4))
        {
            case 0:
                Post(21, [(uint)random.Next(8), .. ServiceTail, random.Next(8) == 0 ? Number() : FuzzedMachine.ListeningPort, .. ServiceTail]);
                break;
            case 1:
                Open(channel);
                break;
            case 2:
                Put(channel, 6, [], Words(1, 0));
                break;
            default:
                Post(7, channel);
                Post(13, channel);
                break;
        }
    }

    private static byte[] Words(params uint[] words)
    {
        byte[] bytes = new byte[words.Length * 4];
        Buffer.BlockCopy(words, 0, bytes, 0, bytes.Length);
        return bytes;
    }

    private uint Number() => random.Next(2) == 0 ? (uint)random.Next(64) : (uint)FuzzValues.Number(random, FuzzedMachine.RamLength);

    private byte[] Pages()
    {
        ulong address = Buffers + (ulong)random.Next(0x8_0000);
        int length = random.Next(1, 20000);
        List<byte> header = [0, 0, 0, 0, .. BitConverter.GetBytes(random.Next(8) == 0 ? (int)Number() : 1), .. BitConverter.GetBytes(length), .. BitConverter.GetBytes((int)(address & 0xfff))];
        for (ulong page = address >> 12; page <= (address + (ulong)length) >> 12; page++)
        {
            header.AddRange(BitConverter.GetBytes(random.Next(64) == 0 ? (ulong)Number() : page));
        }

        return [.. header];
    }

    private byte[] Payload(uint channel)
    {
        byte[] payload = channel switch
        {
            1 or 33 or 34 => [.. Words((uint)random.Next(14), 0, 0, (uint)random.Next(3), (uint)random.Next(3) << 16, (uint)random.Next(17), (uint)random.Next(20000)), (byte)random.Next(256), .. new byte[35]],
            2 or 35 or 36 or SecondCard => Words(NetworkMessages[random.Next(NetworkMessages.Length)], (uint)random.Next(2), random.Next(3) == 0 ? uint.MaxValue : (uint)random.Next(8), (uint)random.Next(300), 0, 0),
            >= FirstSocket => [.. Words(1, random.Next(16) == 0 ? Number() : (uint)random.Next(256)), .. new byte[256]],
            8 => Words((uint)random.Next(5), random.Next(4) == 0 ? Number() : 0x1_0000, Number()),
            9 => Words(1, 12, (uint)random.Next(5), 4, random.Next(4) == 0 ? Number() : 0x2_0000),
            10 => Screen(),
            7 => Words((uint)random.Next(1, 11), Number(), random.Next(4) == 0 ? 0x1_0000 : Number(), Number() & 15, Number(), (uint)random.Next(1 << 10) << 8, Number(), Number()),
            _ => Words(1, 100, 0x1, (uint)random.Next(6), 0, 0, 0x500, 0x1_0001, 0, 3, 4, (uint)random.Next(1100), Number(), Number()),
        };
        if (channel is 2 or 35 or 36 or SecondCard)
        {
            // Packets of Remote NDIS in the first sections.
            byte[] message = Words(random.Next(4) == 0 ? (uint)random.Next(9) : 1, 200, 52, 100, 0, 0, 0, 36, 16, 0, 0, 16, (uint)random.Next(8), 12, Number());
            BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(random.Next(message.Length / 4) * 4), Number());
            machine.Memory.TryWrite(Buffers + 0x4_0000 + ((ulong)random.Next(8) * 6144), message);
        }

        if (random.Next(3) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(random.Next(payload.Length / 4) * 4), Number());
        }

        return payload;
    }

    private byte[] Screen()
    {
        ulong place = random.Next(4) == 0 ? Number() : Buffers + ((ulong)random.Next(64) << 8);
        return random.Next(6) switch
        {
            0 => Words(1, 12, 1, 12, random.Next(8) == 0 ? Number() : 0x5_0003),
            1 => [.. Words(1, 25, 3, 25, 1, 2), (byte)random.Next(2), .. BitConverter.GetBytes(place), 0],
            2 or 3 => [.. Words(1, 35, 5, 35, 1, 2), 1, (byte)random.Next(4), .. Words((uint)random.Next(64) << 8), (byte)(random.Next(3) * 16), .. Words((uint)random.Next(200), (uint)random.Next(200), Number()), 0, 0, 0, 0],
            4 => [.. Words(1, 26, 10, 26), 0, (byte)random.Next(3), .. Words(Number(), Number(), Number(), Number())],
            _ => Words(1, 9, 13, 9, Number()),
        };
    }

    private void Open(uint channel)
    {
        _written[GetPlace(channel)] = 0;
        machine.Memory.TryWrite(Ring(channel), new byte[64]);
        machine.Memory.TryWrite(Ring(channel) + 0x4000, new byte[64]);
        List(channel, 200 + channel, Ring(channel), 8);
        Post(5, channel, 1, 200 + channel, 0, 4);
    }

    private void List(uint channel, uint handle, ulong address, int pages)
    {
        int first = Math.Min(pages, 25);
        List<byte> message = [.. Words(8, 0, channel, handle, ((uint)(8 + (pages * 8))) | (1u << 16), (uint)pages << 12, 0)];
        for (int i = 0; i < first; i++)
        {
            message.AddRange(BitConverter.GetBytes((address >> 12) + (ulong)i));
        }

        PostBytes([.. message]);
        for (int done = first; done < pages; done += 25)
        {
            message = [.. Words(9, 0, 0, handle)];
            for (int i = done; i < Math.Min(pages, done + 25); i++)
            {
                message.AddRange(BitConverter.GetBytes((address >> 12) + (ulong)i));
            }

            PostBytes([.. message]);
        }
    }

    private void Post(uint type, params uint[] words) => PostBytes([.. Words(type, 0), .. Words(words)]);

    private void PostBytes(byte[] message)
    {
        byte[] input = [.. Words(4, 0, 1, (uint)message.Length), .. message];
        machine.Memory.TryWrite(Input, input);
        Call(0x5c, Input);
        machine.Memory.TryWrite(MessagePage + 512, 0u);
        machine.Devices.Personality.TryWriteMsr(0, 0, 0x4000_0084, 0);
    }

    private void Put(uint channel, ushort type, byte[] header, byte[] payload)
    {
        byte[] packet = new byte[16 + header.Length + ((payload.Length + 7) & ~7)];
        BinaryPrimitives.WriteUInt16LittleEndian(packet, type);
        BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(2), (ushort)((16 + header.Length) / 8));
        BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(4), (ushort)(packet.Length / 8));
        packet[6] = 1;
        BinaryPrimitives.WriteUInt64LittleEndian(packet.AsSpan(8), (ulong)random.Next(200));
        header.CopyTo(packet, 16);
        payload.CopyTo(packet, 16 + header.Length);
        foreach (byte b in packet)
        {
            machine.Memory.TryWrite(Ring(channel) + 0x1000 + _written[GetPlace(channel)], b);
            _written[GetPlace(channel)] = (_written[GetPlace(channel)] + 1) % RingSize;
        }

        _written[GetPlace(channel)] = (_written[GetPlace(channel)] + 8) % RingSize;
        machine.Memory.TryWrite(Ring(channel), _written[GetPlace(channel)]);
        Signal(channel);
    }

    private void Signal(uint channel) => Call(0x1_005d, 0x1_0000 + channel);

    private void Call(ulong control, ulong input)
    {
        Span<ulong> registers = stackalloc ulong[16];
        registers.Clear();
        (registers[GuestCall.Rcx], registers[GuestCall.Rdx]) = (control, input);
        machine.Devices.Personality.TryHypercall(new GuestCall(0, registers, 0, is64Bit: true));
    }
}
