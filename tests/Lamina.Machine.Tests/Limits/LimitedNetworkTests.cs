using Lamina.Machine.Backends;
using Lamina.Machine.Limits;

namespace Lamina.Machine.Tests.Limits;

/// <summary>Packets that come too fast, by the machine's clock.</summary>
public sealed class LimitedNetworkTests : INetworkBackend, INetworkReceiver
{
    private const ulong Millisecond = 1_000_000;
    private readonly ManualClock _clock = new();
    private INetworkReceiver? _limited;
    private GuestBuffer _first;
    private bool _full;
    private int _sent;
    private int _received;
    private int _transmitReady;
    private int _resumed;

    public NetworkOffloads Offloads => NetworkOffloads.Checksum;

    public int MaximumTransmissionUnit => 1500;

    void INetworkBackend.SetReceiver(INetworkReceiver receiver) => _limited = receiver;

    void INetworkBackend.Start()
    {
    }

    void INetworkBackend.Stop()
    {
    }

    void INetworkBackend.SetReceiveOffloads(NetworkOffloads offloads)
    {
    }

    bool INetworkBackend.TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        _sent += _full ? 0 : 1;
        _first = buffers.IsEmpty ? default : buffers[0];
        return !_full;
    }

    void INetworkBackend.ResumeReceive() => _resumed++;

    bool INetworkReceiver.TryReceive(ReadOnlySpan<byte> packet)
    {
        _received += _full ? 0 : 1;
        return !_full;
    }

    void INetworkReceiver.OnTransmitReady() => _transmitReady++;

    void INetworkReceiver.OnLinkChanged(bool up)
    {
    }

    [Fact]
    public void AnAddressIsAnnouncedToAll()
    {
        new LimitedNetwork([this], _clock, new TestLock(), new IoLimits()).Announce();
        Assert.Equal(0, _sent);
        LimitedNetwork network = new([this], _clock, new TestLock(), new IoLimits()) { HardwareAddress = new byte[] { 2, 0, 0, 0, 0, 1 } };
        network.Announce();
        byte[] packet = new byte[_first.Length];
        System.Runtime.InteropServices.Marshal.Copy(_first.HostAddress, packet, 0, packet.Length);
        Assert.Equal(
            "000000000000000000000000" + "FFFFFFFFFFFF020000000001" + "80350001080006040003" + "02000000000100000000" + "02000000000100000000" + new string('0', 36),
            Convert.ToHexString(packet));
        Assert.Equal((1, 1ul, 60ul), (_sent, network.Traffic.OutCount, network.Traffic.OutBytes));
    }

    [Fact]
    public void EachDirectionHasItsOwnRate()
    {
        LimitedNetwork network = Create(new IoLimits { OperationsPerSecond = 100, BurstMilliseconds = 100 });
        Assert.Equal(10, SendAll(network));
        Assert.Equal(10, ReceiveAll());
        _clock.Advance(20 * Millisecond);
        Assert.Equal((1, 1), (_transmitReady, _resumed));
        Assert.Equal(2, SendAll(network));
        Assert.Equal(2, ReceiveAll());
        _clock.Advance(1000 * Millisecond);
        Assert.Equal(10, SendAll(network));
    }

    [Fact]
    public void BytesAreCountedWithoutTheHeader()
    {
        LimitedNetwork network = Create(new IoLimits { BytesPerSecond = 100_000, BurstMilliseconds = 10 });
        Assert.Equal(1, SendAll(network));
        _clock.Advance(100 * Millisecond);
        int count = 0;
        for (int i = 0; i < 100; i++)
        {
            _clock.Advance(10 * Millisecond);
            count += SendAll(network);
        }

        // 1000 bytes of payload each.
        Assert.InRange(count, 98, 102);
    }

    [Fact]
    public void WhatTheOtherSideRefusesIsNotCounted()
    {
        LimitedNetwork network = Create(new IoLimits { OperationsPerSecond = 100, BurstMilliseconds = 100 });
        _full = true;
        Assert.Equal(0, SendAll(network));
        Assert.Equal(0, ReceiveAll());
        _full = false;
        Assert.Equal(10, SendAll(network));
        Assert.Equal(10, ReceiveAll());
    }

    [Fact]
    public void OtherLimitsLetTheWaitingGoOn()
    {
        LimitedNetwork network = Create(new IoLimits { OperationsPerSecond = 1, BurstMilliseconds = 1 });
        Assert.Equal(1, SendAll(network));
        network.SetLimits(IoLimits.None);
        _clock.Advance(1);
        Assert.Equal(1, _transmitReady);
        for (int i = 0; i < 1000; i++)
        {
            Assert.True(Send(network));
        }
    }

    [Fact]
    public void AWireThatIsToBeClosedIsLeftAlone()
    {
        LimitedNetwork network = Create(new IoLimits { OperationsPerSecond = 100, BurstMilliseconds = 10 });
        Assert.Equal(1, SendAll(network));
        Assert.Equal(1, ReceiveAll());
        network.Close();
        _clock.Advance(1000 * Millisecond);
        Assert.Equal((0, 0), (_transmitReady, _resumed));
    }

    [Fact]
    public void LinesShareTheLimitsAndWaitEachForItself()
    {
        LimitedNetwork network = new([this, this], _clock, new TestLock(), new IoLimits { OperationsPerSecond = 100, BurstMilliseconds = 100 });
        network.Lines[0].SetReceiver(this);
        network.Lines[1].SetReceiver(this);
        GuestBuffer[] packet = [new GuestBuffer(0, 0, 12), new GuestBuffer(0, 0, 1000)];
        for (int i = 0; i < 10; i++)
        {
            Assert.True(network.Lines[i % 2].TryTransmit(packet), $"Packet {i} waits.");
        }

        Assert.False(network.Lines[0].TryTransmit(packet), "The first line has an allowance of its own.");
        Assert.False(network.Lines[1].TryTransmit(packet), "The second line has an allowance of its own.");
        _clock.Advance(20 * Millisecond);
        Assert.Equal(2, _transmitReady);
        Assert.Equal(10UL, network.Traffic.OutCount);
    }

    private static bool Send(LimitedNetwork network) => network.Lines[0].TryTransmit([new GuestBuffer(0, 0, 12), new GuestBuffer(0, 0, 1000)]);

    private static int SendAll(LimitedNetwork network)
    {
        int count = 0;
        while (count < 1000 && Send(network))
        {
            count++;
        }

        return count;
    }

    private int ReceiveAll()
    {
        int count = 0;
        while (count < 1000 && _limited!.TryReceive(new byte[1012]))
        {
            count++;
        }

        return count;
    }

    private LimitedNetwork Create(IoLimits limits)
    {
        LimitedNetwork network = new([this], _clock, new TestLock(), limits);
        network.Lines[0].SetReceiver(this);
        return network;
    }
}
