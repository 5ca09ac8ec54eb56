using System.Buffers.Binary;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen.Network;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A network card as its front end sees it, good and hostile.</summary>
public sealed partial class NetworkBackEndTests : IDisposable
{
    private const string Front = "/local/domain/1/device/vif/0";
    private const string Back = "/local/domain/0/backend/vif/1/0";
    private const ulong Transmit = 0x30_0000;
    private const ulong Receive = 0x30_1000;
    private const ulong Data = 0x31_0000;
    private TestNetwork _wire = new();
    private TestNetwork _second = new();
    private readonly StoreClient _guest;
    private uint _transmitPort;
    private uint _produced;
    private uint _given;

    public NetworkBackEndTests()
    {
        _guest = new StoreClient((bus, _) =>
        {
            (_wire, _second) = (new TestNetwork(), new TestNetwork());
            return new NetworkBackEnd(bus, StoreClient.NewLock(), 0, [_wire, _second], [2, 0, 0, 0, 0, 1]);
        });
    }

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void PacketsGoOutInPiecesWithTheirChecksums()
    {
        Connect();
        Assert.Equal("02:00:00:00:00:01", _guest.Read($"{Front}/mac"));
        byte[] frame = Frames.CreateTcp(1000);
        frame[14 + 20 + 16] = frame[14 + 20 + 17] = 0;
        Put(frame, 0, 700);
        Assert.Equal(frame, _wire.Sent.Single()[12..]);
        Assert.Equal((0, 0), (Response(0).Status, Response(1).Status));
        _wire.Sent.Clear();
        Put(Frames.CreateTcp(3000), 1, 4000, segment: 1400);
        Assert.Equal(3, _wire.Sent.Count);
        Assert.All(_wire.Sent, s => Assert.True(Frames.HasRightChecksums(s.AsSpan(12)), "A segment has a wrong checksum."));
        Assert.Equal((0, 1), (Response(2).Status, Response(3).Status));
    }

    [Fact]
    public void EachOfSeveralQueuesHasItsRingsItsChannelAndItsLineOfTheWire()
    {
        const ulong Rings = 0x38_0000;
        Assert.Equal("2", _guest.Read($"{Back}/multi-queue-max-queues"));
        uint[] ports = [_guest.AllocatePort(), _guest.AllocatePort()];
        for (uint i = 0; i < 4; i++)
        {
            _guest.Grant(40 + i, Rings + (i * 0x1000));
        }

        _guest.Grant(10, Data);
        for (int i = 0; i < 2; i++)
        {
            foreach ((string name, uint value) in new[] { ("tx-ring-ref", 40u + (uint)i), ("rx-ring-ref", 42u + (uint)i), ("event-channel", ports[i]) })
            {
                Assert.Equal("OK\0", _guest.Write($"{Front}/queue-{i}/{name}", $"{value}"));
            }
        }

        Set(("multi-queue-num-queues", 2u), ("request-rx-copy", 1u), ("feature-no-csum-offload", 1u), ("state", 4u));
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        byte[] entry = [10, 0, 0, 0, 0, 0, 0, 0, 7, 0, 60, 0];
        _guest.Memory.TryWrite(Rings + 0x1000 + 64, entry);
        _guest.Memory.TryWrite(Rings + 0x1000, 1u);
        _guest.Notify(ports[1]);
        Assert.Equal((0, 1), (_wire.Sent.Count, _second.Sent.Count));
        Assert.Equal((true, true), (_wire.IsEnabled, _second.IsEnabled));
        _guest.Memory.TryWrite(Rings + 0x3000 + 64, [3, 0, 0, 0, 10, 0, 0, 0]);
        _guest.Memory.TryWrite(Rings + 0x3000, 1u);
        Assert.False(_wire.Receiver!.TryReceive(new byte[100]));
        Assert.True(_second.Receiver!.TryReceive(new byte[100]), "The second queue has room.");

        // What one queue gets wrong ends the card.
        _guest.Memory.TryWrite(Rings, 5000u);
        _guest.Notify(ports[0]);
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        _guest.Memory.TryWrite(Rings + 0x1000, 2u);
        _guest.Notify(ports[1]);
        Assert.Single(_second.Sent);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(uint.MaxValue)]
    public void MoreQueuesThanThereAreLinesAreRefused(uint queues)
    {
        Set(("multi-queue-num-queues", queues), ("request-rx-copy", 1u), ("state", 4u));
        Assert.Equal("5", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void AFullWireIsWaitedFor()
    {
        Connect();
        _wire.IsFull = true;
        Put(new byte[100], 0, 4000);
        Assert.Equal(0u, Responses);
        _wire.IsFull = false;
        _wire.Receiver!.OnTransmitReady();
        Assert.Equal((1u, 1), (Responses, _wire.Sent.Count));
    }

    [Fact]
    public void PiecesThatAreNotThereAreAnsweredWithErrors()
    {
        Connect();
        PutEntry(999, 0, 0, 100);
        PutEntry(10, 4090, 0, 100);
        PutEntry(10, 5000, 0, 10);
        PutEntry(10, 0, 0, 0);
        Push();
        Assert.Equal([-1, -1, -1, -1], Enumerable.Range(0, 4).Select(i => (int)Response(i).Status));
        PutEntry(10, 0, 4, 100);
        PutEntry(11, 0, 0, 50);
        Push();
        Assert.Equal(0, Response(4).Status);
        Assert.Single(_wire.Sent);

        // A later piece of no length is not the rest of its page.
        PutEntry(10, 0, 4, 100);
        PutEntry(11, 0, 0, 0);
        Push();
        Assert.Equal((-1, -1), (Response(6).Status, Response(7).Status));
        Assert.Single(_wire.Sent);
        Assert.Equal("4", _guest.Read($"{Back}/state"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void AFrontEndThatBreaksTheProtocolLosesItsCard(int way)
    {
        Connect();
        switch (way)
        {
            case 0:
                PutEntry(10, 0, 4, 100);
                Push();
                break;
            case 1:
                PutEntry(10, 0, 8, 100);
                Push();
                break;
            case 2:
                for (int i = 0; i < 30; i++)
                {
                    PutEntry(10, 0, 4, 2000);
                }

                Push();
                break;
            default:
                _guest.Memory.TryWrite(Transmit, 1000u);
                _guest.Notify(_transmitPort);
                break;
        }

        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.Empty(_wire.Sent);
        Assert.True(_wire.Receiver!.TryReceive(new byte[100]), "A card that is gone takes what comes and drops it.");
    }

    [Fact]
    public void AFrontEndThatNeverStopsSendingLosesItsCard()
    {
        const int Patience = 2000;
        Connect();
        for (int i = 0; i < 256; i++)
        {
            PutEntry(10, 0, 0, 100);
        }

        // It has not been shown a response, and yet sends more.
        _wire.Sending = () => _guest.Memory.TryWrite(Transmit, (uint)Math.Min(256 + _wire.Sent.Count, Patience));
        Push();
        Assert.True(_wire.Sent.Count <= 256, $"{_wire.Sent.Count} packets were taken of a ring of 256, without a pause.");
        Assert.Equal("5", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void WhatArrivesFillsPagesAndWaitsForThem()
    {
        Connect();
        byte[] packet = new byte[12 + 5000];
        new Random(2).NextBytes(packet.AsSpan(12));
        Assert.False(_wire.Receiver!.TryReceive(packet));
        Give(10);
        Assert.False(_wire.Receiver.TryReceive(packet));
        int resumed = _wire.Resumed;
        Give(11);
        Assert.True(_wire.Resumed == resumed + 1, "The front end was not asked to say that it has given the last page.");
        Assert.True(_wire.Receiver.TryReceive(packet));
        Assert.Equal((0x4, 4096), (ReceiveResponse(0).Flags, ReceiveResponse(0).Status));
        Assert.Equal((0, 904), (ReceiveResponse(1).Flags, ReceiveResponse(1).Status));
        byte[] got = new byte[5000];
        _guest.Memory.TryRead(Data, got);
        Assert.Equal(packet[12..], got);
    }

    [Fact]
    public void SegmentsArriveWithTheirSizeAndBadPagesAreAnsweredWithErrors()
    {
        Connect();
        Give(10);
        Give(11);
        byte[] packet = new byte[12 + 2000];
        packet[0] = 1;
        packet[1] = 1;
        packet[4] = 0x78;
        packet[5] = 0x05;
        Assert.True(_wire.Receiver!.TryReceive(packet));
        Assert.Equal((0xb, 2000), (ReceiveResponse(0).Flags, ReceiveResponse(0).Status));
        byte[] extra = new byte[8];
        _guest.Memory.TryRead(Receive + 64 + 8, extra);
        Assert.Equal("0100780501000000", Convert.ToHexString(extra));
        Give(999);
        Assert.True(_wire.Receiver.TryReceive(new byte[100]));
        Assert.Equal(-1, ReceiveResponse(2).Status);
    }

    private uint Responses
    {
        get
        {
            _guest.Memory.TryRead(Transmit + 8, out uint value);
            return value;
        }
    }

    private void Set(params (string Name, uint Value)[] fields)
    {
        foreach ((string name, uint value) in fields)
        {
            Assert.Equal("OK\0", _guest.Write($"{Front}/{name}", $"{value}"));
        }
    }

    private void Connect()
    {
        _transmitPort = _guest.AllocatePort();
        uint receivePort = _guest.AllocatePort();
        _guest.Grant(8, Transmit);
        _guest.Grant(9, Receive);
        for (uint i = 10; i < 20; i++)
        {
            _guest.Grant(i, Data + ((i - 10) * 0x1000));
        }

        Set(("tx-ring-ref", 8u), ("rx-ring-ref", 9u), ("event-channel-tx", _transmitPort), ("event-channel-rx", receivePort), ("request-rx-copy", 1u), ("feature-no-csum-offload", 1u), ("state", 4u));
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        Assert.Equal((true, false), (_wire.IsEnabled, _second.IsEnabled));
    }

    private void Put(byte[] frame, ushort flags, int split, int segment = 0)
    {
        _guest.Memory.TryWrite(Data, frame.AsSpan(0, Math.Min(split, frame.Length)));
        _guest.Memory.TryWrite(Data + 0x1000, frame.AsSpan(Math.Min(split, frame.Length)));
        bool pieces = frame.Length > split;
        PutEntry(10, 0, (ushort)(flags | (pieces ? 4 : 0) | (segment != 0 ? 8 : 0)), (ushort)frame.Length);
        if (segment != 0)
        {
            byte[] extra = [1, 0, (byte)segment, (byte)(segment >> 8), 1, 0, 0, 0, 0, 0, 0, 0];
            _guest.Memory.TryWrite(Transmit + 64 + (_produced++ * 12), extra);
        }

        if (pieces)
        {
            PutEntry(11, 0, 0, (ushort)(frame.Length - split));
        }

        Push();
    }

    private void PutEntry(uint reference, ushort offset, ushort flags, ushort size)
    {
        byte[] entry = new byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, reference);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(4), offset);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(6), flags);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), (ushort)_produced);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(10), size);
        _guest.Memory.TryWrite(Transmit + 64 + (_produced++ * 12), entry);
    }

    private void Push()
    {
        _guest.Memory.TryWrite(Transmit, _produced);
        _guest.Notify(_transmitPort);
    }

    private (ushort Id, short Status) Response(int index)
    {
        Assert.True(index < (int)Responses, "There is no such response.");
        byte[] response = new byte[4];
        _guest.Memory.TryRead(Transmit + 64 + ((uint)index * 12), response);
        return (BinaryPrimitives.ReadUInt16LittleEndian(response), BinaryPrimitives.ReadInt16LittleEndian(response.AsSpan(2)));
    }

    private void Give(uint reference)
    {
        byte[] request = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(request, (ushort)_given);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(4), reference);
        _guest.Memory.TryWrite(Receive + 64 + (_given++ * 8), request);
        _guest.Memory.TryWrite(Receive, _given);

        // As front ends do, only if the request is the one at which the back end wants an event.
        _guest.Memory.TryRead(Receive + 4, out uint wanted);
        if (wanted == _given)
        {
            _guest.Notify(_transmitPort);
        }
    }

    private (ushort Flags, short Status) ReceiveResponse(int index)
    {
        byte[] response = new byte[8];
        _guest.Memory.TryRead(Receive + 64 + ((uint)index * 8), response);
        return (BinaryPrimitives.ReadUInt16LittleEndian(response.AsSpan(4)), BinaryPrimitives.ReadInt16LittleEndian(response.AsSpan(6)));
    }
}
