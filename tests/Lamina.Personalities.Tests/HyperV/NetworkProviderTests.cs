using System.Buffers.Binary;
using System.Text;
using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The network card on the bus as a driver sees it, good and hostile.</summary>
public sealed partial class NetworkProviderTests : IDisposable
{
    private const ulong ReceiveBuffer = VmBusGuest.Free;
    private const ulong SendBuffer = VmBusGuest.Free + 0x10_0000;
    private const ulong Request = VmBusGuest.Free + 0x12_0000;
    private const int ReceivePages = 200;
    private const int SectionSize = 1728;

    // The rings of a sub-channel.
    private const ulong Out = VmBusGuest.Free + 0x18_0000;
    private const ulong In = Out + 0x2000;

    // The first sub-channel's number.
    private const uint Second = 33;
    private static readonly byte[] Address = [2, 2, 2, 2, 2, 2];
    private readonly VmBusGuest _guest = new();
    private TestNetwork _wire;
    private NetworkProvider _card;

    // What the driver calls its receive buffer.
    private ushort _bufferId = 0xcafe;

    public NetworkProviderTests()
    {
        _wire = new TestNetwork(NetworkOffloads.Checksum);
        _card = new NetworkProvider(_guest.Bus, _guest.Ram.Memory, 0, _wire, Address);
        _guest.Bus.Start();
    }

    public void Dispose() => _guest.Dispose();

    [Theory]
    [InlineData(0x6_0001u, 0x6_0001u, 0x6_0001u)]
    [InlineData(0x3_0002u, 0x3_0002u, 0x3_0002u)]
    [InlineData(2u, 0x5_0005u, 0x5_0000u)]
    [InlineData(0x7_0000u, 0x7_0000u, 0u)]
    public void VersionsAreNegotiated(uint minimum, uint maximum, uint version)
    {
        Assert.Equal(new Guid("f8615163-df3e-46c5-913f-f2d2f965ed0e"), _guest.Open());
        VmBusGuest.Packet answer = Ask(1, minimum, maximum);
        Assert.Equal((2u, version, version == 0 ? 7u : 1), (answer.Word(0), answer.Word(4), answer.Word(12)));
    }

    [Fact]
    public void ADriverFindsWhatItAsksOfTheCard()
    {
        BringUp();
        Assert.Equal(Address, Query(0x0101_0101));
        Assert.Equal(1500u, BitConverter.ToUInt32(Query(0x0001_0106)));
        Assert.Equal(0u, BitConverter.ToUInt32(Query(0x0001_0114)));
        Assert.Equal(100_000_000u, BitConverter.ToUInt32(Query(0x0001_0107)));
        byte[] offloads = Query(0xfc01_020d);
        Assert.Equal((156, 0xa7, 3), (offloads.Length, offloads[0], offloads[1]));
        Assert.Equal((0x14u, 0x40u), (BitConverter.ToUInt32(offloads, 8) & 0x14, BitConverter.ToUInt32(offloads, 8) & 0x40));
        Assert.Equal((2u, 65535u), (BitConverter.ToUInt32(offloads, 80), BitConverter.ToUInt32(offloads, 84)));
        byte[] scaling = Query(0x0001_0203);
        Assert.Equal((18, 0x88, 2u, 128), (scaling.Length, scaling[0], BitConverter.ToUInt32(scaling, 12), BitConverter.ToUInt16(scaling, 16)));
        Assert.Equal(0xc000_00bbu, BitConverter.ToUInt32(Send(4, 7, 0x0001_0205, 0, 20, 0), 12));
        Assert.Equal(0u, BitConverter.ToUInt32(Send(5, 8, 0xfc01_020c, 4, 20, 0, 0), 12));
    }

    [Fact]
    public void FramesGoOutOfTheSendBufferAndOutOfPages()
    {
        BringUp();
        byte[] first = Frames.CreateTcp(100);
        byte[] second = Frames.CreateTcp(900);
        byte[] message = [.. Packet(first, padding: 2), .. Packet(second)];
        _guest.Ram.Memory.TryWrite(SendBuffer + 6144, message);
        VmBusGuest.Packet answer = Ask(107, 0, 1, (uint)message.Length);
        Assert.Equal((108u, 1u), (answer.Word(0), answer.Word(4)));
        Assert.Equal([first, second], _wire.Sent.Select(f => f[12..]));

        // The message's head in a section, and its frame in pages that cross.
        byte[] all = Packet(second);
        _guest.Ram.Memory.TryWrite(SendBuffer, all.AsSpan(0, 44));
        _guest.Ram.Memory.TryWrite(Request + 0xff0, all.AsSpan(44));
        _guest.Put(9, 3, VmBusGuest.Ranges((Request + 0xff0, 400), (Request + 0xff0 + 400, all.Length - 444)), Words(107, 0, 0, 44));
        Assert.Equal(1u, _guest.Take()!.Word(4));
        Assert.Equal(second, _wire.Sent[2][12..]);
    }

    [Fact]
    public void ChecksumsSegmentsAndTagsAreLeftToTheCard()
    {
        BringUp();
        byte[] large = Frames.CreateTcp(4000);
        large.AsSpan(16, 2).Clear(); // Drivers leave the length out.
        Transmit(Packet(large, (2, 1000u | (34u << 20) | (1u << 30))));
        Assert.Equal(4, _wire.Sent.Count);
        Assert.All(_wire.Sent, f => Assert.True(Frames.HasRightChecksums(f.AsSpan(12)), "A segment's checksums or lengths are wrong."));

        byte[] frame = Frames.CreateTcp(60);
        Transmit(Packet(frame, (0, 1u | 4 | (34u << 16))));
        Assert.Equal((1, 34, 16), (_wire.Sent[4][0], _wire.Sent[4][6], _wire.Sent[4][8]));
        Transmit(Packet(frame, (0, 1u | 4)));
        Assert.Equal((1, 34, 16), (_wire.Sent[5][0], _wire.Sent[5][6], _wire.Sent[5][8]));

        Transmit(Packet(frame, (6, 5u | (0x123u << 4))));
        Assert.Equal([0x81, 0x00, 0xa1, 0x23], _wire.Sent[6][24..28]);
    }

    [Fact]
    public void ADriverOnSeveralProcessorsHasAChannelForEach()
    {
        BringUp();
        OpenSecond();
        SetFilter(0xb);

        // Frames of one connection go where the table says, and those of no connection to the first channel.
        Assert.Equal(0u, SetScaling(1));
        byte[] frame = WithChecksum(Frames.CreateTcp(200));
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.Null(_guest.Take());
        Assert.NotEqual(0u, _guest.Ram.Get<uint>(In));
        Assert.Equal((7, 107u), (_guest.Ram.Get<ushort>(In + 0x1000), _guest.Ram.Get<uint>(In + 0x1000 + 32)));
        byte[] other = [.. frame];
        other[12] = 0x88;
        Assert.True(_card.TryReceive(Arriving(other)));
        Assert.Equal(7, _guest.Take()!.Type);

        // What the driver sends there is answered there, and only frames go there.
        uint taken = _guest.Ram.Get<uint>(In);
        _guest.Ram.Memory.TryWrite(SendBuffer, Packet(Frames.CreateTcp(10)));
        _guest.PutFirst(Second, Out, 9, [.. Words(107, 0, 0, (uint)Packet(Frames.CreateTcp(10)).Length), .. new byte[24]]);
        Assert.Single(_wire.Sent);
        Assert.Equal((11, 9ul, 108u), (_guest.Ram.Get<ushort>(In + 0x1000 + taken), _guest.Ram.Get<ulong>(In + 0x1000 + taken + 8), _guest.Ram.Get<uint>(In + 0x1000 + taken + 16)));
        Assert.NotEqual(0u, SetScaling(2));
        Assert.Equal(0u, SetScaling(0, flags: 0x10));
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.Equal(7, _guest.Take()!.Type);

        // With the first channel the other goes, and comes again.
        _guest.Close();
        byte[] rescind = _guest.Receive();
        Assert.Equal((2u, Second), (BitConverter.ToUInt32(rescind), BitConverter.ToUInt32(rescind, 8)));
        _guest.Post(13, Second);
        _guest.Post(5, Second, 7, 300, 0, 2);
        Assert.NotEqual(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
    }

    [Fact]
    public void SubChannelsThatCannotBeAreRefused()
    {
        BringUp();
        Assert.Equal(2u, Ask(133, 2, 1).Word(4));
        Assert.Equal(2u, Ask(133, 1, 0).Word(4));

        // One that was not offered cannot be opened, and has no lists.
        Assert.NotEqual(0u, _guest.CreateList(300, VmBusGuest.Free + 0x18_0000, 4, channel: Second));
        _guest.Post(5, Second, 7, 300, 1, 2);
        Assert.NotEqual(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
        Assert.NotEqual(0u, SetScaling(1, tableOffset: 5000));
        Assert.NotEqual(0u, SetScaling(1, tableBytes: 12));
        Assert.NotEqual(0u, SetScaling(1, keyBytes: 39));
        Assert.NotEqual(0u, SetScaling(1, tableBytes: 0xffff));
        Assert.NotEqual(0u, BitConverter.ToUInt32(Send(5, 2, 0x0001_0204, 8, 20, 0, 0, 0), 12));
    }

    [Fact]
    public void AFullWireHoldsTheDriverBack()
    {
        BringUp();
        _wire.IsFull = true;
        _guest.Ram.Memory.TryWrite(SendBuffer, Packet(Frames.CreateTcp(10)));
        for (ulong i = 1; i <= 2; i++)
        {
            _guest.Put(6, i, [], Words(107, 0, 0, (uint)Packet(Frames.CreateTcp(10)).Length));
        }

        Assert.Null(_guest.Take());
        _wire.IsFull = false;
        _wire.Receiver!.OnTransmitReady();
        Assert.Equal((1ul, 2ul), (_guest.Take()!.Transaction, _guest.Take()!.Transaction));
        Assert.Equal(2, _wire.Sent.Count);
    }

    [Fact]
    public void SubChannelsThatWereAskedForWhileTheWireWasFullAreOfferedWithoutAnotherCall()
    {
        BringUp();
        _wire.IsFull = true;
        _guest.Ram.Memory.TryWrite(SendBuffer, Packet(Frames.CreateTcp(10)));
        _guest.Put(6, 1, [], Words(107, 0, 0, (uint)Packet(Frames.CreateTcp(10)).Length));
        _guest.Put(6, 2, [], [.. Words(133, 1, 1), .. new byte[28]]);
        Assert.Null(_guest.Take());
        _wire.IsFull = false;
        _wire.Receiver!.OnTransmitReady();
        Assert.Equal((1ul, 2ul), (_guest.Take()!.Transaction, _guest.Take()!.Transaction));
        Assert.True(_guest.HasMessage, "The guest waits for the offer, and does nothing until it comes.");
        Assert.Equal((1, Second), (_guest.Receive() is var offer ? offer[0] : 0, BitConverter.ToUInt32(offer, 184)));
    }

    [Fact]
    public void ArrivingFramesComeInPartsThatAreGivenBack()
    {
        BringUp();
        byte[] frame = WithChecksum(Frames.CreateTcp(200));
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.Null(_guest.Take()); // Not before the driver wants frames.
        SetFilter(0xb);
        (byte[] arrived, uint known) = Arrive(Arriving(frame));
        Assert.Equal(8u, known);
        Assert.Equal(frame, arrived);
        frame[60] ^= 1;
        (arrived, known) = Arrive(Arriving(frame));
        Assert.Equal(0u, known);
        Assert.Equal(frame, arrived);

        // What the wire has left undone is done.
        byte[] part = Frames.CreateTcp(100);
        TcpPseudo(part);
        byte[] packet = Arriving(part);
        (packet[0], packet[6], packet[8]) = (1, 34, 16);
        (arrived, known) = Arrive(packet);
        Assert.Equal(8u, known);
        Assert.Equal(WithChecksum([.. part]), arrived);

        // Frames for others, and too long ones.
        frame[0] = 4;
        Assert.True(_card.TryReceive(Arriving(frame)));
        Assert.True(_card.TryReceive(Arriving(new byte[3000])));
        Assert.Null(_guest.Take());
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
    }

    [Fact]
    public void WithoutPartsTheWireWaits()
    {
        BringUp();
        SetFilter(0xb);
        byte[] frame = Arriving(Frames.CreateTcp(10));
        int taken = 0;
        List<ulong> parts = [];
        while (_card.TryReceive(frame))
        {
            Assert.True(taken++ < 1000, "More frames came than there are parts.");
            parts.Add(_guest.Take()!.Transaction);
        }

        Assert.Equal((ReceivePages * 4096 / SectionSize) - 8, taken);
        int before = _wire.Resumed;
        _guest.Put(11, parts[5], [], Words(108, 1));
        Assert.True(_wire.Resumed > before, "The wire was not told that there is room.");
        Assert.True(_card.TryReceive(frame));
        Assert.Equal(parts[5], _guest.Take()!.Transaction);

        // A part that was not given out is not given back.
        _guest.Put(11, parts[5], [], Words(108, 1));
        _guest.Put(11, parts[5], [], Words(108, 1));
        _guest.Put(11, 99999, [], Words(108, 1));
        _guest.Put(11, 0, [], Words(108, 1));
        Assert.True(_card.TryReceive(frame));
        Assert.False(_card.TryReceive(frame));
    }

    [Fact]
    public void SegmentsThatArriveAsOneComeInPartsOfOnePacket()
    {
        const int Large = 16384;
        const int Room = Large - 76;
        _wire.Offloads = NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;
        BringUp(Large);
        SetFilter(0xb);
        Assert.Equal((1, 1), (Query(0xfc01_020d)[144], Query(0xfc01_020d)[145]));
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
        SetCoalescing(2, 2);
        Assert.Equal(_wire.Offloads, _wire.ReceiveOffloads);

        byte[] frame = Frames.CreateTcp(60000);
        byte[] packet = Arriving(frame);
        (packet[0], packet[1], packet[6], packet[8]) = (1, 1, 34, 16);
        Assert.True(_card.TryReceive(packet));
        VmBusGuest.Packet parts = _guest.Take()!;
        Assert.Null(_guest.Take());
        Assert.Equal((7, 4u, 8 + (4 * 8)), (parts.Type, BitConverter.ToUInt32(parts.Header, 4), parts.Header.Length));
        List<byte> arrived = [];
        for (int i = 0; i < 4; i++)
        {
            byte[] message = _guest.Ram.Get(ReceiveBuffer + BitConverter.ToUInt32(parts.Header, 12 + (i * 8)), BitConverter.ToInt32(parts.Header, 8 + (i * 8)));
            Assert.Equal((message.Length, 32u, 0u, 0x88u), (BitConverter.ToInt32(message, 4), BitConverter.ToUInt32(message, 32), BitConverter.ToUInt32(message, 48), BitConverter.ToUInt32(message, 56)));
            Assert.Equal((16u, 0x8000_0001u, 12u), (BitConverter.ToUInt32(message, 60), BitConverter.ToUInt32(message, 64), BitConverter.ToUInt32(message, 68)));
            Assert.Equal((1, i switch { 0 => 3, 3 => 5, _ => 1 }), (message[72], message[73]));
            Assert.True(i == 3 || message.Length == Room + 76, "A part that is not the last one is not full.");
            arrived.AddRange(message[(8 + BitConverter.ToInt32(message, 8))..]);
        }

        Assert.Equal(frame, arrived);

        // All parts are given back with the first, and small frames are as ever.
        int count = 0;
        while (_card.TryReceive(packet))
        {
            Assert.NotNull(_guest.Take());
            count++;
        }

        Assert.Equal(((ReceivePages * 4096 / Large) - 8 - 4) / 4, count);
        _guest.Put(11, parts.Transaction, [], Words(108, 1));
        Assert.True(_card.TryReceive(packet));
        Assert.NotNull(_guest.Take());
        Assert.False(_card.TryReceive(packet));
        _guest.Put(11, parts.Transaction, [], Words(108, 1));
        byte[] small = WithChecksum(Frames.CreateTcp(200));
        Assert.Equal(small, Arrive(Arriving(small)).Frame);

        // A driver can do without, and then the next that comes is still whole.
        SetCoalescing(1, 1);
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
        Assert.True(_card.TryReceive(packet));
        Assert.Equal(4u, BitConverter.ToUInt32(_guest.Take()!.Header, 4));
        SetCoalescing(2, 0);
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
        SetCoalescing(2, 2);
        Assert.Equal(_wire.Offloads, _wire.ReceiveOffloads);

        // What no parts can hold is lost.
        Assert.True(_card.TryReceive(Arriving(new byte[INetworkBackend.MaximumPacketLength * 2])));
        Assert.True(_card.TryReceive(Arriving([.. frame, .. new byte[30000]])));
        Assert.Null(_guest.Take());
        _guest.Close();
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);

        void SetCoalescing(byte version4, byte version6)
        {
            byte[] parameters = new byte[28];
            (parameters[0], parameters[1], parameters[2], parameters[22], parameters[23]) = (0x80, 3, 28, version4, version6);
            Assert.Equal(0u, BitConverter.ToUInt32(Send(Message(5, [.. Words(8, 0xfc01_020c, (uint)parameters.Length, 20, 0), .. parameters])), 12));
        }
    }

    [Fact]
    public void TheDriverHearsOfTheLink()
    {
        BringUp();
        SetFilter(0xb);
        _card.OnLinkChanged(false);
        Assert.Equal((7u, 0x4001_000cu), Indication());
        _card.OnLinkChanged(true);
        Assert.Equal((7u, 0x4001_000bu), Indication());
    }

    [Fact]
    public void TheDriverSetsAnotherAddress()
    {
        BringUp();
        SetFilter(0xb);
        byte[] name = Encoding.Unicode.GetBytes("NetworkAddress");
        byte[] value = Encoding.Unicode.GetBytes("06000000Ab01");
        byte[] parameter = [.. Words(20, (uint)name.Length, 2, 20 + (uint)name.Length, (uint)value.Length), .. name, .. value];
        Assert.Equal(0u, BitConverter.ToUInt32(Send(Message(5, [.. Words(9, 0x0001_021b, (uint)parameter.Length, 20, 0), .. parameter])), 12));
        Assert.Equal([6, 0, 0, 0, 0xab, 1], Query(0x0101_0102));
        value[2] = (byte)'x';
        parameter = [.. parameter[..^value.Length], .. value];
        Assert.NotEqual(0u, BitConverter.ToUInt32(Send(Message(5, [.. Words(9, 0x0001_021b, (uint)parameter.Length, 20, 0), .. parameter])), 12));
    }

    [Fact]
    public void AFullRingDelaysAnswersAndLosesNone()
    {
        BringUp();
        _guest.LeavesPackets = true;
        byte[] message = Packet(Frames.CreateTcp(10));
        _guest.Ram.Memory.TryWrite(SendBuffer, message);
        ulong sent = 0;
        ulong answered = 0;
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 20; i++)
            {
                _guest.Put(6, ++sent, [], Words(107, 0, 0, (uint)message.Length));
            }

            while (_guest.Take() is { } answer)
            {
                Assert.Equal(++answered, answer.Transaction);
            }

            _guest.ShowTaken();
            _guest.Signal();
        }

        while (_guest.Take() is { } answer)
        {
            Assert.Equal(++answered, answer.Transaction);
        }

        Assert.Equal((sent, sent), (answered, (ulong)_wire.Sent.Count));
    }

    [Theory]
    [InlineData(9999u, 100u)]
    [InlineData(0u, 7000u)]
    [InlineData(0u, 10u)]
    [InlineData(5u, 6144u)]
    public void MessagesThatCannotBeAreRefused(uint section, uint length)
    {
        BringUp();
        VmBusGuest.Packet answer = Ask(107, 0, section, length);
        Assert.Equal((108u, 5u), (answer.Word(0), answer.Word(4)));
        Assert.Empty(_wire.Sent);
    }

    [Theory]
    [InlineData(4, 0xffff_ffffu)]
    [InlineData(4, 20u)]
    [InlineData(8, 0xffff_fff0u)]
    [InlineData(12, 0xffff_fff0u)]
    [InlineData(12, 0x2000u)]
    [InlineData(28, 0xffff_fff0u)]
    [InlineData(32, 0xffff_fff0u)]
    [InlineData(32, 300u)]
    [InlineData(44, 0u)]
    [InlineData(44, 0x1000u)]
    [InlineData(52, 200u)]
    public void FieldsThatCannotBeAreRefused(int field, uint value)
    {
        BringUp();
        byte[] message = Packet(Frames.CreateTcp(100), (0, 5u));
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(field), value);
        _guest.Ram.Memory.TryWrite(SendBuffer, message);
        Assert.Equal(5u, Ask(107, 0, 0, (uint)message.Length).Word(4));
        Assert.Empty(_wire.Sent);
    }

    [Fact]
    public void NothingComesOfAClosedChannel()
    {
        BringUp();
        SetFilter(0xb);
        _guest.Close();
        Assert.True(_card.TryReceive(Arriving(Frames.CreateTcp(10))));
        _card.OnLinkChanged(false);
        _card.OnTransmitReady();
        Assert.Null(_guest.Take());
    }

    [Fact]
    public void GarbageIsSurvived()
    {
        Random random = new(17);
        uint[] messages = [1, 100, 101, 103, 104, 106, 107, 107, 107, 107, 125, 129, 133];
        for (int i = 0; i < 4000; i++)
        {
            if (i % 200 == 0)
            {
                _guest.Bus.Reset();
                BringUp();
                SetFilter(0x2b);
            }

            byte[] junk = new byte[random.Next(8, 300)];
            random.NextBytes(junk);
            if (random.Next(3) != 0)
            {
                junk = Packet(Frames.CreateTcp(random.Next(300)), ((uint)random.Next(8), (uint)random.Next()));
                BinaryPrimitives.WriteUInt32LittleEndian(junk.AsSpan(random.Next(junk.Length / 4) * 4), (uint)random.Next(random.Next(2) == 0 ? 100 : int.MaxValue));
            }

            _guest.Ram.Memory.TryWrite(SendBuffer, junk);
            uint[] words = [messages[random.Next(messages.Length)], (uint)random.Next(2), (uint)random.Next(random.Next(2) == 0 ? 1 : 9), (uint)random.Next(400)];
            _guest.Put((ushort)(random.Next(4) == 0 ? 11 : 6), (ulong)random.Next(600), [], Words(words));
            if (random.Next(4) == 0)
            {
                _guest.Put(9, 5, VmBusGuest.Ranges((SendBuffer + (ulong)random.Next(5000), random.Next(1, 9000))), Words(107, (uint)random.Next(2), uint.MaxValue, 0));
            }

            _card.TryReceive(Arriving(junk));
            while (_guest.Take() is not null)
            {
            }
        }
    }

    private static byte[] Words(params uint[] words)
    {
        byte[] bytes = new byte[words.Length * 4];
        Buffer.BlockCopy(words, 0, bytes, 0, bytes.Length);
        return bytes;
    }

    private static byte[] Message(uint type, byte[] body) => [.. Words(type, (uint)body.Length + 8), .. body];

    private static byte[] Packet(byte[] frame, params (uint Type, uint Value)[] elements) => Packet(frame, 0, elements);

    private static byte[] Packet(byte[] frame, int padding, params (uint Type, uint Value)[] elements)
    {
        uint extra = (uint)elements.Length * 16;
        byte[] body =
        [
            .. Words(36 + extra, (uint)frame.Length, 0, 0, 0, 36, extra, 0, 0), .. elements.SelectMany(e => Words(16, e.Type, 12, e.Value)), .. frame, .. new byte[padding],
        ];
        return Message(1, body);
    }

    private static byte[] Arriving(byte[] frame) => [.. new byte[12], .. frame];

    private static void TcpPseudo(byte[] frame)
    {
        uint sum = 6 + (uint)(frame.Length - 34);
        for (int i = 26; i < 34; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(i));
        }

        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(50), (ushort)((sum & 0xffff) + (sum >> 16)));
    }

    private static byte[] WithChecksum(byte[] frame)
    {
        TcpPseudo(frame);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(50), (ushort)~Sum(frame.AsSpan(34)));
        return frame;
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += (uint)(bytes[i] << 8) + (i + 1 < bytes.Length ? bytes[i + 1] : 0u);
        }

        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return sum;
    }

    private VmBusGuest.Packet Ask(params uint[] words)
    {
        _guest.Put(6, 42, [], [.. Words(words), .. new byte[40 - (words.Length * 4)]]);
        VmBusGuest.Packet? answer = _guest.Take();
        Assert.NotNull(answer);
        Assert.Equal((11, 42ul), (answer.Type, answer.Transaction));
        return answer;
    }

    private void OpenSecond()
    {
        VmBusGuest.Packet answer = Ask(133, 1, 5);
        Assert.Equal((133u, 1u, 1u), (answer.Word(0), answer.Word(4), answer.Word(8)));
        VmBusGuest.Packet table = _guest.Take()!;
        Assert.Equal((6, 134u, 16u, 12u, 0u, 1u, 0u), (table.Type, table.Word(0), table.Word(4), table.Word(8), table.Word(12), table.Word(16), table.Word(20)));
        byte[] offer = _guest.Receive();
        Assert.Equal((1u, 1, Second), (BitConverter.ToUInt32(offer), BitConverter.ToUInt16(offer, 180), BitConverter.ToUInt32(offer, 184)));
        Assert.Equal(0u, _guest.CreateList(300, Out, 4, channel: Second));
        _guest.Post(5, Second, 7, 300, 1, 2);
        Assert.Equal(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
    }

    private void BringUp(int sectionSize = SectionSize)
    {
        _guest.Open();
        Assert.Equal(1u, Ask(1, 0x6_0001, 0x6_0001).Word(12));
        _guest.Put(6, 1, [], Words(125, 1514, 0, 0x88, 0));
        _guest.Put(6, 1, [], Words(100, 6, 30));
        Assert.Equal(0u, _guest.CreateList(100, ReceiveBuffer, ReceivePages));
        Assert.Equal(0u, _guest.CreateList(101, SendBuffer, 12));
        VmBusGuest.Packet buffer = Ask(101, 100, _bufferId);
        Assert.Equal((102u, 1u, 1u, 0u, (uint)sectionSize), (buffer.Word(0), buffer.Word(4), buffer.Word(8), buffer.Word(12), buffer.Word(16)));
        Assert.Equal((uint)(ReceivePages * 4096 / sectionSize), buffer.Word(20));
        buffer = Ask(104, 101, 0);
        Assert.Equal((105u, 1u, 6144u), (buffer.Word(0), buffer.Word(4), buffer.Word(8)));
        byte[] initialized = Send(2, 1, 1, 0, 0x4000);
        Assert.Equal((0x8000_0002u, 52, 0u, 8u), (BitConverter.ToUInt32(initialized), initialized.Length, BitConverter.ToUInt32(initialized, 12), BitConverter.ToUInt32(initialized, 32)));
    }

    private uint SetScaling(uint channel, ushort flags = 0, uint tableOffset = 40, ushort tableBytes = 16, ushort keyBytes = 40)
    {
        byte[] parameters = new byte[96];
        (parameters[0], parameters[1], parameters[2]) = (0x89, 2, 40);
        BitConverter.TryWriteBytes(parameters.AsSpan(4), flags);
        BitConverter.TryWriteBytes(parameters.AsSpan(8), 0x201);
        BitConverter.TryWriteBytes(parameters.AsSpan(12), tableBytes);
        BitConverter.TryWriteBytes(parameters.AsSpan(16), tableOffset);
        BitConverter.TryWriteBytes(parameters.AsSpan(20), keyBytes);
        BitConverter.TryWriteBytes(parameters.AsSpan(24), 56);
        for (int i = 0; i < 4; i++)
        {
            BitConverter.TryWriteBytes(parameters.AsSpan(40 + (i * 4)), channel);
        }

        return BitConverter.ToUInt32(Send(Message(5, [.. Words(2, 0x0001_0204, (uint)parameters.Length, 20, 0), .. parameters])), 12);
    }

    private void SetFilter(uint filter) => Assert.Equal(0u, BitConverter.ToUInt32(Send(5, 2, 0x0001_010e, 4, 20, 0, filter), 12));

    private byte[] Query(uint identifier)
    {
        byte[] answer = Send(4, 3, identifier, 0, 20, 0);
        Assert.Equal((0x8000_0004u, 3u, 0u), (BitConverter.ToUInt32(answer), BitConverter.ToUInt32(answer, 8), BitConverter.ToUInt32(answer, 12)));
        return answer.AsSpan(8 + BitConverter.ToInt32(answer, 20), BitConverter.ToInt32(answer, 16)).ToArray();
    }

    private byte[] Send(uint type, params uint[] words) => Send(Message(type, Words(words)));

    // A request, and its answer.
    private byte[] Send(byte[] message)
    {
        _guest.Ram.Memory.TryWrite(Request, message);
        _guest.Put(9, 50, VmBusGuest.Ranges((Request, message.Length)), Words(107, 1, uint.MaxValue, 0));
        byte[] answer = TakePart(1);
        Assert.Equal((50ul, 108u, 1u), _guest.Take() is { } done ? (done.Transaction, done.Word(0), done.Word(4)) : default);
        return answer;
    }

    private void Transmit(byte[] message)
    {
        _guest.Ram.Memory.TryWrite(Request, message);
        _guest.Put(9, 50, VmBusGuest.Ranges((Request, message.Length)), Words(107, 0, uint.MaxValue, 0));
        Assert.Equal(1u, _guest.Take()!.Word(4));
    }

    private byte[] TakePart(uint channelType)
    {
        VmBusGuest.Packet? packet = _guest.Take();
        Assert.NotNull(packet);
        Assert.Equal((7, 107u, channelType), (packet.Type, packet.Word(0), packet.Word(4)));
        Assert.Equal((_bufferId, 1u), (BitConverter.ToUInt16(packet.Header), BitConverter.ToUInt32(packet.Header, 4)));
        byte[] message = _guest.Ram.Get(ReceiveBuffer + BitConverter.ToUInt32(packet.Header, 12), BitConverter.ToInt32(packet.Header, 8));
        Assert.Equal(message.Length, BitConverter.ToInt32(message, 4));
        _guest.Put(11, packet.Transaction, [], Words(108, 1));
        return message;
    }

    private (byte[] Frame, uint Checksum) Arrive(byte[] packet)
    {
        Assert.True(_card.TryReceive(packet));
        byte[] message = TakePart(0);
        int element = 8 + BitConverter.ToInt32(message, 28);
        Assert.Equal((16, 0), (BitConverter.ToInt32(message, element), BitConverter.ToInt32(message, element + 4)));
        uint known = BitConverter.ToUInt32(message, element + BitConverter.ToInt32(message, element + 8));
        return (message.AsSpan(8 + BitConverter.ToInt32(message, 8), BitConverter.ToInt32(message, 12)).ToArray(), known);
    }

    private (uint Type, uint Status) Indication()
    {
        byte[] message = TakePart(1);
        return (BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, 8));
    }
}
