using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Personalities.Network;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.Network;

/// <summary>Checksums and segmentation that a guest leaves to its card.</summary>
public sealed class PacketSenderTests : IDisposable
{
    private const int HeaderLength = INetworkBackend.HeaderLength;
    private readonly GuestRam _ram = new();

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void ALargePacketIsCutWhereTheWireCannot()
    {
        TestNetwork wire = new();
        PacketSender sender = new(_ram.Memory, wire);
        byte[] frame = Frames.CreateTcp(3000);
        frame[47] |= 0x80;
        Assert.True(sender.TryFlush());
        Assert.True(sender.TrySend(Cut(frame, 100), new PacketOffload(0, 0, 1400), null));
        Assert.Equal([1400, 1400, 200], wire.Sent.Select(s => s.Length - HeaderLength - Frames.HeaderLength));
        Assert.All(wire.Sent, s => Assert.True(Frames.HasRightChecksums(s.AsSpan(HeaderLength))));
        Assert.Equal(frame[Frames.HeaderLength..], wire.Sent.SelectMany(s => s[(HeaderLength + Frames.HeaderLength)..]));
        Assert.Equal([0xffff_fff0u, 0x568u, 0xae0u], wire.Sent.Select(s => BinaryPrimitives.ReadUInt32BigEndian(s.AsSpan(HeaderLength + 38))));
        Assert.Equal([0x90, 0x10, 0x19], wire.Sent.Select(s => (int)s[HeaderLength + 47]));
        Assert.All(wire.Sent, s => Assert.All(s[..HeaderLength], b => Assert.Equal(0, b)));
    }

    [Theory]
    [InlineData(1, 63)]
    [InlineData(47, 63)]
    [InlineData(48, 63)]
    [InlineData(49, 62)]
    public void SegmentsAreNotTooSmallToBeWorthwhile(int size, int count)
    {
        TestNetwork wire = new();
        PacketSender sender = new(_ram.Memory, wire);
        byte[] frame = Frames.CreateTcp(3000);
        Assert.True(sender.TrySend(Cut(frame, 1000), new PacketOffload(0, 0, size), null));
        Assert.Equal(count, wire.Sent.Count);
        Assert.Equal(frame[Frames.HeaderLength..], wire.Sent.SelectMany(s => s[(HeaderLength + Frames.HeaderLength)..]));
        Assert.All(wire.Sent, s => Assert.True(Frames.HasRightChecksums(s.AsSpan(HeaderLength))));

        // Nor are those that the wire makes; and what was half sent before goes on so.
        TestNetwork able = new(NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4);
        Assert.True(new PacketSender(_ram.Memory, able).TrySend(Cut(frame, 1000), new PacketOffload(0, 0, size), null));
        Assert.Equal(Math.Max(size, 48), BinaryPrimitives.ReadUInt16LittleEndian(Assert.Single(able.Sent).AsSpan(4)));
        StateBag state = new();
        wire.IsFull = true;
        Assert.True(sender.TrySend(Cut(frame, 1000), new PacketOffload(0, 0, 1400), null));
        sender.Save(state, 1);
        state.Integers[1] = (ulong)size;
        wire.IsFull = false;
        wire.Sent.Clear();
        Assert.True(sender.Restore(state, 1));
        Assert.True(sender.TryFlush());
        Assert.Equal(count, wire.Sent.Count);
    }

    [Fact]
    public void AFullWireGetsTheRestLater()
    {
        TestNetwork wire = new() { IsFull = true };
        PacketSender sender = new(_ram.Memory, wire);
        byte[] frame = Frames.CreateTcp(3000);
        Assert.True(sender.TrySend(Cut(frame, 4000), new PacketOffload(0, 0, 1400), null));
        Assert.False(sender.TryFlush());
        Assert.Empty(wire.Sent);
        wire.IsFull = false;
        Assert.True(sender.TryFlush());
        Assert.Equal(3, wire.Sent.Count);
    }

    [Fact]
    public void AWireThatSegmentsGetsAHeaderAndTheWholePseudoHeader()
    {
        TestNetwork wire = new(NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4);
        PacketSender sender = new(_ram.Memory, wire);
        byte[] frame = Frames.CreateTcp(3000);
        Assert.True(sender.TrySend(Cut(frame, 60), new PacketOffload(0, 0, 1400), null));
        byte[] sent = Assert.Single(wire.Sent);
        Assert.Equal([1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0, 0, 0], sent[..HeaderLength]);
        Assert.Equal(frame.Length + HeaderLength, sent.Length);
        Assert.True(TcpFrame.TryParse(frame, out TcpFrame headers));
        Assert.Equal(headers.SumPseudoHeader(frame, 3020), BinaryPrimitives.ReadUInt16BigEndian(sent.AsSpan(HeaderLength + 50)));
        Assert.Equal(frame[Frames.HeaderLength..], sent[(HeaderLength + Frames.HeaderLength)..]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AChecksumIsComputedWhereTheWireCannot(bool tagged)
    {
        TestNetwork wire = new();
        PacketSender sender = new(_ram.Memory, wire);
        byte[] frame = Frames.CreateTcp(100);
        Assert.True(TcpFrame.TryParse(frame, out TcpFrame headers));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(50), (ushort)headers.SumPseudoHeader(frame, 120));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(24), (ushort)~InternetChecksum.Fold(InternetChecksum.Add(frame.AsSpan(14, 20), 0)));
        Assert.True(sender.TrySend(Cut(frame, 33), new PacketOffload(34, 16, 0), tagged ? (ushort)0x2005 : null));
        byte[] sent = Assert.Single(wire.Sent)[HeaderLength..];
        Assert.True(Frames.HasRightChecksums(sent));
        Assert.Equal(tagged ? "81002005" : "08004500", Convert.ToHexString(sent.AsSpan(12, 4)));
        Assert.Equal(frame.Length + (tagged ? 4 : 0), sent.Length);
    }

    [Fact]
    public void NonsenseVanishesOrPassesAndNothingElseHappens()
    {
        TestNetwork wire = new();
        PacketSender sender = new(_ram.Memory, wire);
        Random random = new(3);
        for (int i = 0; i < 3000; i++)
        {
            byte[] frame = random.Next(3) == 0 ? Frames.CreateTcp(random.Next(600)) : new byte[random.Next(1, 300)];
            for (int n = random.Next(8); n > 0; n--)
            {
                frame[random.Next(frame.Length)] = (byte)random.Next(256);
            }

            PacketOffload offload = new(random.Next(2) * random.Next(1100), random.Next(20000), random.Next(2) * random.Next(1, 20000));
            sender.TryFlush();
            sender.TrySend(Cut(frame, random.Next(1, 400), reuse: true), offload, random.Next(4) == 0 ? (ushort)random.Next(65536) : null);
        }

        Assert.NotEmpty(wire.Sent);
    }

    private GuestBuffer[] Cut(byte[] frame, int piece, bool reuse = false)
    {
        ulong address = reuse ? GuestRam.Start : _ram.Allocate(frame.Length);
        _ram.Memory.TryWrite(address, frame);
        List<GuestBuffer> parts = [];
        for (int at = 0; at < frame.Length; at += piece)
        {
            uint length = (uint)Math.Min(piece, frame.Length - at);
            parts.Add(new GuestBuffer(address + (uint)at, _ram.Memory.GetHostAddress(address + (uint)at, length), length));
        }

        return [.. parts];
    }
}
