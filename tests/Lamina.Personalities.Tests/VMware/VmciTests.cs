using System.Text;
using Lamina.Machine.Backends;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>VMware's device for sockets, as Linux's drivers use it: calls, doorbells, and connections, which are agreed on by packets and carry their bytes in queue pairs.</summary>
public sealed class VmciTests : IDisposable
{
    private const byte Negotiate2 = 12;
    private const byte Request2 = 11;
    private const byte Offer = 3;
    private const byte Attach = 4;
    private const byte Wrote = 5;
    private const byte ReadPacket = 6;
    private const byte Rst = 7;
    private const byte Shutdown = 8;
    private const ulong Handle = 0x1234_0000_0007;
    private const uint Guest = 50_000;
    private const uint Service = 80;
    private const uint Dialled = 0x4000_0000;
    private readonly TestSockets _host = new();
    private readonly VmciGuest _guest;

    public VmciTests()
    {
        _guest = new VmciGuest(new GuestRam(), _host);
        _guest.Device.Start();
        Assert.False(_host.Target!.TryConnect(22), "A guest without a driver has no place for a connection.");
        _guest.Probe();
        _guest.Clock.Advance(0);
    }

    public void Dispose()
    {
        _guest.Device.Stop();
        _guest.Dispose();
    }

    [Fact]
    public void A_guest_connects_and_both_send_and_end()
    {
        Connect();
        _guest.Produce("hello"u8, Guest, Service);
        TestSockets.End end = _host.Ends[0];
        Assert.Equal("hello", Encoding.ASCII.GetString([.. end.FromGuest]));
        Answer(end, "world!");
        _guest.Expect(Wrote);
        Assert.Equal("world!", Encoding.ASCII.GetString(_guest.Consume()));

        // Each direction ends for itself; the host hears of the end when it has everything.
        end.Room = 0;
        _guest.Produce("last"u8, Guest, Service);
        _guest.Say(Shutdown, Guest, Service, 2);
        Assert.DoesNotContain("shutdown 0 send", _host.Log);
        end.Room = 100;
        _host.Target!.OnReady(0, readable: false, writable: true);
        Assert.Equal("hellolast", Encoding.ASCII.GetString([.. end.FromGuest]));
        Assert.Contains("shutdown 0 send", _host.Log);
        Answer(end, "more");
        _guest.Expect(Wrote);
        end.State = SocketState.Ended;
        _host.Target.OnReady(0, readable: true, writable: false);
        Assert.Equal(2u, _guest.Expect(Shutdown).Value);
        Assert.Equal(Handle, _guest.ExpectEvent(4));
        Assert.Equal("more", Encoding.ASCII.GetString(_guest.Consume()));
        Assert.Contains("close 0", _host.Log);
        Assert.Equal(3, _guest.Detach(Handle));
        _guest.ExpectNothing();
        Connect();
    }

    [Fact]
    public void The_host_connects_to_a_port_of_the_guest()
    {
        Dial();
        TestSockets.End end = _host.Ends[0];
        Answer(end, "ask");
        Assert.Equal((Dialled, 5000u), Ports(_guest.Expect(Wrote)));
        Assert.Equal("ask", Encoding.ASCII.GetString(_guest.Consume()));

        // The host goes: what it sent is there before the guest hears of it.
        end.State = SocketState.Gone;
        Answer(end, "bye");
        _guest.Expect(Wrote);
        _guest.Expect(Shutdown);
        _guest.ExpectEvent(4);
        Assert.Equal("bye", Encoding.ASCII.GetString(_guest.Consume()));
        Assert.Empty(_host.Ends);

        // Whoever writes on is told, too.
        _guest.Say(Wrote, 5000, Dialled);
        _guest.Expect(Rst);
    }

    [Fact]
    public void A_port_at_which_nobody_listens_is_refused_each_way()
    {
        _guest.Say(Request2, Guest, 81, 4096, 1);
        Assert.Equal((81u, Guest), Ports(_guest.Expect(Rst)));
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Say(Rst, 5000, Dialled);
        Assert.Contains("close 0", _host.Log);
        _guest.ExpectNothing();

        // Other ways to tell of bytes are not spoken here, and a queue of no length is none.
        _host.Listening.Add(Service);
        _guest.Say(1, Guest, Service, 4096);
        _guest.Expect(Rst);
        _guest.Say(Request2, Guest, Service, 4096, 6);
        _guest.Expect(Rst);
        _guest.Say(Request2, Guest, Service, 1, 1);
        _guest.Expect(Rst);
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void A_guest_that_does_not_read_stops_the_host_and_one_that_the_host_does_not_read_is_stopped()
    {
        Connect();
        TestSockets.End end = _host.Ends[0];
        byte[] much = new byte[20_000];
        new Random(1).NextBytes(much);
        Array.ForEach(much, end.ToGuest.Enqueue);
        _host.Target!.OnReady(0, readable: true, writable: false);
        Assert.Equal(much.Length - (int)VmciGuest.Length + 1, end.ToGuest.Count);
        List<byte> got = [];
        while (got.Count < much.Length)
        {
            _guest.Expect(Wrote);
            got.AddRange(_guest.Consume());
            _guest.Say(ReadPacket, Guest, Service);
        }

        Assert.Equal(much, got);

        // The other way: what the host does not take is kept, as far as there is place for it, and the rest waits in the queue.
        end.Room = 0;
        _guest.Produce(much.AsSpan(0, 2000), Guest, Service);
        _guest.Produce(much.AsSpan(2000, 2000), Guest, Service);
        Assert.Equal(2048, end.Kept.Count);
        Assert.Equal(1952, _guest.CountProduced());
        _guest.Produce(much.AsSpan(4000, 95), Guest, Service);
        end.Room = 10_000;
        _host.Target.OnReady(0, readable: false, writable: true);
        Assert.Equal(much[..4095], end.FromGuest);
        _guest.Expect(ReadPacket);
        _guest.ExpectNothing();
    }

    [Fact]
    public void Streams_without_end_hold_nobody_up_and_go_on_afterwards()
    {
        Connect();
        TestSockets.End end = _host.Ends[0];
        byte[] much = new byte[600_000];
        new Random(4).NextBytes(much);
        Array.ForEach(much, end.ToGuest.Enqueue);
        end.Portion = 500;
        int calls = 0;
        List<byte> got = [];
        _host.Passing = () =>
        {
            calls++;
            got.AddRange(_guest.Consume());
        };
        _host.Target!.OnReady(0, readable: true, writable: false);
        Assert.True(calls <= 64, $"Bytes were passed on {calls} times at once, while nobody else came to the device.");
        Assert.NotEmpty(end.ToGuest);
        Assert.True(_host.Target.TryConnect(5001), "There is a place for a connection.");
        _guest.Clock.Advance(0);
        got.AddRange(_guest.Consume());
        Assert.Equal(much, got);

        // And the other way.
        calls = 0;
        int sent = 0;
        _host.Passing = () =>
        {
            calls++;
            Add();
        };
        Add();
        _guest.Say(Wrote, Guest, Service);
        Assert.True(calls <= 64, $"Bytes were passed on {calls} times at once, while nobody else came to the device.");
        _guest.Clock.Advance(0);
        Assert.Equal(much[..200_000], end.FromGuest);

        // Another processor of the guest's, which needs to tell nobody while there is something in its queue.
        void Add()
        {
            ulong tail = _guest.Ram.Get<ulong>(VmciGuest.Out + 8);
            for (int i = 0; i < 1000 && sent < 200_000; i++, sent++)
            {
                _guest.Ram.Set(VmciGuest.Out + 4096 + tail, much[sent]);
                tail = (tail + 1) % VmciGuest.Length;
            }

            _guest.Ram.Set(VmciGuest.Out + 8, tail);
        }
    }

    [Fact]
    public void What_a_guest_has_sent_before_it_closes_its_socket_reaches_the_host()
    {
        Connect();
        TestSockets.End end = _host.Ends[0];
        byte[] much = new byte[4095];
        new Random(2).NextBytes(much);
        end.Room = 0;
        _guest.Produce(much.AsSpan(0, 2000), Guest, Service);
        _guest.Produce(much.AsSpan(2000, 2000), Guest, Service);
        _guest.Produce(much.AsSpan(4000), Guest, Service);
        Assert.Equal(3, _guest.Detach(Handle));
        _guest.Ram.Set(VmciGuest.Out + 4096, new byte());
        end.Room = 1000;
        _host.Target!.OnReady(0, readable: false, writable: true);
        Assert.DoesNotContain("close 0", _host.Log);
        end.Room = 4000;
        _host.Target.OnReady(0, readable: false, writable: true);
        Assert.Equal(much, end.FromGuest);
        Assert.Contains("close 0", _host.Log);
    }

    [Fact]
    public void A_host_that_takes_nothing_more_still_has_what_it_sent_arrive()
    {
        Connect();
        TestSockets.End end = _host.Ends[0];
        Array.ForEach("rest"u8.ToArray(), end.ToGuest.Enqueue);
        end.State = SocketState.Gone;
        _guest.Produce("lost"u8, Guest, Service);
        _guest.Expect(Wrote);
        _guest.Expect(Shutdown);
        _guest.ExpectEvent(4);
        Assert.Equal("rest", Encoding.ASCII.GetString(_guest.Consume()));
    }

    [Fact]
    public void A_guest_that_does_not_answer_loses_the_connection()
    {
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Clock.Advance(2_900_000_000);
        Assert.Single(_host.Ends);
        _guest.Clock.Advance(200_000_000);
        Assert.Empty(_host.Ends);
        _guest.Expect(Rst);

        // So it is with one that has connected and brings no pages.
        _host.Listening.Add(Service);
        _guest.Say(Request2, Guest, Service, 4096, 1);
        _guest.Expect(Negotiate2);
        _guest.Clock.Advance(3_100_000_000);
        Assert.Empty(_host.Ends);
        _guest.Expect(Rst);
    }

    [Fact]
    public void Whoever_gives_up_before_the_guest_answers_is_forgotten()
    {
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _host.Ends[0].State = SocketState.Gone;
        _host.Target.OnReady(0, readable: true, writable: false);
        Assert.Empty(_host.Ends);
        _guest.Expect(Rst);
    }

    [Theory]
    [InlineData(VmciGuest.Out + 8, 2048UL)] // How far the guest has written.
    [InlineData(VmciGuest.Out + 8, ulong.MaxValue)]
    [InlineData(VmciGuest.Out + 16, 1UL << 32)] // How far it has read.
    public void Indices_outside_of_the_queue_end_their_connection_alone(ulong address, ulong value)
    {
        Connect();
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Ram.Set(address, value);
        _guest.Say(Wrote, Guest, Service);
        Array.ForEach("x"u8.ToArray(), e => _host.Ends.GetValueOrDefault(0)?.ToGuest.Enqueue(e));
        _host.Target.OnReady(0, readable: true, writable: false);
        _guest.Expect(Rst);
        Assert.Equal([1], _host.Ends.Keys);
        Assert.Equal(3, _guest.Detach(Handle));
    }

    [Fact]
    public void Queue_pairs_that_cannot_be_are_refused()
    {
        Assert.Equal(-7, _guest.Allocate(Handle, peer: 3));
        Assert.Equal(-2, _guest.Allocate(Handle, flags: 0x10));
        Assert.Equal(-19, _guest.Allocate(Handle, length: 1 << 20));
        Assert.Equal(-2, _guest.Allocate(Handle, length: 5000));
        Assert.Equal(-2, _guest.Allocate(Handle, length: 0));
        Assert.Equal(-2, _guest.Allocate(Handle, firstPage: 0));
        Assert.Equal(-2, _guest.Allocate(Handle, firstPage: ulong.MaxValue));
        Assert.Equal(-21, _guest.Allocate(Handle, flags: 1));
        Assert.Equal(4, _guest.Allocate(Handle));
        Assert.Equal(-22, _guest.Allocate(Handle));

        // Its name is of no use to a connection of another length, and of one connection alone.
        _host.Listening.Add(Service);
        _guest.Say(Request2, Guest, Service, 1024, 1);
        _guest.Expect(Negotiate2);
        _guest.Say(Offer, Guest, Service, Handle);
        _guest.Expect(Rst);
        Assert.Empty(_host.Ends);
        for (uint i = 0; i < 300; i++)
        {
            Assert.Equal(i < 255 ? 4 : -19, _guest.Allocate(Handle + 1 + i));
        }
    }

    [Fact]
    public void A_guest_that_says_what_it_should_not_loses_that_connection()
    {
        Connect();
        _guest.Say(Request2, Guest, Service, 4096, 1);
        _guest.Expect(Rst);
        Assert.Empty(_host.Ends);
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Say(Negotiate2, 5000, Dialled, 1 << 20, 1);
        _guest.Expect(Rst);
        Assert.Empty(_host.Ends);

        // Pages that are taken away before the connection stands.
        Assert.True(_host.Target.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Say(Negotiate2, 5000, Dialled + 1, VmciGuest.Length, 1);
        ulong handle = _guest.Expect(Offer).Value;
        Assert.Equal(-31, _guest.Allocate(handle, flags: 1, length: 1024));
        Assert.Equal(5, _guest.Allocate(handle, flags: 1));
        Assert.Equal(3, _guest.Detach(handle));
        _guest.Expect(Rst);
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void There_are_so_many_connections_and_none_is_lost()
    {
        for (uint i = 0; i < 256; i++)
        {
            Assert.True(_host.Target!.TryConnect(i), "There is a place for a connection.");
        }

        Assert.False(_host.Target!.TryConnect(1));
        HashSet<uint> ports = [];
        for (int i = 0; i < 256; i++)
        {
            Assert.True(ports.Add(_guest.Expect(Request2).GuestPort), "A connection is told of twice.");
        }

        _guest.Clock.Advance(4_000_000_000);
        Assert.Empty(_host.Ends);
        Assert.False(_host.Target.TryConnect(1));
        for (int i = 0; i < 256; i++)
        {
            Assert.True(ports.Remove(_guest.Expect(Rst).GuestPort), "An end is told of twice.");
        }

        Assert.True(_host.Target.TryConnect(1), "There is a place for a connection.");
    }

    [Fact]
    public void Refusals_that_the_guest_does_not_read_are_not_kept_without_end()
    {
        for (uint i = 0; i < 1000; i++)
        {
            _guest.Say(Wrote, i, 9);
        }

        int count = 0;
        for (; _guest.Take() != null; count++)
        {
        }

        Assert.Equal(256, count);
    }

    [Fact]
    public void Datagrams_to_nobody_and_of_no_use_are_refused()
    {
        Assert.Equal(-1, _guest.Send(9, 1, new byte[32]));
        Assert.Equal(-1, _guest.Send(2, 5, new byte[32]));
        Assert.Equal(-1, _guest.Send(2, 5, new byte[60_000]));
        Assert.Equal(-2, _guest.Send(2, 1, new byte[31]));
        Assert.Equal(-1, _guest.Call(15, new byte[8]));
        Assert.Equal(-2, _guest.Call(10, new byte[8]));
        Assert.Equal(-19, _guest.Call(10, new byte[8000]));
        Assert.Equal(-2, _guest.Call(11, []));
        Assert.Equal(-2, _guest.Call(0, VmciGuest.Words(32, 0)));
        Assert.Equal(-2, _guest.Call(0, VmciGuest.Words(2, 0, 1)));
        Assert.Equal(5, _guest.Call(0, VmciGuest.Words(3, 0, 10, 12, 11)));

        // One that is not whole when its result is looked at is forgotten.
        _guest.Put(new byte[30]);
        _guest.Put([.. VmciGuest.Words(0, 1, 0, 0, 100, 0), 1, 2]);
        Assert.Equal(-27, (int)_guest.Read(0x1c));
        Assert.Equal((int)VmciGuest.Context, _guest.Call(1, []));
    }

    [Fact]
    public void Doorbells_put_up_flags_and_raise_the_line()
    {
        byte[] bell = VmciGuest.Words(VmciGuest.Context, 99);
        Assert.Equal(-21, _guest.Call(5, bell));
        Assert.Equal(0, _guest.Call(3, [.. bell, .. BitConverter.GetBytes(5UL)]));
        Assert.Equal(-22, _guest.Call(3, [.. bell, .. BitConverter.GetBytes(6UL)]));
        Assert.Equal(-2, _guest.Call(3, [.. VmciGuest.Words(VmciGuest.Context, 100), .. BitConverter.GetBytes(4096UL)]));
        Assert.Equal(-21, _guest.Call(3, [.. VmciGuest.Words(2, 100), .. BitConverter.GetBytes(1UL)]));
        Assert.Equal(0u, _guest.Read(0));
        Assert.Equal(0, _guest.Call(5, bell));
        Assert.Equal((1, 0, 0), (_guest.Ram.Get<byte>(VmciGuest.Flags + 5), _guest.Ram.Get<byte>(VmciGuest.Flags + 4), _guest.Ram.Get<byte>(VmciGuest.Flags + 6)));
        Assert.Equal((1u, 2u, 0u), (_guest.Read(0), _guest.Read(8), _guest.Read(8)));
        Assert.Equal(0, _guest.Call(4, bell));
        Assert.Equal(-21, _guest.Call(4, bell));
        for (uint i = 0; i < 70; i++)
        {
            Assert.Equal(i < 64 ? 0 : -19, _guest.Call(3, [.. VmciGuest.Words(VmciGuest.Context, 1000 + i), .. BitConverter.GetBytes(1UL)]));
        }
    }

    [Fact]
    public void A_guest_is_told_of_datagrams_when_it_wants_to_be()
    {
        _guest.Write(4, 4);
        Assert.False(_host.Target!.TryConnect(5000));
        _guest.Write(4, 2);
        Assert.True(_host.Target.TryConnect(5000), "There is a place for a connection.");
        Assert.Equal((1u, 1u, 0u), (_guest.Read(0), _guest.Read(8), _guest.Read(0)));
        _guest.Expect(Request2);

        // What does not fit into the page is announced again.
        for (uint i = 0; i < 100; i++)
        {
            _guest.Say(Wrote, i, 9);
        }

        Assert.Equal(1u, _guest.Read(8));
        _guest.Expect(Rst);
        Assert.Equal(1u, _guest.Read(8));
    }

    [Fact]
    public void A_reset_ends_all_connections()
    {
        Connect();
        _guest.Write(4, 1);
        Assert.Empty(_host.Ends);
        Assert.False(_host.Target!.TryConnect(5000));
        _guest.ExpectNothing();
        _guest.Probe();
        Connect();
        _guest.Device.Reset();
        Assert.Empty(_host.Ends);
    }

    [Fact]
    public void A_device_that_is_no_master_touches_no_memory_by_itself_and_passes_on_what_came_meanwhile()
    {
        Connect();
        _guest.Device.Function.WriteConfiguration(4, [1, 0]);
        Answer(_host.Ends[0], "x");
        _guest.Clock.Advance(1);
        Assert.Equal(0UL, _guest.Ram.Get<ulong>(VmciGuest.In + 8));
        _guest.ExpectNothing();
        Assert.False(_host.Target!.TryConnect(5000), "Nobody would answer.");
        _guest.Device.Function.WriteConfiguration(4, [5, 0]);
        _guest.Clock.Advance(0);
        _guest.Expect(Wrote);
        Assert.Equal("x", Encoding.ASCII.GetString(_guest.Consume()));
    }

    [Fact]
    public void A_guest_that_suspends_itself_gives_its_connections_up_nevertheless()
    {
        // As Linux does: the work that gives up a closed socket's pages runs while the function may not touch memory any more.
        Connect();
        TestSockets.End end = _host.Ends[0];
        end.Room = 0;
        _guest.Produce("last words"u8, Guest, Service);
        end.Room = 100;
        _guest.Device.Function.WriteConfiguration(4, [1, 0]);
        Assert.Equal((int)VmciGuest.Context, _guest.Call(1, []));
        Assert.Equal(3, _guest.Detach(Handle));
        _host.Target!.OnReady(0, readable: false, writable: true);
        Assert.Equal("last words", Encoding.ASCII.GetString([.. end.FromGuest]));
        Assert.Empty(_host.Ends);
        _guest.Device.Function.WriteConfiguration(4, [5, 0]);
        Connect();
    }

    [Fact]
    public void A_guest_that_suspends_itself_before_it_has_answered_is_not_waited_for()
    {
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        _guest.Expect(Request2);
        _guest.Device.Function.WriteConfiguration(4, [1, 0]);
        _guest.Clock.Advance(2_999_999_999);
        Assert.Single(_host.Ends);
        _guest.Clock.Advance(1);
        Assert.Empty(_host.Ends);
        _guest.Device.Function.WriteConfiguration(4, [5, 0]);
        _guest.Expect(Rst);
    }

    [Fact]
    public void A_restored_guest_is_told_that_its_connections_are_no_longer_there()
    {
        Connect();
        Assert.Equal(0, _guest.Call(3, [.. VmciGuest.Words(VmciGuest.Context, 99), .. BitConverter.GetBytes(5UL)]));
        _guest.Put([.. VmciGuest.Words(0, 1, 0, 0, 0)]);
        _guest.Device.Read(0x14, new byte[1]);
        _guest.Device.Stop();
        StateBag state = new();
        _guest.Device.Save(state);
        using VmciGuest other = new(_guest.Ram.Copy(), new TestSockets());
        Assert.True(other.Device.Restore(state), "The state is taken.");
        StateBag again = new();
        other.Device.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        other.Device.Start();
        other.Clock.Advance(0);
        Assert.Equal(1u, other.Read(8));

        // The page and the datagram that were begun are gone on with.
        other.Put(VmciGuest.Words(0));
        Assert.Equal((int)VmciGuest.Context, (int)other.Read(0x1c));
        other.Device.Read(0x14, new byte[8]);
        for (int i = 9; i < 4096; i++)
        {
            byte[] value = new byte[1];
            other.Device.Read(0x14, value);
            Assert.Equal(0xff, value[0]);
        }

        other.ExpectEvent(2);
        other.ExpectNothing();
        other.Say(Wrote, Guest, Service);
        other.Expect(Rst);
        Assert.Equal(3, other.Detach(Handle));
        Assert.Equal(0, other.Call(5, VmciGuest.Words(VmciGuest.Context, 99)));
        Assert.True(other.Host.Target!.TryConnect(5000), "There is a place for a connection.");
        other.Device.Stop();
        state.PlayWithout(other.Device.Restore, () =>
        {
            other.Device.Start();
            other.Call(1, []);
            other.Take();
            other.Device.Stop();
            other.Device.Reset();
        });
    }

    private static (uint Host, uint Guest) Ports(VmciGuest.Packet packet) => (packet.HostPort, packet.GuestPort);

    private void Connect()
    {
        _host.Listening.Add(Service);
        _guest.Say(Request2, Guest, Service, 256 << 10, 1);
        VmciGuest.Packet negotiate = _guest.Expect(Negotiate2);
        Assert.Equal((Service, Guest), Ports(negotiate));
        Assert.Equal((1, (ulong)VmciGuest.Length), (negotiate.Protocol, negotiate.Value));
        Assert.Equal(4, _guest.Allocate(Handle));
        _guest.Say(Offer, Guest, Service, Handle);
        Assert.Equal(Handle, _guest.ExpectEvent(3));
        Assert.Equal(Handle, _guest.Expect(Attach).Value);
        _guest.Clock.Advance(0);
    }

    private void Dial()
    {
        Assert.True(_host.Target!.TryConnect(5000), "There is a place for a connection.");
        VmciGuest.Packet request = _guest.Expect(Request2);
        Assert.Equal((Dialled, 5000u), Ports(request));
        Assert.Equal((1, (ulong)VmciGuest.Length), (request.Protocol, request.Value));
        _guest.Say(Negotiate2, 5000, Dialled, VmciGuest.Length, 1);
        ulong handle = _guest.Expect(Offer).Value;
        Assert.Equal(2u, (uint)handle);
        Assert.DoesNotContain(_host.Log, static l => l.StartsWith("accept", StringComparison.Ordinal));
        Assert.Equal(5, _guest.Allocate(handle, flags: 1));
        _guest.Say(Attach, 5000, Dialled, handle);
        Assert.Contains("accept 0 40000000", _host.Log);
    }

    private void Answer(TestSockets.End end, string text)
    {
        Array.ForEach(Encoding.ASCII.GetBytes(text), end.ToGuest.Enqueue);
        _host.Target!.OnReady(0, readable: true, writable: false);
    }
}
