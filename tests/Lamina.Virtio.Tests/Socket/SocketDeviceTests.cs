using Lamina.Machine.Backends;
using Lamina.Virtio.Socket;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Socket;

/// <summary>Connections both ways, room on both sides, endings, and guests that lie.</summary>
public sealed class SocketDeviceTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const int Guest = 7;
    private const int BufferSize = 1024;
    private const int ReceiveBuffers = 16;
    private readonly GuestRam _ram = new();
    private readonly TestSockets _host = new();
    private readonly TestBus _bus;
    private readonly Dictionary<ushort, ulong> _buffers = [];
    private readonly Stack<ulong> _free = [];
    private readonly ulong _scratch;
    private DriverQueue _receive = null!;
    private DriverQueue _transmit = null!;
    private DriverQueue _events = null!;

    public SocketDeviceTests()
    {
        _bus = new TestBus(new SocketDevice("vsock0", new CheckedLock(), _ram.Memory, _host, Guest));
        _scratch = _ram.Allocate(70000);
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void TheConfigurationIsTheGuestsAddress()
    {
        Assert.Equal(7UL, _bus.Read(0x2000, 4));
        Assert.Equal(0UL, _bus.Read(0x2004, 4));
        Assert.Equal(0x1053_1af4UL, _bus.Configuration(0, 4));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheGuestReachesAPortOfTheHost(bool packed)
    {
        Begin(packed);
        _host.Listening.Add(80);
        Send(Packet(SocketOperation.Request, 1000, 80, allocated: 10_000));
        SocketHeader answer = Take(out _);
        Assert.Equal((SocketOperation.Response, 2UL, (ulong)Guest, 80u, 1000u), (answer.Operation, answer.Source, answer.Destination, answer.SourcePort, answer.DestinationPort));
        Assert.Equal(4096u, answer.Allocated);
        byte[] content = Content(700);
        Send(Packet(SocketOperation.Data, 1000, 80, length: 700, allocated: 10_000), content);
        Assert.Equal(content, _host.Ends[0].FromGuest);
        Answer(0, content);
        SocketHeader data = Take(out byte[] got);
        Assert.Equal((SocketOperation.Data, 700u, 700u), (data.Operation, data.Length, data.Forwarded));
        Assert.Equal(content, got);
        AssertNothing();
    }

    [Fact]
    public void DataInTwoRegionsOfRamIsSentAndReceived()
    {
        const ulong Seam = GuestRam.Start + 0x1000;
        using GuestRam ram = new(2);
        ram.Allocate(0x8000);
        TestBus bus = new(new SocketDevice("vsock1", new CheckedLock(), ram.Memory, _host, Guest));
        DriverQueue receive = new(ram, 128, false, false);
        DriverQueue transmit = new(ram, 128, false, false);
        bus.Begin(Version1 | 1, receive, transmit, new DriverQueue(ram, 4, false, false));
        _host.Listening.Add(80);
        receive.Add([], [(ram.Allocate(100), 100)]);
        Transmit(Packet(SocketOperation.Request, 1000, 80));
        Assert.NotNull(receive.Take());

        // As many pieces as one buffer can have, and one of them in two regions, either way.
        byte[] content = Content(63 * 8);
        for (int i = 0; i < content.Length; i++)
        {
            Assert.True(ram.Memory.TryWrite(Seam - 252 + (ulong)i, content[i]));
        }

        (ulong, int)[] pieces = [.. Enumerable.Range(0, 63).Select(i => (Seam - 252 + ((ulong)i * 8), 8))];
        Transmit(Packet(SocketOperation.Data, 1000, 80, length: 504), pieces);
        Assert.Equal(content, _host.Ends[0].FromGuest);
        receive.Add([], [(ram.Allocate(44), 44), .. pieces.Reverse()]);
        Answer(0, content);
        Assert.Equal(44u + 504u, receive.Take()!.Value.Written);
        Assert.Equal(content[^8..], ram.Get(Seam - 252, 8));
        Assert.Equal([.. content.AsSpan(248, 4), .. content.AsSpan(252, 4)], new byte[][] { ram.Get(Seam - 4, 4), ram.Get(Seam, 4) }.SelectMany(static b => b));

        void Transmit(SocketHeader header, params (ulong, int)[] data)
        {
            byte[] bytes = new byte[SocketHeader.Size];
            header.Write(bytes);
            transmit.Add([(ram.Put(bytes), bytes.Length), .. data], []);
            bus.Kick(1);
            Assert.NotNull(transmit.Take());
        }
    }

    [Fact]
    public void WhereNobodyListensTheGuestIsRefused()
    {
        Begin();
        Send(Packet(SocketOperation.Request, 1000, 80));
        SocketHeader answer = Take(out _);
        Assert.Equal((SocketOperation.Reset, 80u, 1000u), (answer.Operation, answer.SourcePort, answer.DestinationPort));
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void TheHostReachesAPortOfTheGuest()
    {
        Begin();
        Assert.True(_host.Target!.TryConnect(22));
        SocketHeader request = Take(out _);
        Assert.Equal((SocketOperation.Request, 22u), (request.Operation, request.DestinationPort));
        Assert.Empty(_host.Log);
        Send(Packet(SocketOperation.Response, 22, request.SourcePort, allocated: 500));
        Assert.Equal([$"accept 0 {request.SourcePort:x}"], _host.Log);
        Answer(0, Content(800));
        Assert.Equal(500u, Take(out _).Length);
        Assert.Equal(SocketOperation.CreditRequest, Take(out _).Operation);
        AssertNothing();
        Send(Packet(SocketOperation.CreditUpdate, 22, request.SourcePort, allocated: 500, forwarded: 500));
        Assert.Equal(300u, Take(out _).Length);
        AssertNothing();
        Assert.True(_host.Target.TryConnect(22));
        Assert.NotEqual(request.SourcePort, Take(out _).SourcePort);
    }

    [Fact]
    public void AGuestThatRefusesEndsTheHostsConnection()
    {
        Begin();
        Assert.True(_host.Target!.TryConnect(22));
        Send(Packet(SocketOperation.Reset, 22, Take(out _).SourcePort));
        Assert.Equal(["close 0"], _host.Log);
        AssertNothing();
    }

    [Fact]
    public void AHostThatGivesUpIsForgotten()
    {
        Begin();
        Assert.True(_host.Target!.TryConnect(22));
        uint port = Take(out _).SourcePort;
        _host.Target.OnReady(0, readable: true, writable: false);
        SocketHeader reset = Take(out _);
        Assert.Equal((SocketOperation.Reset, port), (reset.Operation, reset.SourcePort));
        Assert.Empty(_host.Ends);
        Send(Packet(SocketOperation.Response, 22, port));
        Assert.Equal(SocketOperation.Reset, Take(out _).Operation);
    }

    [Fact]
    public void WithoutADriverTheHostIsRefused() => Assert.False(_host.Target!.TryConnect(22));

    [Fact]
    public void TheGuestIsToldOfRoomAndMayNotTakeMore()
    {
        Begin();
        Connect(1000, 80);
        TestSockets.End end = _host.Ends[0];
        end.Room = 0;
        Send(Packet(SocketOperation.Data, 1000, 80, length: 3000), Content(3000));
        AssertNothing();
        end.Room = 2000;
        _host.Target!.OnReady(0, readable: false, writable: true);
        SocketHeader credit = Take(out _);
        Assert.Equal((SocketOperation.CreditUpdate, 2000u, 4096u), (credit.Operation, credit.Forwarded, credit.Allocated));
        Send(Packet(SocketOperation.CreditRequest, 1000, 80));
        Assert.Equal(SocketOperation.CreditUpdate, Take(out _).Operation);
        Send(Packet(SocketOperation.Data, 1000, 80, length: 3097), Content(3097));
        Assert.Equal(SocketOperation.Reset, Take(out _).Operation);
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void WhatTheGuestSentArrivesBeforeItsEnd()
    {
        Begin();
        Connect(1000, 80);
        TestSockets.End end = _host.Ends[0];
        end.Room = 100;
        Send(Packet(SocketOperation.Data, 1000, 80, length: 1000), Content(1000));
        Send(Packet(SocketOperation.Shutdown, 1000, 80, flags: 3));
        AssertNothing();
        Assert.DoesNotContain("close 0", _host.Log);
        end.Room = 1000;
        _host.Target!.OnReady(0, readable: false, writable: true);
        Assert.Equal(Content(1000), end.FromGuest);
        Assert.Equal("close 0", _host.Log[^1]);
        Assert.Equal(SocketOperation.Reset, Take(out _).Operation);
    }

    [Fact]
    public void EachSideCanEndItsOwnSending()
    {
        Begin();
        Connect(1000, 80);
        Send(Packet(SocketOperation.Shutdown, 1000, 80, flags: 2));
        Assert.Equal("shutdown 0 send", _host.Log[^1]);
        Answer(0, Content(10));
        Assert.Equal(10u, Take(out _).Length);
        _host.Ends[0].State = SocketState.Ended;
        _host.Target!.OnReady(0, readable: true, writable: false);
        SocketHeader end = Take(out _);
        Assert.Equal((SocketOperation.Shutdown, 2u), (end.Operation, end.Flags));
        _host.Ends[0].State = SocketState.Gone;
        _host.Target.OnReady(0, readable: true, writable: false);
        Assert.Equal(3u, Take(out _).Flags);
        Send(Packet(SocketOperation.Shutdown, 1000, 80, flags: 3));
        Assert.Equal(SocketOperation.Reset, Take(out _).Operation);
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void ConnectionsTakeTurns()
    {
        Begin();
        Connect(1000, 80, allocated: 100_000);
        Connect(1001, 80, allocated: 100_000);
        foreach (TestSockets.End end in _host.Ends.Values)
        {
            Content(10_000).ToList().ForEach(end.ToGuest.Enqueue);
        }

        _host.Target!.OnReady(0, readable: true, writable: false);
        _host.Target.OnReady(1, readable: true, writable: false);
        List<uint> order = [];
        while (_host.Ends[0].ToGuest.Count > 0 || _host.Ends[1].ToGuest.Count > 0)
        {
            order.Add(Take(out _).DestinationPort);
        }

        Assert.InRange(order.Take(20).Count(p => p == 1000), 4, 16);
    }

    [Fact]
    public void DataWaitsForBuffers()
    {
        Begin(fill: false);
        _host.Listening.Add(80);
        Send(Packet(SocketOperation.Request, 1000, 80, allocated: 10_000));
        Content(1500).ToList().ForEach(_host.Ends[0].ToGuest.Enqueue);
        Assert.Null(_receive.Take());
        Provide();
        _bus.Kick(0);
        Assert.Equal(SocketOperation.Response, Take(out _, provide: false).Operation);
        Provide();
        _bus.Kick(0);
        Assert.Equal((uint)(BufferSize - SocketHeader.Size), Take(out byte[] first, provide: false).Length);
        Provide();
        _bus.Kick(0);
        Take(out byte[] second, provide: false);
        Assert.Equal(Content(1500), first.Concat(second));
    }

    [Fact]
    public void ThereAreOnlySoManyConnectionsAndRefusals()
    {
        Begin(fill: false);
        _host.Listening.Add(80);
        for (uint i = 0; i < 1000; i++)
        {
            Send(Packet(SocketOperation.Request, i, 80));
        }

        Assert.Equal(SocketDevice.ChannelCount, _host.Ends.Count);
        Assert.False(_host.Target!.TryConnect(22));
        int refusals = 0;
        int responses = 0;
        for (int i = 0; i < 1000; i++)
        {
            Provide();
            _bus.Kick(0);
            if (_receive.Take() is { } used)
            {
                SocketOperation operation = SocketHeader.Read(_ram.Get(_buffers[used.Id], SocketHeader.Size)).Operation;
                refusals += operation == SocketOperation.Reset ? 1 : 0;
                responses += operation == SocketOperation.Response ? 1 : 0;
                Forget(used.Id);
            }
            else
            {
                break;
            }
        }

        Assert.Equal((256, SocketDevice.ChannelCount), (refusals, responses));
    }

    [Fact]
    public void AResetEndsEverything()
    {
        Begin();
        Connect(1000, 80);
        Assert.True(_host.Target!.TryConnect(22));
        _bus.Status = 0;
        Assert.Equal(0, _bus.Status);
        Assert.Empty(_host.Ends);
        Begin();
        AssertNothing();
        Connect(1000, 80);
    }

    [Fact]
    public void ARestoredGuestHearsThatItsConnectionsAreGone()
    {
        Begin();
        Connect(1000, 80);
        ulong at = _ram.Put([0xff, 0xff, 0xff, 0xff]);
        _events.Add([], [(at, 4)]);
        _bus.Kick(2);
        _bus.Transport.Stop();
        StateBag saved = new();
        _bus.Transport.Save(saved);
        _bus.Transport.Reset();
        Assert.True(_bus.Transport.Restore(saved));
        _bus.Transport.Start();
        Assert.Equal(4u, _events.Take()!.Value.Written);
        Assert.Equal(0u, _ram.Get<uint>(at));
        Assert.Empty(_host.Ends);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void WhateverAGuestSaysIsHarmless(int seed)
    {
        Begin(packed: seed == 2);
        Random random = new(seed);
        _host.Listening.Add(1);
        _host.Listening.Add(2);
        for (int i = 0; i < 20_000; i++)
        {
            int length = random.Next(8) == 0 ? random.Next(2000) : 0;
            SocketHeader header = new()
            {
                Source = random.Next(20) == 0 ? (ulong)random.NextInt64() : Guest,
                Destination = random.Next(20) == 0 ? (ulong)random.Next(4) : 2,
                SourcePort = (uint)random.Next(4),
                DestinationPort = random.Next(4) == 0 ? 0x4000_0000u + (uint)random.Next(4) : (uint)random.Next(4),
                Length = random.Next(10) == 0 ? (uint)random.Next() : (uint)length,
                Type = (ushort)(random.Next(20) == 0 ? random.Next(4) : 1),
                Operation = (SocketOperation)random.Next(9),
                Flags = (uint)random.Next(5),
                Allocated = random.Next(4) == 0 ? (uint)random.NextInt64() : 5000,
                Forwarded = random.Next(4) == 0 ? (uint)random.NextInt64() : 0,
            };
            Send(header, Content(length), cut: random.Next(30) == 0 ? random.Next(44) : 0);
            if (random.Next(10) == 0)
            {
                _ = _host.Target!.TryConnect((uint)random.Next(4));
            }

            foreach ((int channel, TestSockets.End end) in _host.Ends.ToArray())
            {
                end.Room = random.Next(2000);
                end.State = (SocketState)(random.Next(30) == 0 ? random.Next(3) : 0);
                Content(random.Next(300)).ToList().ForEach(b =>
                {
                    if (end.ToGuest.Count < 5000)
                    {
                        end.ToGuest.Enqueue(b);
                    }
                });
                _host.Target!.OnReady(channel, random.Next(2) == 0, random.Next(2) == 0);
            }

            while (_receive.Take() is { } used)
            {
                _ram.Set(_buffers[used.Id], 0UL);
                Recycle(used.Id);
            }
        }

        Assert.Equal(15, _bus.Status);
        Assert.True(_host.Ends.Count <= SocketDevice.ChannelCount);
        _bus.Status = 0;
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void ABufferWithoutRoomForAHeaderBreaksTheDevice()
    {
        Begin(fill: false);
        _receive.Add([], [(_scratch, 43)]);
        Send(Packet(SocketOperation.Request, 1, 1));
        Assert.Equal(15 + 64, _bus.Status);
    }

    [Fact]
    public void NothingIsAllocatedForData()
    {
        Begin();
        Connect(1000, 80);
        _host.Ends[0].State = SocketState.Open;
        byte[] header = new byte[SocketHeader.Size];
        Packet(SocketOperation.CreditRequest, 1000, 80).Write(header);
        _ram.Memory.TryWrite(_scratch, header);
        Run(500);
        Assert.Equal(0, Run(500));

        long Run(int count)
        {
            long sum = 0;
            for (int i = 0; i < count; i++)
            {
                _transmit.Add([(_scratch, SocketHeader.Size)], []);
                long start = GC.GetAllocatedBytesForCurrentThread();
                _bus.Transport.Ring(1);
                sum += GC.GetAllocatedBytesForCurrentThread() - start;
                Assert.NotNull(_transmit.Take());
                Assert.Equal(SocketOperation.CreditUpdate, Take(out _).Operation);
                _bus.Sent.Clear();
            }

            return sum;
        }
    }

    private static byte[] Content(int length)
    {
        byte[] content = new byte[length];
        new Random(length).NextBytes(content);
        return content;
    }

    private static SocketHeader Packet(SocketOperation operation, uint from, uint to, uint length = 0, uint flags = 0, uint allocated = 100_000, uint forwarded = 0) => new()
    {
        Source = Guest,
        Destination = 2,
        SourcePort = from,
        DestinationPort = to,
        Length = length,
        Type = 1,
        Operation = operation,
        Flags = flags,
        Allocated = allocated,
        Forwarded = forwarded,
    };

    private void Begin(bool packed = false, bool fill = true)
    {
        _receive = new DriverQueue(_ram, 32, packed, false);
        _transmit = new DriverQueue(_ram, 32, packed, false);
        _events = new DriverQueue(_ram, 4, packed, false);
        foreach (ulong at in _buffers.Values)
        {
            _free.Push(at);
        }

        _buffers.Clear();
        _bus.Begin(Version1 | 1 | (packed ? 1UL << 34 : 0), _receive, _transmit, _events);
        for (int i = 0; fill && i < ReceiveBuffers; i++)
        {
            Provide();
        }
    }

    // A buffer in two parts, the first with a piece of the header.
    private void Provide()
    {
        ulong at = _free.TryPop(out ulong free) ? free : _ram.Allocate(BufferSize);
        _buffers[_receive.Add([], [(at, 20), (at + 20, BufferSize - 20)])] = at;
    }

    private void Recycle(ushort id)
    {
        Forget(id);
        Provide();
        _bus.Kick(0);
    }

    private void Forget(ushort id)
    {
        Assert.True(_buffers.Remove(id, out ulong at));
        _free.Push(at);
    }

    private void Connect(uint from, uint to, uint allocated = 100_000)
    {
        _host.Listening.Add(to);
        Send(Packet(SocketOperation.Request, from, to, allocated: allocated));
        Assert.Equal(SocketOperation.Response, Take(out _).Operation);
    }

    private void Answer(int channel, byte[] content)
    {
        Array.ForEach(content, _host.Ends[channel].ToGuest.Enqueue);
        _host.Target!.OnReady(channel, readable: true, writable: false);
    }

    private void Send(SocketHeader header, byte[]? content = null, int cut = 0)
    {
        byte[] bytes = new byte[SocketHeader.Size];
        header.Write(bytes);
        _ram.Memory.TryWrite(_scratch, bytes);
        _ram.Memory.TryWrite(_scratch + SocketHeader.Size, content ?? []);
        int length = SocketHeader.Size - cut;
        _transmit.Add(content is { Length: > 0 } && cut == 0 ? [(_scratch, length), (_scratch + (ulong)length, content.Length)] : [(_scratch, length)], []);
        _bus.Kick(1);
        Assert.NotNull(_transmit.Take());
    }

    private SocketHeader Take(out byte[] content, bool provide = true)
    {
        (ushort Id, uint Written)? taken = _receive.Take();
        Assert.True(taken.HasValue, "The guest got no packet.");
        (ushort Id, uint Written) used = taken.Value;
        ulong at = _buffers[used.Id];
        SocketHeader header = SocketHeader.Read(_ram.Get(at, SocketHeader.Size));
        Assert.Equal(SocketHeader.Size + header.Length, used.Written);
        content = _ram.Get(at + SocketHeader.Size, (int)header.Length);
        if (provide)
        {
            Recycle(used.Id);
        }
        else
        {
            Forget(used.Id);
        }

        return header;
    }

    private void AssertNothing() => Assert.Null(_receive.Take());
}
