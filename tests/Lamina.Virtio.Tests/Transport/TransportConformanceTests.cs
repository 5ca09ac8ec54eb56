using Lamina.Virtio.Block;
using Lamina.Virtio.Tests.Block;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Transport;

/// <summary>What every transport owes a driver.</summary>
public abstract class TransportConformanceTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private readonly GuestRam _ram = new();
    private readonly TestDisk _disk = new(1 << 20);
    private readonly BlockDevice _device;
    private readonly ITestTransport _bus;

    private protected TransportConformanceTests()
    {
        _device = new BlockDevice("disk0", new CheckedLock(), _ram.Memory, _disk, 2, "serial"u8);
        _bus = Connect(_device);
    }

    public void Dispose()
    {
        _ram.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Requests_are_done_on_every_queue(bool packed, bool events)
    {
        new Random(1).NextBytes(_disk.Content);
        DriverQueue[] queues = [new(_ram, 16, packed, false), new(_ram, 16, packed, false)];
        _bus.Begin(Version1 | (events ? 1UL << 29 : 0) | (packed ? 1UL << 34 : 0), queues);
        for (int i = 0; i < 100; i++)
        {
            DriverQueue queue = queues[i % 2];
            queue.WantInterrupts(true, events);
            ulong data = BlockDeviceTests.AddRead(_ram, queue, (ulong)i, 512);
            _bus.Kick(i % 2);
            Assert.NotNull(queue.Take());
            Assert.Equal((true, false), _bus.TakeInterrupts());
            Assert.Equal(_disk.Content[(i * 512)..((i + 1) * 512)], _ram.Get(data, 512));
        }
    }

    [Fact]
    public void A_driver_that_wants_no_interrupts_gets_none()
    {
        DriverQueue queue = new(_ram, 16, false, false);
        _bus.Begin(Version1, queue);
        queue.WantInterrupts(false, eventIndex: false);
        BlockDeviceTests.AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        Assert.NotNull(queue.Take());
        Assert.Equal((false, false), _bus.TakeInterrupts());
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(Version1 | (1UL << 50))]
    [InlineData(Version1 | (1UL << 5))]
    public void Features_that_do_not_go_are_refused(ulong features)
    {
        _bus.Status = 3;
        _bus.Choose(features);
        _bus.Status = 11;
        Assert.Equal(3, _bus.Status);
        _bus.Status = 15;
        Assert.Equal(3, _bus.Status);
        _bus.Kick(0);
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void A_reset_waits_for_the_host_and_starts_anew()
    {
        DriverQueue queue = new(_ram, 16, false, false);
        _bus.Begin(Version1, queue);
        _disk.Hold = true;
        BlockDeviceTests.AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        _bus.Status = 0;
        Assert.NotEqual(0, _bus.Status);
        _disk.CompleteOne();
        Assert.Equal(0, _bus.Status);
        Assert.Null(queue.Take());
        Assert.Equal((false, false), _bus.TakeInterrupts());
        _disk.Hold = false;
        DriverQueue other = new(_ram, 8, true, false);
        _bus.Begin(Version1 | (1UL << 34), other);
        BlockDeviceTests.AddRead(_ram, other, 0, 512);
        _bus.Kick(0);
        Assert.NotNull(other.Take());
    }

    [Fact]
    public void A_broken_ring_asks_for_a_reset()
    {
        DriverQueue queue = new(_ram, 16, false, false);
        _bus.Begin(Version1, queue);
        _ram.Set(queue.Driver + 2, (ushort)1000);
        _bus.Kick(0);
        Assert.Equal(15 + 64, _bus.Status);
        Assert.Equal((false, true), _bus.TakeInterrupts());
        _bus.Status = 0;
        Assert.Equal(0, _bus.Status);
    }

    [Fact]
    public void The_configuration_is_read_and_its_changes_are_told()
    {
        _bus.Begin(Version1, new DriverQueue(_ram, 16, false, false));
        Assert.Equal((1UL << 20) / 512, _bus.ReadDevice(0, 8));
        Assert.Equal(2UL, _bus.ReadDevice(34, 2));
        _device.Resize();
        Assert.Equal((false, true), _bus.TakeInterrupts());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void State_survives_save_reset_restore(bool packed)
    {
        DriverQueue queue = new(_ram, 16, packed, false);
        _bus.Begin(Version1 | (packed ? 1UL << 34 : 0), queue);
        for (int i = 0; i < 21; i++)
        {
            BlockDeviceTests.AddRead(_ram, queue, 0, 512);
            _bus.Kick(0);
            Assert.NotNull(queue.Take());
        }

        _bus.Lifecycle.Stop();
        StateBag saved = new();
        _bus.Lifecycle.Save(saved);
        _bus.Lifecycle.Reset();
        Assert.True(_bus.Lifecycle.Restore(saved));
        StateBag again = new();
        _bus.Lifecycle.Save(again);
        Assert.Equal(saved.Describe(), again.Describe());
        _bus.Lifecycle.Start();
        _bus.TakeInterrupts();
        BlockDeviceTests.AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        Assert.NotNull(queue.Take());
        Assert.Equal((true, false), _bus.TakeInterrupts());
    }

    private protected abstract ITestTransport Connect(VirtioDevice device);
}
