using System.Buffers.Binary;
using System.Text;
using Lamina.Machine.Backends;
using Lamina.Virtio.Block;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Block;

/// <summary>A disk, by requests of both layouts of a queue.</summary>
public sealed class BlockDeviceTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const ulong AllFeatures = Version1 | (1UL << 9) | (1UL << 13) | (1UL << 14);
    private readonly GuestRam _ram = new();
    private readonly TestDisk _disk = new(1 << 20);
    private readonly BlockDevice _device;
    private readonly TestBus _bus;

    public BlockDeviceTests()
    {
        _device = new BlockDevice("disk0", new CheckedLock(), _ram.Memory, _disk, 1, "a serial number longer than twenty"u8);
        _bus = new TestBus(_device);
        new Random(1).NextBytes(_disk.Content);
    }

    public void Dispose() => _ram.Dispose();

    /// <summary>Adds a request to read.</summary>
    /// <returns>Where the data goes; the status is behind it.</returns>
    internal static ulong AddRead(GuestRam ram, DriverQueue queue, ulong sector, int length)
    {
        ulong data = ram.Allocate(length + 1);
        queue.Add([(ram.Put(Header(0, sector)), 16)], [(data, length), (data + (ulong)length, 1)]);
        return data;
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void WhatIsWrittenIsRead(bool packed, bool indirect)
    {
        DriverQueue queue = Begin(packed, indirect);
        byte[] written = new byte[4096];
        new Random(2).NextBytes(written);
        for (int round = 0; round < 30; round++)
        {
            written[0] = (byte)round;
            ulong source = _ram.Put(written);
            ulong status = _ram.Put([0xff]);
            ulong sector = (ulong)(round * 8);
            queue.Add([(_ram.Put(Header(1, sector)), 16), (source, 1000), (source + 1000, 3096)], [(status, 1)]);
            _bus.Kick(0);
            Assert.Equal(1u, queue.Take()!.Value.Written);
            Assert.Equal(0, _ram.Get(status, 1)[0]);
            Assert.Equal(written, _disk.Content[((int)sector * 512)..(((int)sector * 512) + 4096)]);

            ulong data = AddRead(_ram, queue, sector, 4096);
            _bus.Kick(0);
            Assert.Equal(4097u, queue.Take()!.Value.Written);
            Assert.Equal(written, _ram.Get(data, 4096));
            Assert.Equal(0, _ram.Get(data + 4096, 1)[0]);
        }
    }

    [Fact]
    public void DataInTwoRegionsOfRamIsWrittenAndRead()
    {
        const ulong Seam = GuestRam.Start + 0x3000;
        const ulong Other = GuestRam.Start + 0x2000;
        using GuestRam ram = new(4);
        ram.Allocate(0x8000);
        BlockDevice device = new("disk1", new CheckedLock(), ram.Memory, _disk, 1, "x"u8);
        TestBus bus = new(device);
        DriverQueue queue = new(ram, 128, false, false);
        bus.Begin(Version1, queue);
        byte[] written = new byte[4096];
        new Random(3).NextBytes(written);
        Assert.True(ram.Memory.TryWrite(Seam - 1000, written.AsSpan(0, 1000)) && ram.Memory.TryWrite(Seam, written.AsSpan(1000)));
        ulong status = ram.Put([0xff]);
        queue.Add([(ram.Put(Header(1, 8)), 16), (Seam - 1000, 4096)], [(status, 1)]);
        bus.Kick(0);
        Assert.Equal((1u, 0), (queue.Take()!.Value.Written, ram.Get(status, 1)[0]));
        Assert.Equal(written, _disk.Content[4096..8192]);

        // As many pieces as a driver may have, the last of which has its status in the other region.
        (ulong, int)[] pieces = [.. Enumerable.Range(0, 125).Select(i => (GuestRam.Start + 0x4000 + ((ulong)i * 16), 16)), (Other - 2096, 2097)];
        queue.Add([(ram.Put(Header(0, 8)), 16)], pieces);
        bus.Kick(0);
        Assert.Equal(4097u, queue.Take()!.Value.Written);
        Assert.Equal(written[..2000], ram.Get(GuestRam.Start + 0x4000, 2000));
        Assert.Equal(written[2000..], ram.Get(Other - 2096, 2096));
        Assert.Equal(0, ram.Get(Other, 1)[0]);
        Assert.True(ram.Memory.TakeDirtyPages(1, new ulong[1]) == 1, "What was read into is not known to be written.");
    }

    [Fact]
    public void HeaderAndStatusMayShareTheirParts()
    {
        DriverQueue queue = Begin();
        byte[] request = [.. Header(1, 2), .. new byte[512]];
        request.AsSpan(16).Fill(0x77);
        ulong status = _ram.Allocate(8);
        queue.Add([(_ram.Put(request), 5), (_ram.Put(request.AsSpan(5)), 512 + 11)], [(status, 1)]);
        ulong data = _ram.Allocate(513);
        queue.Add([(_ram.Put(Header(0, 2)), 16)], [(data, 513)]);
        _bus.Kick(0);
        Assert.Equal(0x7777, BitConverter.ToUInt16(_disk.Content, 1024));
        Assert.Equal(0x77, _ram.Get(data + 511, 1)[0]);
        Assert.Equal(0, _ram.Get(data + 512, 1)[0]);
    }

    [Theory]
    [InlineData(0u, 2048UL, 512, 1)] // Behind the end.
    [InlineData(0u, 2047UL, 1024, 1)] // Over the end.
    [InlineData(0u, ulong.MaxValue, 512, 1)]
    [InlineData(0u, 0x0080_0000_0000_0000UL, 512, 1)] // The byte offset wraps to 0.
    [InlineData(0u, 0UL, 511, 1)] // Not a sector.
    [InlineData(99u, 0UL, 512, 2)] // No such request.
    [InlineData(11u, 0UL, 512, 2)] // A range that is none.
    public void BadRequestsAreAnswered(uint type, ulong sector, int length, byte expected)
    {
        DriverQueue queue = Begin();
        ulong data = _ram.Allocate(length + 1);
        queue.Add([(_ram.Put(Header(type, sector)), 16)], [(data, length), (data + (ulong)length, 1)]);
        _bus.Kick(0);
        Assert.Equal(1u, queue.Take()!.Value.Written);
        Assert.Equal(expected, _ram.Get(data + (ulong)length, 1)[0]);
        Assert.Equal(15, _bus.Status);
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void AFailureOfTheHostIsAnError()
    {
        DriverQueue queue = Begin();
        _disk.Answer = BlockResult.Failed;
        ulong data = AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        Assert.Equal(1u, queue.Take()!.Value.Written);
        Assert.Equal(1, _ram.Get(data + 512, 1)[0]);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(0)]
    public void WhatIsNoRequestBreaksTheQueue(int length)
    {
        DriverQueue queue = Begin();
        ulong data = _ram.Allocate(512);
        queue.Add(length == 0 ? [(data, 16)] : [(data, length)], length == 0 ? [] : [(data, 512)]);
        _bus.Kick(0);
        Assert.Equal(64, _bus.Status & 64);
    }

    [Fact]
    public void ReadOnlyDisksRefuseWrites()
    {
        _disk.IsReadOnly = true;
        DriverQueue queue = Begin(features: Version1 | (1UL << 5));
        ulong status = _ram.Put([0xff]);
        queue.Add([(_ram.Put(Header(1, 0)), 16), (_ram.Allocate(512), 512)], [(status, 1)]);
        _bus.Kick(0);
        Assert.Equal(1, _ram.Get(status, 1)[0]);
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void FlushDiscardZeroesAndIdentity()
    {
        DriverQueue queue = Begin(features: AllFeatures);
        ulong status = _ram.Put([0xff, 0xff, 0xff, 0xff, 0xff]);
        queue.Add([(_ram.Put(Header(4, 0)), 16)], [(status, 1)]);
        queue.Add([(_ram.Put([.. Header(11, 0), .. Range(8, 16, 0)]), 32)], [(status + 1, 1)]);
        queue.Add([(_ram.Put([.. Header(13, 0), .. Range(24, 8, 1)]), 32)], [(status + 2, 1)]);
        queue.Add([(_ram.Put([.. Header(13, 0), .. Range(24, 8, 2)]), 32)], [(status + 3, 1)]); // An unknown flag.
        queue.Add([(_ram.Put([.. Header(11, 0), .. Range(2047, 2, 0)]), 32)], [(status + 4, 1)]); // Over the end.
        ulong id = _ram.Allocate(21);
        queue.Add([(_ram.Put(Header(8, 0)), 16)], [(id, 21)]);
        _bus.Kick(0);
        Assert.Equal([0, 0, 0, 2, 1], _ram.Get(status, 5));
        Assert.Equal(["Flush 0+0", "Discard 4096+8192", "WriteZeroes 12288+4096 discard"], _disk.Log);
        Assert.Equal("a serial number long", Encoding.ASCII.GetString(_ram.Get(id, 20)));
    }

    [Fact]
    public void RequestsEndInAnyOrderOnOtherThreads()
    {
        DriverQueue queue = Begin();
        _disk.Hold = true;
        ulong[] data = [.. Enumerable.Range(0, 5).Select(i => AddRead(_ram, queue, (ulong)i, 512))];
        _bus.Kick(0);
        Assert.Null(queue.Take());
        Thread thread = new(_disk.Drain);
        thread.Start();
        thread.Join();
        for (int i = 0; i < 5; i++)
        {
            Assert.NotNull(queue.Take());
            Assert.Equal(_disk.Content[(i * 512)..((i + 1) * 512)], _ram.Get(data[i], 512));
        }
    }

    [Fact]
    public void AStoppedDeviceIsAtRestAndGoesOn()
    {
        DriverQueue queue = Begin();
        _disk.Hold = true;
        AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        _bus.Transport.Stop();
        Assert.Empty(_disk.Held);
        Assert.NotNull(queue.Take());
        AddRead(_ram, queue, 0, 512);
        _bus.Kick(0);
        Assert.Empty(_disk.Held);
        _disk.Hold = false;
        _bus.Transport.Start();
        Assert.NotNull(queue.Take());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RequestsOfABusyDiskAreDoneOnceOnEitherSideOfASave(bool packed)
    {
        DriverQueue queue = Begin(packed);
        (_disk.Hold, _disk.EndsElsewhere) = (true, true);
        ulong[] data = [.. Enumerable.Range(0, 3).Select(i => AddRead(_ram, queue, (ulong)i, 512))];
        _bus.Kick(0);
        Assert.Equal(3, _disk.Held.Count);
        _bus.Transport.Stop();
        data = [.. data, .. Enumerable.Range(3, 2).Select(i => AddRead(_ram, queue, (ulong)i, 512))];
        _bus.Kick(0);
        StateBag saved = new();
        _bus.Transport.Save(saved);

        TestDisk other = new(1 << 20);
        _disk.Content.CopyTo(other.Content, 0);
        TestBus bus = new(new BlockDevice("disk0", new CheckedLock(), _ram.Memory, other, 1, "a serial number longer than twenty"u8));
        bus.Transport.Stop();
        bus.Transport.Reset();
        Assert.True(bus.Transport.Restore(saved));
        bus.Transport.Start();
        Assert.Equal(["Read 0+512", "Read 512+512", "Read 1024+512"], _disk.Log);
        Assert.Equal(["Read 1536+512", "Read 2048+512"], other.Log);
        for (int i = 0; i < data.Length; i++)
        {
            Assert.NotNull(queue.Take());
            Assert.Equal(_disk.Content[(i * 512)..((i + 1) * 512)], _ram.Get(data[i], 512));
            Assert.Equal(0, _ram.Get(data[i] + 512, 1)[0]);
        }

        Assert.Null(queue.Take());
    }

    [Fact]
    public void TheDriverHearsOfANewSize()
    {
        Begin();
        _device.Resize();
        Assert.Equal([0u], _bus.Sent);
        Assert.Equal(1UL, _bus.Read(0x15, 1));
    }

    [Fact]
    public void NothingIsAllocatedPerRequest()
    {
        DriverQueue queue = new(_ram, 16, packed: false, indirect: false);
        _bus.Begin(Version1, queue);
        TestDiskWithoutLog disk = new();
        BlockDevice device = new("disk1", new CheckedLock(), _ram.Memory, disk, 1, "x"u8);
        TestBus bus = new(device);
        bus.Begin(Version1, queue);
        ulong header = _ram.Put(Header(0, 0));
        ulong data = _ram.Allocate(513);
        Run(2000);
        long allocated = Run(2000);
        Assert.Equal(0, allocated);

        long Run(int count)
        {
            long sum = 0;
            for (int i = 0; i < count; i++)
            {
                queue.Add([(header, 16)], [(data, 513)]);
                long start = GC.GetAllocatedBytesForCurrentThread();
                bus.Transport.Ring(0);
                sum += GC.GetAllocatedBytesForCurrentThread() - start;
                queue.Take();
                bus.Sent.Clear();
            }

            return sum;
        }
    }

    private static byte[] Header(uint type, ulong sector)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        return header;
    }

    private static byte[] Range(ulong sector, uint count, uint flags)
    {
        byte[] range = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(range, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(8), count);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(12), flags);
        return range;
    }

    private DriverQueue Begin(bool packed = false, bool indirect = false, ulong features = Version1)
    {
        DriverQueue queue = new(_ram, 16, packed, indirect);
        _bus.Begin(features | (packed ? 1UL << 34 : 0) | (indirect ? 1UL << 28 : 0), queue);
        return queue;
    }

    private sealed class TestDiskWithoutLog : IBlockBackend
    {
        public ulong Length => 1 << 20;

        public bool IsReadOnly => false;

        public bool CanDiscard => false;

        public uint PreferredBlock => 512;

        public bool Submit(BlockRequest request)
        {
            request.Result = BlockResult.Done;
            return true;
        }

        public void Drain()
        {
        }
    }
}
