using Lamina.Machine.Backends;
using Lamina.Virtio.Network;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Network;

/// <summary>A card with three lines: how many of its pairs are in use is the driver's word (virtio 1.2, sections 5.1.2 and 5.1.6.5.5).</summary>
public sealed class NetworkMultiqueueTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const ulong ControlQueue = 1UL << 17;
    private const ulong Multiqueue = 1UL << 22;
    private const int Pairs = 3;
    private readonly GuestRam _ram = new();
    private readonly TestLine[] _lines = [new(), new(), new()];
    private readonly TestBus _bus;
    private DriverQueue[] _queues = [];

    public NetworkMultiqueueTests()
    {
        _bus = CreateCard(_lines);
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void TheConfigurationTellsThePairs()
    {
        Assert.Equal(3UL, _bus.Read(0x2008, 2));
        Assert.Equal(Multiqueue, _bus.OfferedFeatures & Multiqueue);
        TestBus single = CreateCard([new TestLine()]);
        Assert.Equal(1UL, single.Read(0x2008, 2));
        Assert.Equal(0UL, single.OfferedFeatures & Multiqueue);
    }

    [Fact]
    public void OnePairIsInUseUntilTheDriverAsks()
    {
        Begin();
        Assert.Equal([true, false, false], _lines.Select(l => l.IsEnabled));
        Assert.Equal(0, SetPairs(2));
        Assert.Equal([true, true, false], _lines.Select(l => l.IsEnabled));
        Assert.Equal(0, SetPairs(3));
        Assert.Equal([true, true, true], _lines.Select(l => l.IsEnabled));
        Assert.Equal(0, SetPairs(1));
        Assert.Equal([true, false, false], _lines.Select(l => l.IsEnabled));
    }

    [Fact]
    public void EachPairHasItsLine()
    {
        Begin();
        Assert.Equal(0, SetPairs(3));
        for (int i = 0; i < Pairs; i++)
        {
            _bus.Sent.Clear();
            Send(i, 100 + i);
            Assert.Equal([112 + i], _lines[i].Sent);

            _bus.Sent.Clear();
            Assert.True(Receive(i));
            Assert.NotNull(_queues[2 * i].Take());
            Assert.Equal([(uint)(2 * i) + 1], _bus.Sent);
        }
    }

    [Fact]
    public void APacketWaitsForBuffersOfItsOwnPair()
    {
        Begin();
        Assert.Equal(0, SetPairs(2));
        Assert.False(_lines[1].Receiver.TryReceive(new byte[112]));
        int before = _lines[1].Resumed;
        _queues[0].Add([], [(_ram.Allocate(2000), 2000)]);
        _bus.Kick(0);
        Assert.Equal(before, _lines[1].Resumed);
        _queues[2].Add([], [(_ram.Allocate(2000), 2000)]);
        _bus.Kick(2);
        Assert.Equal(before + 1, _lines[1].Resumed);
        Assert.True(_lines[1].Receiver.TryReceive(new byte[112]));
    }

    [Fact]
    public void WhatBelongsToAPairOutOfUseVanishes()
    {
        Begin();
        Assert.Equal(0, SetPairs(2));
        _lines[1].IsFull = true;
        _queues[3].Add([(_ram.Allocate(112), 112)], []);
        _bus.Kick(3);
        Assert.Null(_queues[3].Take());

        Assert.Equal(0, SetPairs(1));
        Assert.NotNull(_queues[3].Take());
        _lines[1].IsFull = false;
        Send(1, 100);
        Assert.Empty(_lines[1].Sent);
        Assert.True(Receive(1));
        Assert.Null(_queues[2].Take());
        Assert.Equal(15, _bus.Status);
    }

    [Theory]
    [InlineData(4, 0, 0, 0)] // None.
    [InlineData(4, 0, 4, 0)] // More than there are.
    [InlineData(4, 0, 0, 0x80)] // Many more.
    [InlineData(4, 1, 1, 0)] // Another command: distribution by hashes.
    [InlineData(4, 0, 2)] // Too short.
    [InlineData(4, 0, 2, 0, 0)] // Too long.
    [InlineData(4)]
    public void WhatIsNoCommandIsRefused(params int[] command)
    {
        Begin();
        Assert.Equal(0, SetPairs(2));
        Assert.Equal(1, Command(2 * Pairs, [.. command.Select(b => (byte)b)]));
        Assert.Equal([true, true, false], _lines.Select(l => l.IsEnabled));
    }

    [Fact]
    public void WithoutTheFeatureTheControlQueueFollowsTheOnlyPair()
    {
        Begin(multiqueue: false);
        Assert.Equal(1, Command(2, 4, 0, 2, 0));
        Assert.Equal([true, false, false], _lines.Select(l => l.IsEnabled));
        Send(0, 100);
        Assert.Equal([112], _lines[0].Sent);

        // The other queues belong to nobody.
        _queues[3].Add([(_ram.Allocate(112), 112)], []);
        _bus.Kick(3);
        Assert.Null(_queues[3].Take());
        Assert.Empty(_lines[1].Sent);
    }

    [Fact]
    public void TheFeatureNeedsTheControlQueue()
    {
        _bus.Status = 3;
        _bus.Choose(Version1 | Multiqueue);
        _bus.Status = 11;
        Assert.Equal(3, _bus.Status);
    }

    [Fact]
    public void AResetLeavesOnePairInUse()
    {
        Begin();
        Assert.Equal(0, SetPairs(3));
        _bus.Status = 0;
        Assert.Equal([true, false, false], _lines.Select(l => l.IsEnabled));
        Begin();
        Assert.True(Receive(1));
        Assert.Null(_queues[2].Take());
    }

    [Fact]
    public void OffloadsAreAllLines()
    {
        Begin(features: 0b11);
        Assert.All(_lines, static l => Assert.Equal(NetworkOffloads.Checksum, l.ReceiveOffloads));
    }

    [Fact]
    public void ALinkThatIsCutIsToldOnce()
    {
        Begin();
        _bus.Sent.Clear();
        foreach (TestLine line in _lines)
        {
            line.Receiver.OnLinkChanged(false);
        }

        Assert.Equal([0u], _bus.Sent);
    }

    [Fact]
    public void TheNumberOfPairsIsSaved()
    {
        Begin();
        Assert.Equal(0, SetPairs(2));
        StateBag saved = Save(_bus);
        TestLine[] lines = [new(), new(), new()];
        TestBus other = CreateCard(lines);
        other.Transport.Stop();
        Assert.True(other.Transport.Restore(saved));
        Assert.Equal([true, true, false], lines.Select(l => l.IsEnabled));
        Assert.Equal(saved.Describe(), Save(other).Describe());

        // One of a card with another number of lines, and one that was changed.
        Assert.False(CreateCard([new TestLine()]).Transport.Restore(saved));
        ushort field = saved.Integers.Keys.Max();
        foreach (ulong wrong in (ulong[])[0, 4, 1UL << 32])
        {
            saved.Integers[field] = wrong;
            Assert.False(other.Transport.Restore(saved), $"{wrong} pairs are accepted.");
        }
    }

    [Fact]
    public void AStateOfACardWithOnePairHasNoNumber()
    {
        TestLine[] lines = [new()];
        TestBus single = CreateCard(lines);
        StateBag saved = Save(single);
        Assert.Equal(1024, saved.Integers.Keys.Where(static k => k >= 1024).Max());
        Assert.True(single.Transport.Restore(saved));
    }

    private static StateBag Save(TestBus bus)
    {
        bus.Transport.Stop();
        StateBag saved = new();
        bus.Transport.Save(saved);
        return saved;
    }

    private TestBus CreateCard(TestLine[] lines) => new(new NetworkDevice("net0", new CheckedLock(), _ram.Memory, lines, [2, 3, 4, 5, 6, 7]));

    private void Begin(bool multiqueue = true, ulong features = 0)
    {
        _queues = [.. Enumerable.Range(0, (2 * Pairs) + 1).Select(_ => new DriverQueue(_ram, 16, packed: false, indirect: false))];
        _bus.Begin(Version1 | ControlQueue | features | (multiqueue ? Multiqueue : 0), _queues);
    }

    private void Send(int pair, int length)
    {
        int queue = (2 * pair) + 1;
        _queues[queue].Add([(_ram.Allocate(12 + length), 12 + length)], []);
        _bus.Kick(queue);
        Assert.NotNull(_queues[queue].Take());
    }

    private bool Receive(int pair)
    {
        _queues[2 * pair].Add([], [(_ram.Allocate(2000), 2000)]);
        return _lines[pair].Receiver.TryReceive(new byte[112]);
    }

    private int SetPairs(ushort count) => Command(2 * Pairs, 4, 0, (byte)count, (byte)(count >> 8));

    private int Command(int queue, params byte[] command)
    {
        ulong answer = _ram.Put([0xff]);
        _queues[queue].Add([(_ram.Put(command), command.Length)], [(answer, 1)]);
        _bus.Kick(queue);
        Assert.NotNull(_queues[queue].Take());
        return _ram.Get(answer, 1)[0];
    }
}
