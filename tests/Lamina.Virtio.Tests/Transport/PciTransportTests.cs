using Lamina.Machine.AddressSpaces;
using Lamina.Virtio.Block;
using Lamina.Virtio.Tests.Block;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Transport;

/// <summary>The registers as a driver uses them: identity, negotiation, reset, interrupts.</summary>
public sealed class PciTransportTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private readonly GuestRam _ram = new();
    private readonly TestDisk _disk = new(1 << 20);
    private readonly TestBus _bus;
    private readonly DriverQueue _queue;

    public PciTransportTests()
    {
        _bus = new TestBus(new BlockDevice("disk0", new CheckedLock(), _ram.Memory, _disk, 2, "serial"u8));
        _queue = new DriverQueue(_ram, 16, packed: false, indirect: false);
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void TheFunctionSaysWhatItIs()
    {
        Assert.Equal(0x1042_1af4UL, _bus.Configuration(0, 4));
        Assert.Equal(1UL, _bus.Configuration(8, 1));
        Assert.Equal(0x01_8000UL, _bus.Configuration(9, 3));
        foreach (byte type in new byte[] { 1, 2, 3, 4, 5 })
        {
            int at = _bus.FindCapability(9, type);
            Assert.Equal(0UL, _bus.Configuration(at + 4, 1));
        }

        Assert.Equal(4UL, _bus.Configuration(_bus.FindCapability(9, 2) + 16, 4));
        Assert.Equal(2UL, _bus.Configuration(_bus.FindCapability(0x11) + 2, 2)); // Three vectors.
        Assert.Equal(2UL, _bus.Read(0x12, 2));
    }

    [Theory]
    [InlineData(0UL)] // Without VERSION_1.
    [InlineData(Version1 | (1UL << 50))] // Not offered.
    [InlineData(Version1 | (1UL << 5))] // Not offered: the disk is writable.
    public void FeaturesThatDoNotGoAreRefused(ulong features)
    {
        _bus.Status = 3;
        _bus.Write(8, 0, 4);
        _bus.Write(12, (uint)features, 4);
        _bus.Write(8, 1, 4);
        _bus.Write(12, features >> 32, 4);
        _bus.Status = 11;
        Assert.Equal(3, _bus.Status);
        _bus.Status = 15;
        Assert.Equal(3, _bus.Status);
        _bus.Kick(0);
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void ADriverThatHasNotAgreedOnFeaturesDoesNotRun()
    {
        _bus.Status = 7;
        Assert.Equal(3, _bus.Status);
        _bus.Begin(Version1, _queue);
    }

    [Fact]
    public void AgreedFeaturesStay()
    {
        _bus.Begin(Version1, _queue);
        _bus.Write(8, 0, 4);
        _bus.Write(12, 0xffff_ffff, 4);
        Assert.Equal(0UL, _bus.Read(12, 4));
    }

    [Fact]
    public void AResetTakesEverythingBack()
    {
        _bus.Begin(Version1, _queue);
        _bus.Status = 0;
        Assert.Equal(0, _bus.Status);
        _bus.Write(0x16, 0, 2);
        Assert.Equal(128UL, _bus.Read(0x18, 2));
        Assert.Equal(0xffffUL, _bus.Read(0x1a, 2));
        Assert.Equal(0UL, _bus.Read(0x1c, 2));
        Assert.Equal(0UL, _bus.Read(0x20, 8));
        Assert.Equal(0xffffUL, _bus.Read(0x10, 2));
        _bus.Begin(Version1, _queue);
    }

    [Fact]
    public void AResetWaitsForTheHostWithoutWaiting()
    {
        _bus.Begin(Version1, _queue);
        _disk.Hold = true;
        ulong data = BlockDeviceTests.AddRead(_ram, _queue, 0, 512);
        _bus.Kick(0);
        Assert.Single(_disk.Held);
        _bus.Status = 0;
        Assert.NotEqual(0, _bus.Status);
        _bus.Status = 1; // A driver that does not wait changes nothing.
        _disk.Content[0] = 0x55;
        _disk.CompleteOne();
        Assert.Equal(0, _bus.Status);
        Assert.Null(_queue.Take());
        Assert.Empty(_bus.Sent);
        Assert.Equal(0x55, _ram.Get(data, 1)[0]); // The host had begun; it is over now.
    }

    [Fact]
    public void ABrokenRingAsksForAReset()
    {
        _bus.Begin(Version1, _queue);
        _ram.Set(_queue.Driver + 2, (ushort)1000);
        _bus.Kick(0);
        Assert.Equal(15 + 64, _bus.Status);
        Assert.Equal([0u], _bus.Sent); // The configuration's message.
        _bus.Kick(0);
        Assert.Equal([0u], _bus.Sent);
        _bus.Status = 0;
        Assert.Equal(0, _bus.Status);
    }

    [Fact]
    public void WithoutMessagesThePinIsUsed()
    {
        _bus.Begin(Version1, _queue);
        _bus.Configure(_bus.FindCapability(0x11) + 2, 0, 2);
        BlockDeviceTests.AddRead(_ram, _queue, 0, 512);
        _bus.Kick(0);
        Assert.True(_bus.Pin);
        Assert.Empty(_bus.Sent);
        Assert.Equal(1UL, _bus.Read(0x1000, 1));
        Assert.False(_bus.Pin);
        Assert.Equal(0UL, _bus.Read(0x1000, 1));
    }

    [Fact]
    public void ADeviceThatMayNotUseMemoryDoesNot()
    {
        _bus.Begin(Version1, _queue);
        _bus.Configure(4, 0x0002, 2);
        BlockDeviceTests.AddRead(_ram, _queue, 0, 512);
        _bus.Kick(0);
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void FirmwareReachesTheRegistersThroughTheConfigurationSpace()
    {
        int at = _bus.FindCapability(9, 5);
        Select(0x2000, 4);
        Assert.Equal((1UL << 20) / 512, _bus.Configuration(at + 16, 4));
        Select(0x14, 1);
        _bus.Configure(at + 16, 3, 1);
        Assert.Equal(3, _bus.Status);
        Assert.Equal(3UL, _bus.Configuration(at + 16, 1));
        Select(0x4000, 4);
        Assert.Equal(uint.MaxValue, _bus.Configuration(at + 16, 4));

        void Select(uint offset, uint length)
        {
            _bus.Configure(at + 4, 0, 1);
            _bus.Configure(at + 8, offset, 4);
            _bus.Configure(at + 12, length, 4);
        }
    }

    [Fact]
    public void EveryQueueHasADoorbell()
    {
        ReadOnlySpan<Doorbell> doorbells = _bus.Transport.Doorbells;
        Assert.Equal(2, doorbells.Length);
        Assert.Equal(0x3004UL, doorbells[1].Offset);
        _bus.Begin(Version1, _queue);
        BlockDeviceTests.AddRead(_ram, _queue, 0, 512);
        doorbells[0].Target.Ring(doorbells[0].Number);
        Assert.Single(_disk.Log);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void StateSurvivesSaveResetRestore(bool packed)
    {
        DriverQueue queue = new(_ram, 16, packed, indirect: false);
        _bus.Begin(Version1 | (1UL << 29) | (packed ? 1UL << 34 : 0), queue);
        for (int i = 0; i < 21; i++)
        {
            BlockDeviceTests.AddRead(_ram, queue, 0, 512);
            _bus.Kick(0);
            Assert.NotNull(queue.Take());
        }

        _bus.Transport.Stop();
        StateBag saved = new();
        _bus.Transport.Save(saved);
        _bus.Transport.Reset();
        Assert.True(_bus.Transport.Restore(saved));
        StateBag again = new();
        _bus.Transport.Save(again);
        Assert.Equal(saved.Describe(), again.Describe());
        _bus.Transport.Start();
        _bus.Sent.Clear();
        BlockDeviceTests.AddRead(_ram, queue, 0, 512);
        queue.WantInterrupts(true, eventIndex: true);
        _bus.Kick(0);
        Assert.NotNull(queue.Take());
        Assert.Equal([1u], _bus.Sent);
    }

    [Fact]
    public void HostileStateIsRefusedOrHarmless()
    {
        _bus.Begin(Version1, _queue);
        StateBag saved = new();
        _bus.Transport.Save(saved);
        Random random = new(3);
        for (int i = 0; i < 3000; i++)
        {
            StateBag hostile = new();
            foreach ((ushort field, ulong value) in saved.Integers)
            {
                if (random.Next(20) != 0)
                {
                    hostile.Integers[field] = random.Next(8) == 0 ? (ulong)random.NextInt64() >> random.Next(64) : value;
                }
            }

            foreach ((ushort field, byte[] value) in saved.Bytes)
            {
                hostile.Bytes[field] = [.. value.Select(b => random.Next(50) == 0 ? (byte)random.Next() : b)];
            }

            if (!_bus.Transport.Restore(hostile))
            {
                _bus.Transport.Reset();
            }

            _bus.Transport.Ring(random.Next(3));
        }

        _bus.Transport.Reset();
        _bus.SetUpFunction();
        _bus.Begin(Version1, _queue);
    }

    [Fact]
    public void GarbageInTheRegistersIsHarmless()
    {
        Random random = new(11);
        Span<byte> data = stackalloc byte[8];
        for (int i = 0; i < 200_000; i++)
        {
            random.NextBytes(data);
            int width = 1 << random.Next(4);
            ulong offset = (ulong)random.Next(0x4000);
            if (random.Next(3) == 0)
            {
                offset &= 0x3f;
            }

            if (random.Next(2) == 0)
            {
                _bus.Transport.Read(offset, data[..width]);
            }
            else
            {
                _bus.Transport.Write(offset, data[..width]);
            }
        }

        _bus.Transport.Reset();
        _bus.SetUpFunction();
        _bus.Begin(Version1, _queue);
    }
}
