using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Events;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking.Tests;

/// <summary>Frames over a stream, against a far end that reads and writes as it likes.</summary>
public sealed unsafe class StreamNetworkTests : INetworkReceiver, IDisposable
{
    private const int Header = INetworkBackend.HeaderLength;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly StreamPair _pair = new();
    private readonly StreamNetwork _network;
    private readonly int _far;
    private readonly ConcurrentQueue<byte[]> _received = new();
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly SemaphoreSlim _refused = new(0);
    private readonly SemaphoreSlim _ready = new(0);
    private readonly SemaphoreSlim _down = new(0);
    private readonly byte[] _memory = GC.AllocateArray<byte>(1 << 17, pinned: true);
    private volatile bool _full;

    public StreamNetworkTests()
    {
        _far = _pair.ShareOther();
        _network = new StreamNetwork(_pair.Own);
        _network.SetReceiver(this);
        _network.Start();
    }

    bool INetworkReceiver.TryReceive(ReadOnlySpan<byte> packet)
    {
        if (_full)
        {
            _refused.Release();
            return false;
        }

        _received.Enqueue(packet.ToArray());
        _arrived.Release();
        return true;
    }

    void INetworkReceiver.OnTransmitReady() => _ready.Release();

    void INetworkReceiver.OnLinkChanged(bool up) => _down.Release();

    public void Dispose()
    {
        _network.Dispose();
        _pair.Dispose();
        _arrived.Dispose();
        _refused.Dispose();
        _ready.Dispose();
        _down.Dispose();
    }

    [Fact]
    public void FramesArriveWholeHoweverTheStreamIsCut()
    {
        Random random = new(1);
        byte[][] frames = [.. Enumerable.Range(0, 200).Select(i => Make(random, i % 20 == 0 ? 65536 : random.Next(1, 3000)))];
        byte[] stream = [.. frames.SelectMany(f => (byte[])[.. Prefix(f.Length), .. f])];
        Thread sender = new(() =>
        {
            for (int at = 0; at < stream.Length;)
            {
                int part = Math.Min(random.Next(1, 9000), stream.Length - at);
                at += Descriptor.Write(_far, stream.AsSpan(at, part), out _);
            }
        });
        sender.Start();
        foreach (byte[] frame in frames)
        {
            Assert.True(_arrived.Wait(Patience, TestContext.Current.CancellationToken), "A frame did not arrive.");
            byte[] packet = Next();
            Assert.True(packet.AsSpan(0, Header).IndexOfAnyExcept((byte)0) < 0);
            Assert.True(packet.AsSpan(Header).SequenceEqual(frame));
        }

        sender.Join();
    }

    [Fact]
    public void AGuestWithoutRoomIsWaitedFor()
    {
        _full = true;
        byte[] frame = Make(new Random(2), 1000);
        _ = Descriptor.Write(_far, [.. Prefix(1000), .. frame], out _);
        Assert.True(_refused.Wait(Patience, TestContext.Current.CancellationToken));
        _network.ResumeReceive();
        Assert.True(_refused.Wait(Patience, TestContext.Current.CancellationToken));
        _full = false;
        _network.ResumeReceive();
        Assert.True(_arrived.Wait(Patience, TestContext.Current.CancellationToken));
        Assert.True(Next().AsSpan(Header).SequenceEqual(frame));
    }

    [Fact]
    public void AFullWireKeepsFramesWhole()
    {
        // The far end reads nothing until the wire is full, in the middle of a frame probably.
        Random random = new(3);
        List<byte[]> sent = [];
        byte[] frame = Make(random, 40_001);
        while (Send(frame))
        {
            sent.Add(frame);
            frame = Make(random, 40_001);
            Assert.True(sent.Count < 1000, "The wire never fills.");
        }

        int seen = 0;
        bool offered = false;
        byte[] buffer = new byte[1 << 16];
        List<byte> stream = [];
        while (seen < sent.Count)
        {
            if (!offered && _ready.Wait(0, TestContext.Current.CancellationToken))
            {
                offered = true;
                Assert.True(Send(frame));
                sent.Add(frame);
            }

            Assert.Equal(Readiness.Readable, Descriptor.Wait(_far, Readiness.Readable, (int)Patience.TotalMilliseconds));
            int count = Descriptor.Read(_far, buffer, out _);
            stream.AddRange(buffer.AsSpan(0, count));
            while (stream.Count >= 4)
            {
                Span<byte> bytes = CollectionsMarshal.AsSpan(stream);
                int length = BinaryPrimitives.ReadInt32BigEndian(bytes);
                if (bytes.Length < length + 4)
                {
                    break;
                }

                Assert.True(bytes.Slice(4, length).SequenceEqual(sent[seen++]));
                stream.RemoveRange(0, length + 4);
            }
        }

        Assert.True(offered || _ready.Wait(Patience, TestContext.Current.CancellationToken), "Nobody said that there is room again.");
    }

    [Fact]
    public void TheEndOfTheStreamTakesTheLinkDown()
    {
        _pair.CloseOther();
        Assert.True(_down.Wait(Patience, TestContext.Current.CancellationToken));
        Assert.True(Send(Make(new Random(4), 100))); // Lost, as on any wire.
    }

    [Fact]
    public void AnImpossibleLengthTakesTheLinkDown()
    {
        _ = Descriptor.Write(_far, [0xff, 0xff, 0xff, 0xff, 1, 2, 3], out _);
        Assert.True(_down.Wait(Patience, TestContext.Current.CancellationToken));
    }

    private byte[] Next()
    {
        Assert.True(_received.TryDequeue(out byte[]? packet), "A frame was announced and is not there.");
        return packet;
    }

    private static byte[] Make(Random random, int length)
    {
        byte[] frame = new byte[length];
        random.NextBytes(frame);
        return frame;
    }

    private static byte[] Prefix(int length)
    {
        byte[] prefix = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(prefix, length);
        return prefix;
    }

    private bool Send(byte[] frame)
    {
        frame.CopyTo(_memory, Header);
        fixed (byte* p = _memory)
        {
            // The header and the frame's start in one buffer, the rest in another.
            int first = Header + (frame.Length / 2);
            return _network.TryTransmit([new GuestBuffer(0, (nint)p, (uint)first), new GuestBuffer(0, (nint)p + first, (uint)(frame.Length + Header - first))]);
        }
    }
}
