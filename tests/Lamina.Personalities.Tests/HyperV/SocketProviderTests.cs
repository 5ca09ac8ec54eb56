using System.Text;
using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.Sockets;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Hyper-V sockets as Linux's driver uses them: a channel for each connection, which comes, carries a stream each way, and goes.</summary>
public sealed class SocketProviderTests : IDisposable
{
    private const uint FirstChannel = 193;
    private const uint Ring = 500;
    private const uint Refused = 0xc000_0236;
    private readonly VmBusGuest _guest = new();
    private readonly TestSockets _host = new();
    private readonly SocketProvider _sockets;
    private byte[] _last = [];

    public SocketProviderTests()
    {
        _sockets = new SocketProvider("sockets", _guest.Bus, _guest.Ram.Memory, _host);
        _guest.Bus.Start();
        _sockets.Start();
        _guest.Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Assert.Equal(15, _guest.Receive()[0]);

        // A guest that has not asked for offers has no place for one.
        Assert.False(_sockets.TryConnect(22));
        Assert.False(_guest.HasMessage);
        _guest.Post(3);
        Assert.Equal(4, _guest.Receive()[0]);
    }

    public void Dispose()
    {
        _sockets.Stop();
        _guest.Bus.Stop();
        _guest.Dispose();
    }

    [Fact]
    public void A_guest_connects_to_a_service_of_the_host_and_both_send_and_end()
    {
        _host.Listening.Add(80);
        uint channel = Connect(50_000, 80);
        byte[] offer = _last;
        Assert.Equal(0x2011, BitConverter.ToUInt16(offer, 56));
        Assert.Equal(0u, BitConverter.ToUInt32(offer, 60));
        Assert.Equal(0, offer[64]);
        Assert.Equal(Service(80), new Guid(offer.AsSpan(8, 16)));
        Assert.Equal(Service(50_000), new Guid(offer.AsSpan(24, 16)));

        Open(channel);
        Send(channel, "hello"u8);
        TestSockets.End end = _host.Ends[0];
        Assert.Equal("hello", Encoding.ASCII.GetString([.. end.FromGuest]));
        Answer(end, "world!");
        Assert.Equal("world!", TakeText());

        // Each direction ends for itself; the host hears of the end when it has everything.
        end.Room = 0;
        Send(channel, "last"u8);
        Send(channel, []);
        Assert.DoesNotContain("shutdown 0 send", _host.Log);
        end.Room = 100;
        _sockets.OnReady(0, readable: false, writable: true);
        Assert.Equal("hellolast", Encoding.ASCII.GetString([.. end.FromGuest]));
        Assert.Contains("shutdown 0 send", _host.Log);
        Answer(end, "more");
        Assert.Equal("more", TakeText());
        end.State = SocketState.Ended;
        _sockets.OnReady(0, readable: true, writable: false);
        Assert.Equal("", TakeText());

        // Now both have: the channel goes, and its place is another connection's when the guest has given it back.
        Assert.Contains("close 0", _host.Log);
        ExpectRescind(channel);
        Assert.Equal(channel + 1, Connect(50_001, 80));
        _guest.Post(7, channel);
        _guest.Post(13, channel);
        Assert.Equal(channel, Connect(50_002, 80));
    }

    [Fact]
    public void The_host_connects_to_a_port_of_the_guest()
    {
        uint channel = Dial(5000);
        Assert.Equal(1, _last[64]);
        Assert.Equal(Service(5000), new Guid(_last.AsSpan(8, 16)));
        Assert.Equal(Service(0x4000_0000), new Guid(_last.AsSpan(24, 16)));
        Assert.Empty(_host.Log);
        Open(channel);
        Assert.Contains("accept 0 40000000", _host.Log);
        Answer(_host.Ends[0], "ask");
        Assert.Equal("ask", TakeText());

        // The host goes: what it sent arrives before the channel is withdrawn.
        _host.Ends[0].State = SocketState.Gone;
        Answer(_host.Ends[0], "bye");
        Assert.Equal("bye", TakeText());
        Assert.Equal("", TakeText());
        Assert.Contains("close 0", _host.Log);
        ExpectRescind(channel);
    }

    [Fact]
    public void A_service_that_nobody_serves_is_refused_and_so_is_one_that_is_no_port_or_connected()
    {
        RequestConnection(Service(1), Service(81));
        ExpectRefusal();
        _host.Listening.Add(80);
        RequestConnection(Service(1), new Guid("11111111-facb-11e6-bd58-64006a7986d4"));
        ExpectRefusal();
        Connect(1, 80);
        RequestConnection(Service(1), Service(80));
        ExpectRefusal();
        _guest.Post(21, 1, 2, 3);
        Assert.Single(_host.Ends);
    }

    [Fact]
    public void An_offer_that_the_guest_does_not_open_is_withdrawn()
    {
        uint channel = Dial(5000);
        _guest.Host.Clock.Advance(2_900_000_000);
        Assert.Single(_host.Ends);
        _guest.Host.Clock.Advance(200_000_000);
        Assert.Empty(_host.Ends);
        ExpectRescind(channel);

        // It cannot be opened any more.
        Assert.Equal(0u, _guest.CreateList(Ring, VmBusGuest.Out, 8, channel));
        _guest.Post(5, channel, 1, Ring, 0, 4);
        Assert.NotEqual(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
    }

    [Fact]
    public void Whoever_gives_up_before_the_guest_answers_is_forgotten()
    {
        uint channel = Dial(5000);
        _host.Ends[0].State = SocketState.Gone;
        _sockets.OnReady(0, readable: true, writable: false);
        Assert.Empty(_host.Ends);
        ExpectRescind(channel);
    }

    [Fact]
    public void A_guest_that_does_not_read_stops_the_host_and_one_that_the_host_does_not_read_is_stopped()
    {
        uint channel = Dial(5000);
        Open(channel);
        _guest.LeavesPackets = true;
        TestSockets.End end = _host.Ends[0];
        byte[] much = new byte[20_000];
        new Random(1).NextBytes(much);
        Array.ForEach(much, end.ToGuest.Enqueue);
        _sockets.OnReady(0, readable: true, writable: false);
        Assert.NotEmpty(end.ToGuest);
        List<byte> got = [];
        while (_guest.Take() is { } packet)
        {
            got.AddRange(packet.Data[8..(8 + (int)packet.Word(4))]);
            if (got.Count < much.Length)
            {
                // Room for what comes next is asked for, and said.
                _guest.ShowTaken();
                _guest.Signal(channel);
            }
        }

        Assert.Equal(much, got);

        // The other way: one packet is kept, and the next stays in the ring until the host takes something.
        end.Room = 0;
        Send(channel, new byte[4000]);
        Send(channel, "after"u8);
        Assert.Equal(4000, end.Kept.Count);
        end.Room = 4005;
        _sockets.OnReady(0, readable: false, writable: true);
        Assert.Equal(4005, end.FromGuest.Count);
    }

    [Fact]
    public void A_guest_that_has_ended_its_sending_and_reads_no_more_loses_the_connection()
    {
        uint channel = Dial(5000);
        Open(channel);
        Array.ForEach(new byte[20_000], _host.Ends[0].ToGuest.Enqueue);
        _sockets.OnReady(0, readable: true, writable: false);
        _guest.Host.Clock.Advance(60_000_000_000);
        Assert.Single(_host.Ends);
        Send(channel, []);
        _guest.Host.Clock.Advance(19_000_000_000);
        Assert.Single(_host.Ends);
        _guest.Host.Clock.Advance(2_000_000_000);
        Assert.Empty(_host.Ends);
        ExpectRescind(channel);
    }

    [Fact]
    public void A_host_that_takes_nothing_more_still_has_what_it_sent_arrive()
    {
        uint channel = Dial(5000);
        Open(channel);
        TestSockets.End end = _host.Ends[0];
        Array.ForEach("rest"u8.ToArray(), end.ToGuest.Enqueue);
        end.State = SocketState.Gone;
        Send(channel, "lost"u8);
        Assert.Equal("rest", TakeText());
        Assert.Equal("", TakeText());
        ExpectRescind(channel);
    }

    [Theory]
    [InlineData(7, 1u, 5u)] // Another type of packet.
    [InlineData(6, 2u, 5u)] // Another type in the pipe.
    [InlineData(6, 1u, 6000u)] // Longer than the packet.
    [InlineData(6, 1u, 0xffff_fff0u)]
    public void Packets_that_cannot_be_end_their_connection_alone(int type, uint kind, uint length)
    {
        uint channel = Dial(5000);
        Open(channel);
        Assert.True(_sockets.TryConnect(5001));
        Assert.Equal(1, _guest.Receive()[0]);
        _guest.Put((ushort)type, 0, [], [.. BitConverter.GetBytes(kind), .. BitConverter.GetBytes(length), .. new byte[8]], signals: false);
        _guest.Signal(channel);
        ExpectRescind(channel);
        Assert.Single(_host.Ends);
    }

    [Fact]
    public void Data_after_the_end_and_indices_outside_of_the_ring_end_it()
    {
        uint channel = Dial(5000);
        Open(channel);
        Send(channel, []);
        Send(channel, "x"u8);
        ExpectRescind(channel);
        _guest.Post(13, channel);
        channel = Dial(5000);
        Open(channel);
        _guest.Ram.Set(VmBusGuest.Out, 0xffff_fff8u);
        _guest.Signal(channel);
        ExpectRescind(channel);
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void A_stream_without_end_holds_nobody_up_and_goes_on_afterwards()
    {
        Open(Dial(5000));
        byte[] much = new byte[600_000];
        new Random(3).NextBytes(much);
        Array.ForEach(much, _host.Ends[0].ToGuest.Enqueue);
        _host.Ends[0].Portion = 1000;
        int calls = 0;
        List<byte> got = [];
        _host.Passing = () =>
        {
            calls++;
            TakeAll(got);
        };
        _sockets.OnReady(0, readable: true, writable: false);
        Assert.True(calls <= 64, $"{calls} packets were passed on at once, while nobody else came to the bus.");
        Assert.NotEmpty(_host.Ends[0].ToGuest);

        // Another connection that waits for longer does not keep this one waiting.
        Dial(5001);
        _guest.Host.Clock.Advance(0);
        TakeAll(got);
        Assert.Empty(_host.Ends[0].ToGuest);
        Assert.Equal(much, got);
    }

    [Fact]
    public void There_are_so_many_connections_and_no_offer_or_end_is_lost()
    {
        for (int i = 0; i < SocketProvider.ConnectionCount; i++)
        {
            Assert.True(_sockets.TryConnect((uint)i));
        }

        Assert.False(_sockets.TryConnect(1));
        HashSet<uint> channels = [];
        for (int i = 0; i < SocketProvider.ConnectionCount; i++)
        {
            byte[] offer = _guest.Receive();
            Assert.Equal(1, offer[0]);
            channels.Add(BitConverter.ToUInt32(offer, 184));
        }

        Assert.Equal(SocketProvider.ConnectionCount, channels.Count);
        _guest.Host.Clock.Advance(4_000_000_000);
        Assert.Empty(_host.Ends);
        Assert.False(_sockets.TryConnect(1));
        for (int i = 0; i < SocketProvider.ConnectionCount; i++)
        {
            byte[] rescind = _guest.Receive();
            Assert.Equal(2, rescind[0]);
            Assert.True(channels.Remove(BitConverter.ToUInt32(rescind, 8)));
        }

        _guest.Post(13, FirstChannel);
        Assert.True(_sockets.TryConnect(1));
    }

    [Fact]
    public void Lists_of_pages_of_a_channel_go_with_it()
    {
        for (int i = 0; i < 1000; i++)
        {
            uint channel = Dial(5000);
            Open(channel);
            _host.Ends[0].State = SocketState.Gone;
            _sockets.OnReady(0, readable: true, writable: false);
            ExpectRescind(channel);
            _guest.Post(13, channel);
        }
    }

    [Fact]
    public void A_new_system_has_none_of_the_connections_of_the_one_before()
    {
        Open(Dial(5000));
        Dial(5001);
        _guest.Post(16);
        Assert.Equal(17, _guest.Receive()[0]);
        Assert.Empty(_host.Ends);
        Assert.False(_sockets.TryConnect(5000));
    }

    [Fact]
    public void A_restored_guest_is_told_that_its_connections_are_no_longer_there()
    {
        uint channel = Dial(5000);
        Open(channel);
        _sockets.Stop();
        _guest.Bus.Stop();
        StateBag state = new();
        _sockets.Save(state);
        SocketProvider? sockets = null;
        TestSockets host = new();
        Dictionary<string, StateBag> bus = _guest.Save();
        Assert.Null(_guest.Restore(bus, b => sockets = new SocketProvider("sockets", b, _guest.Ram.Memory, host)));
        Assert.True(sockets!.Restore(state));
        StateBag again = new();
        sockets.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        _guest.Bus.Start();
        sockets.Start();
        ExpectRescind(channel);
        _guest.Signal(channel);
        _guest.Post(7, channel);
        _guest.Post(13, channel);
        Assert.True(sockets.TryConnect(7));
        Assert.Equal(1, _guest.Receive()[0]);
        foreach (ushort field in new ushort[] { 1, 2 })
        {
            Assert.False(sockets.Restore(state.Without(field)));
        }

        sockets.Stop();
    }

    private static Guid Service(uint port) => new($"{port:x8}-facb-11e6-bd58-64006a7986d3");

    private uint Connect(uint from, uint to)
    {
        RequestConnection(Service(from), Service(to));
        return ExpectOffer();
    }

    private void RequestConnection(Guid endpoint, Guid service)
    {
        uint[] words = new uint[8];
        Buffer.BlockCopy(endpoint.ToByteArray(), 0, words, 0, 16);
        Buffer.BlockCopy(service.ToByteArray(), 0, words, 16, 16);
        _guest.Post(21, words);
    }

    private uint Dial(uint port)
    {
        Assert.True(_sockets.TryConnect(port), "There is no place for a connection.");
        return ExpectOffer();
    }

    private uint ExpectOffer()
    {
        _last = _guest.Receive();
        Assert.Equal(1, _last[0]);
        return BitConverter.ToUInt32(_last, 184);
    }

    private void Open(uint channel)
    {
        _guest.StartRings();
        Assert.Equal(0u, _guest.CreateList(Ring, VmBusGuest.Out, 8, channel));
        _guest.Post(5, channel, 1, Ring, 0, 4);
        Assert.Equal(0u, BitConverter.ToUInt32(_guest.Receive(), 16));
        _guest.Host.Clock.Advance(0);
    }

    private void Send(uint channel, ReadOnlySpan<byte> data)
    {
        _guest.Put(6, 0, [], [.. BitConverter.GetBytes(1), .. BitConverter.GetBytes(data.Length), .. data], signals: false);
        _guest.Signal(channel);
    }

    private void Answer(TestSockets.End end, string text)
    {
        Array.ForEach(Encoding.ASCII.GetBytes(text), end.ToGuest.Enqueue);
        _sockets.OnReady(0, readable: true, writable: false);
    }

    private string TakeText()
    {
        VmBusGuest.Packet packet = _guest.Take() ?? throw new InvalidOperationException("There is no packet.");
        Assert.Equal(6, packet.Type);
        Assert.Equal(1u, packet.Word(0));
        return Encoding.ASCII.GetString(packet.Data, 8, (int)packet.Word(4));
    }

    private void TakeAll(List<byte> got)
    {
        while (_guest.Take() is { } packet)
        {
            got.AddRange(packet.Data.AsSpan(8, (int)packet.Word(4)));
        }
    }

    private void ExpectRescind(uint channel)
    {
        byte[] message = _guest.Receive();
        Assert.Equal((2u, channel), (BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, 8)));
    }

    private void ExpectRefusal()
    {
        byte[] message = _guest.Receive();
        Assert.Equal((23u, Refused), (BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, 40)));
    }
}
