using Lamina.Machine.Backends;
using Lamina.Virtio.Network;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Network;

/// <summary>A card between a driver and a wire that takes, refuses and delivers packets as the test says.</summary>
public sealed class NetworkDeviceTests : INetworkBackend, IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const ulong Mergeable = 1UL << 15;
    private const int Header = INetworkBackend.HeaderLength;
    private readonly GuestRam _ram = new();
    private readonly List<byte[]> _sent = [];
    private readonly NetworkDevice _device;
    private readonly TestBus _bus;
    private DriverQueue _receive = null!;
    private DriverQueue _transmit = null!;
    private DriverQueue _control = null!;
    private INetworkReceiver? _receiver;
    private bool _wireFull;
    private int _resumed;

    public NetworkDeviceTests()
    {
        _device = new NetworkDevice("net0", new CheckedLock(), _ram.Memory, [this], [2, 3, 4, 5, 6, 7]);
        _bus = new TestBus(_device);
    }

    public NetworkOffloads Offloads => NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4;

    public int MaximumTransmissionUnit => 9000;

    private NetworkOffloads ReceiveOffloads { get; set; }

    public void Dispose() => _ram.Dispose();

    void INetworkBackend.SetReceiver(INetworkReceiver receiver) => _receiver = receiver;

    void INetworkBackend.Start()
    {
    }

    void INetworkBackend.Stop()
    {
    }

    void INetworkBackend.SetReceiveOffloads(NetworkOffloads offloads) => ReceiveOffloads = offloads;

    void INetworkBackend.ResumeReceive() => _resumed++;

    unsafe bool INetworkBackend.TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        if (_wireFull)
        {
            return false;
        }

        List<byte> packet = [];
        foreach (GuestBuffer buffer in buffers)
        {
            packet.AddRange(new ReadOnlySpan<byte>((void*)buffer.HostAddress, (int)buffer.Length));
        }

        _sent.Add([.. packet]);
        return true;
    }

    [Fact]
    public void TheConfigurationTellsTheCard()
    {
        Assert.Equal(0x0605_0403_02UL, _bus.Read(0x2000, 4) | ((_bus.Read(0x2004, 1)) << 32));
        Assert.Equal(1UL, _bus.Read(0x2006, 2));
        Assert.Equal(9000UL, _bus.Read(0x200a, 2));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PacketsGoOut(bool packed)
    {
        Begin(packed);
        for (int i = 0; i < 40; i++)
        {
            byte[] packet = Packet(100 + i);
            ulong at = _ram.Put(packet);
            _transmit.Add([(at, 7), (at + 7, packet.Length - 7)], []);
            _bus.Kick(1);
            Assert.NotNull(_transmit.Take());
            Assert.Equal(packet, _sent[^1]);
        }
    }

    [Fact]
    public void AFullWireIsWaitedFor()
    {
        Begin();
        _wireFull = true;
        _transmit.Add([(_ram.Put(Packet(100)), 112)], []);
        _transmit.Add([(_ram.Put(Packet(200)), 212)], []);
        _bus.Kick(1);
        Assert.Null(_transmit.Take());
        _wireFull = false;
        _receiver!.OnTransmitReady();
        Assert.NotNull(_transmit.Take());
        Assert.NotNull(_transmit.Take());
        Assert.Equal([112, 212], _sent.Select(p => p.Length));
    }

    [Fact]
    public void WhatIsNoPacketIsDropped()
    {
        Begin();
        _transmit.Add([(_ram.Allocate(12), 12)], []);
        _transmit.Add([(_ram.Allocate(70000), 70000)], []);
        _transmit.Add([], [(_ram.Allocate(100), 100)]);
        _bus.Kick(1);
        Assert.Empty(_sent);
        Assert.NotNull(_transmit.Take());
        Assert.NotNull(_transmit.Take());
        Assert.NotNull(_transmit.Take());
        Assert.Equal(15, _bus.Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BigPacketsAreSpreadOverBuffers(bool packed)
    {
        Begin(packed, Mergeable);
        ulong[] buffers = [.. Enumerable.Range(0, 8).Select(_ => _ram.Allocate(1000))];
        for (int round = 0; round < 20; round++)
        {
            Dictionary<ushort, ulong> given = buffers.ToDictionary(b => _receive.Add([], [(b, 1000)]));
            byte[] packet = Packet(2500);
            Assert.True(_receiver!.TryReceive(packet));
            List<byte> got = [];
            for (int i = 0; i < 3; i++)
            {
                (ushort id, uint written) = _receive.Take()!.Value;
                got.AddRange(_ram.Get(given[id], (int)written));
            }

            Assert.Null(_receive.Take());
            Assert.Equal(3, got[10] | (got[11] << 8));
            Assert.Equal(packet[Header..], got[Header..]);

            for (int i = 0; i < 5; i++)
            {
                Assert.True(_receiver.TryReceive(Packet(100)));
                Assert.Equal(112u, _receive.Take()!.Value.Written);
            }
        }
    }

    [Fact]
    public void APacketWaitsForBuffersAndIsWhole()
    {
        Begin(features: Mergeable);
        byte[] packet = Packet(2500);
        Assert.False(_receiver!.TryReceive(packet));
        _receive.Add([], [(_ram.Allocate(1000), 1000)]);
        _receive.Add([], [(_ram.Allocate(1000), 1000)]);
        Assert.False(_receiver.TryReceive(packet));
        Assert.Null(_receive.Take());
        int before = _resumed;
        _receive.Add([], [(_ram.Allocate(1000), 1000)]);
        _bus.Kick(0);
        Assert.Equal(before + 1, _resumed);
        Assert.True(_receiver.TryReceive(packet));
        Assert.NotNull(_receive.Take());
        Assert.NotNull(_receive.Take());
        Assert.NotNull(_receive.Take());
    }

    [Fact]
    public void WithoutMergingAPacketThatIsTooLongIsLost()
    {
        Begin();
        _receive.Add([], [(_ram.Allocate(1000), 1000)]);
        Assert.True(_receiver!.TryReceive(Packet(2500)));
        Assert.Null(_receive.Take());
        Assert.True(_receiver.TryReceive(Packet(100)));
        Assert.Equal(112u, _receive.Take()!.Value.Written);
    }

    [Fact]
    public void NothingArrivesBeforeTheDriverIsReadyOrAfterReset()
    {
        Assert.True(_receiver!.TryReceive(Packet(100)));
        Begin();
        _receive.Add([], [(_ram.Allocate(1000), 1000)]);
        _bus.Status = 0;
        Assert.True(_receiver.TryReceive(Packet(100)));
        Assert.Null(_receive.Take());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PacketsThatWaitForTheWireAreSentOnceOnEitherSideOfASave(bool packed)
    {
        Begin(packed);
        _transmit.Add([(_ram.Put(Packet(100)), 112)], []);
        _bus.Kick(1);
        _wireFull = true;
        _transmit.Add([(_ram.Put(Packet(200)), 212)], []);
        _transmit.Add([(_ram.Put(Packet(300)), 312)], []);
        _bus.Kick(1);
        _bus.Transport.Stop();
        StateBag saved = new();
        _bus.Transport.Save(saved);
        TestBus bus = new(new NetworkDevice("net0", new CheckedLock(), _ram.Memory, [this], [2, 3, 4, 5, 6, 7]));
        bus.Transport.Stop();
        bus.Transport.Reset();
        Assert.True(bus.Transport.Restore(saved));
        _wireFull = false;
        bus.Transport.Start();
        _receiver!.OnTransmitReady();
        Assert.Equal([112, 212, 312], _sent.Select(static p => p.Length));
        for (int i = 0; i < 3; i++)
        {
            Assert.NotNull(_transmit.Take());
        }

        Assert.Null(_transmit.Take());
    }

    [Fact]
    public void TheDriverHearsOfACutWire()
    {
        Begin();
        _receiver!.OnLinkChanged(false);
        Assert.Equal(0UL, _bus.Read(0x2006, 2));
        Assert.Equal([0u], _bus.Sent);
    }

    [Fact]
    public void OffloadsAreWhatTheDriverTakes()
    {
        Begin(features: 0b1000_0111);
        Assert.Equal(NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4, ReceiveOffloads);
        Assert.Equal(0, Command(5, 0, 2, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(NetworkOffloads.Checksum, ReceiveOffloads);
        Assert.Equal(1, Command(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)); // Not agreed on.
        Assert.Equal(1, Command(9, 9));
        Assert.Equal(1, Command());
        _bus.Status = 0;
        Assert.Equal(NetworkOffloads.None, ReceiveOffloads);
    }

    [Fact]
    public void OffloadsThatTheDriverHasGivenUpStayGivenUp()
    {
        Begin(features: 0b1000_0111);
        Assert.Equal(0, Command(5, 0, 2, 0, 0, 0, 0, 0, 0, 0));
        _bus.Transport.Stop();
        ReceiveOffloads = NetworkOffloads.None;
        _bus.Transport.Start();
        Assert.Equal(NetworkOffloads.Checksum, ReceiveOffloads);
        _bus.Transport.Stop();
        StateBag saved = new();
        _bus.Transport.Save(saved);
        TestBus bus = new(new NetworkDevice("net0", new CheckedLock(), _ram.Memory, [this], [2, 3, 4, 5, 6, 7]));
        bus.Transport.Stop();
        bus.Transport.Reset();
        Assert.True(bus.Transport.Restore(saved), "The state is refused.");
        bus.Transport.Start();
        Assert.Equal(NetworkOffloads.Checksum, ReceiveOffloads);

        // With the next driver they are what was agreed on; what was not cannot be in a state.
        bus.Status = 0;
        Assert.Equal(NetworkOffloads.None, ReceiveOffloads);
        KeyValuePair<ushort, ulong> given = saved.Integers.Single(static f => f.Key >= 1024 && f.Value == 2);
        StateBag other = saved.Without(given.Key);
        other.Write(given.Key, 1UL << 8);
        Assert.False(bus.Transport.Restore(other), "Offloads that were not agreed on are taken.");
        Assert.True(bus.Transport.Restore(saved.Without(given.Key)), "A state of before is refused.");
    }

    [Theory]
    [InlineData(1UL << 11)] // Segmentation without checksums.
    [InlineData(1UL << 7)]
    [InlineData(1UL << 18)] // A command without the queue for it.
    public void FeaturesThatNeedOthersAreRefusedWithoutThem(ulong features)
    {
        _bus.Status = 3;
        _bus.Write(8, 0, 4);
        _bus.Write(12, (uint)features, 4);
        _bus.Write(8, 1, 4);
        _bus.Write(12, 1, 4);
        _bus.Status = 11;
        Assert.Equal(3, _bus.Status);
    }

    [Fact]
    public void NothingIsAllocatedPerPacket()
    {
        Begin(features: Mergeable);
        ulong buffer = _ram.Allocate(2000);
        byte[] packet = Packet(1000);
        Run(1000);
        Assert.Equal(0, Run(1000));

        long Run(int count)
        {
            long sum = 0;
            for (int i = 0; i < count; i++)
            {
                _receive.Add([], [(buffer, 2000)]);
                long start = GC.GetAllocatedBytesForCurrentThread();
                _receiver!.TryReceive(packet);
                sum += GC.GetAllocatedBytesForCurrentThread() - start;
                Assert.NotNull(_receive.Take());
                _bus.Sent.Clear();
            }

            return sum;
        }
    }

    private int Command(params byte[] command)
    {
        ulong answer = _ram.Put([0xff]);
        _control.Add(command.Length == 0 ? [] : [(_ram.Put(command), command.Length)], [(answer, 1)]);
        _bus.Kick(2);
        Assert.NotNull(_control.Take());
        return _ram.Get(answer, 1)[0];
    }

    private static byte[] Packet(int length)
    {
        byte[] packet = new byte[Header + length];
        new Random(length).NextBytes(packet);
        return packet;
    }

    private void Begin(bool packed = false, ulong features = 0)
    {
        _receive = new DriverQueue(_ram, 16, packed, false);
        _transmit = new DriverQueue(_ram, 16, packed, false);
        _control = new DriverQueue(_ram, 16, packed, false);
        _bus.Begin(Version1 | (1UL << 17) | features | (packed ? 1UL << 34 : 0), _receive, _transmit, _control);
    }
}
