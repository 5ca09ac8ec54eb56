using Lamina.Machine.Backends;

namespace Lamina.Storage.Tests;

/// <summary>Requests served by threads: all of them, with their content, and none after draining.</summary>
public sealed class DiskBackendTests : IDisposable, IBlockCompletion
{
    private const int DiskLength = 4 << 20;
    private const int Block = 8192;
    private readonly TemporaryDirectory _directory = new();
    private readonly List<BlockRequest> _completed = [];

    public void Dispose() => _directory.Dispose();

    void IBlockCompletion.OnCompleted(BlockRequest request)
    {
        lock (_completed)
        {
            _completed.Add(request);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void APartIsNotDoneOnTheThreadThatAsks(bool mayUseRing)
    {
        string path = _directory.Write("disk", new byte[DiskLength]);
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(OpenOrSkip(path, direct: false), mayUseRing: mayUseRing);
        BlockRequest request = new(0, 1, this) { Operation = BlockOperation.Read };
        for (int i = 0; i < 2; i++)
        {
            request.Clear();
            request.IsPart = true;
            Assert.True(request.TryAdd(memory.Guest(0, Block)));
            Assert.False(backend.Submit(request));
            backend.Drain();
            Assert.Equal((i + 1, BlockResult.Done), (_completed.Count, request.Result));
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void ManyRequestsKeepTheirContent(bool direct, bool mayUseRing)
    {
        string path = _directory.Write("disk", new byte[DiskLength]);
        using HostBuffer memory = new(Block * 64);
        using DiskBackend backend = new(OpenOrSkip(path, direct), mayUseRing: mayUseRing);
        BlockRequest[] requests = [.. Enumerable.Range(0, 64).Select(i => new BlockRequest(i, 4, this))];
        byte[] expected = new byte[DiskLength];
        Random random = new(1);
        for (int round = 0; round < 20; round++)
        {
            int[] places = [.. Enumerable.Range(0, DiskLength / Block).OrderBy(_ => random.Next()).Take(64)];
            bool write = round % 2 == 0;
            if (write)
            {
                random.NextBytes(memory.Bytes);
            }
            else
            {
                memory.Bytes.Clear();
            }

            _completed.Clear();
            int atOnce = 0;
            for (int i = 0; i < 64; i++)
            {
                requests[i].Clear();
                requests[i].Operation = write ? BlockOperation.Write : BlockOperation.Read;
                requests[i].Offset = (ulong)(places[i] * Block);
                Assert.True(requests[i].TryAdd(memory.Guest(i * Block, 512)) && requests[i].TryAdd(memory.Guest((i * Block) + 512, Block - 512)));
                atOnce += backend.Submit(requests[i]) ? 1 : 0;
            }

            backend.Drain();
            Assert.Equal(64, atOnce + _completed.Count);
            Assert.All(requests, r => Assert.Equal(BlockResult.Done, r.Result));
            for (int i = 0; i < 64; i++)
            {
                Span<byte> guest = memory.Bytes.Slice(i * Block, Block);
                Span<byte> disk = expected.AsSpan(places[i] * Block, Block);
                if (write)
                {
                    guest.CopyTo(disk);
                }
                else
                {
                    Assert.True(disk.SequenceEqual(guest), $"Block {places[i]} is not what was written.");
                }
            }
        }

        BlockRequest flush = new(0, 1, this) { Operation = BlockOperation.Flush };
        Assert.False(backend.Submit(flush));
        backend.Drain();
        Assert.Equal(BlockResult.Done, flush.Result);
        Assert.Equal(expected, File.ReadAllBytes(path));
    }

    // Also where the host has no way to say that a write would wait (ext4). One that took long keeps others from it for a second.
    [Theory]
    [InlineData("disk.img")]
    [InlineData("disk.qcow2")]
    public void SmallWritesOfWhatTheHostHasInMemoryAreDoneOnTheThreadThatAsks(string name)
    {
        string path = _directory[name];
        DiskImages.Create(path, DiskImages.GetFormatByName(path), DiskLength, null);
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(DiskImages.Open(path, null, writable: true));
        BlockRequest request = new(0, 1, this);
        long deadline = Environment.TickCount64 + 30_000;
        for (int attempt = 0; ; attempt++)
        {
            memory.Bytes.Fill((byte)attempt);
            request.Clear();
            request.Operation = BlockOperation.Write;
            Assert.True(request.TryAdd(memory.Guest(0, Block)));
            if (backend.Submit(request))
            {
                break;
            }

            backend.Drain();
            Assert.Equal(BlockResult.Done, request.Result);
            Assert.True(Environment.TickCount64 < deadline, $"None of {attempt} writes was done at once.");
        }

        byte last = memory.Bytes[0];
        memory.Bytes.Clear();
        request.Clear();
        request.Operation = BlockOperation.Read;
        Assert.True(request.TryAdd(memory.Guest(0, Block)));
        if (!backend.Submit(request))
        {
            backend.Drain();
        }

        Assert.True(memory.Bytes.IndexOfAnyExcept(last) < 0, "The disk does not hold what was written.");
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task A_copy_has_what_was_there_when_it_began(bool direct, bool mayUseRing)
    {
        // With holes, and an end that is no whole part of a copy.
        const int Length = DiskLength + 4096;
        byte[] content = new byte[Length];
        Random random = new(3);
        random.NextBytes(content.AsSpan(1 << 20, 1 << 20));
        random.NextBytes(content.AsSpan(3 << 20));
        string path = _directory.Write("disk", []);
        using (FileStream file = File.OpenWrite(path))
        {
            file.SetLength(Length);
            file.Position = 1 << 20;
            file.Write(content, 1 << 20, 1 << 20);
            file.Position = 3 << 20;
            file.Write(content, 3 << 20, Length - (3 << 20));
        }

        byte[] expected = [.. content];
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(OpenOrSkip(path, direct), mayUseRing: mayUseRing);
        string target = _directory["copy"];
        using (DiskImageCopy copy = backend.BeginCopy(Interop.Files.BlockFile.CreateNew(target)))
        {
            Change(100);
            Task completed = Task.Run(copy.Complete, TestContext.Current.CancellationToken);
            Change(300);
            await completed;
            Change(50);
        }

        Change(50);
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(target)), "The copy has something that was written later.");
        Assert.True(expected.AsSpan().SequenceEqual(File.ReadAllBytes(path)), "The disk has not what was written.");

        void Change(int times)
        {
            for (int n = 0; n < times; n++)
            {
                int offset = random.Next((Length / Block) - 1) * Block;
                BlockRequest request = new(0, 4, this) { Operation = random.Next(4) switch { 0 => BlockOperation.Discard, 1 => BlockOperation.WriteZeroes, _ => BlockOperation.Write }, Offset = (ulong)offset, };
                if (request.Operation == BlockOperation.Write)
                {
                    random.NextBytes(memory.Bytes);
                    Assert.True(request.TryAdd(memory.Guest(0, Block)));
                }
                else
                {
                    memory.Bytes.Clear();
                    request.Length = Block;
                }

                memory.Bytes.CopyTo(expected.AsSpan(offset));
                backend.Submit(request);
                backend.Drain();
                Assert.Equal(BlockResult.Done, request.Result);
            }
        }
    }

    [Fact]
    public void AFailureIsAResult()
    {
        string path = _directory.Write("disk", new byte[DiskLength]);
        using HostBuffer memory = new(4096);
        using DiskBackend backend = new(DiskImages.Open(path, null, writable: false));
        BlockRequest request = new(0, 1, this) { Operation = BlockOperation.Write };
        Assert.True(request.TryAdd(memory.Guest(0, 4096)));
        Assert.False(backend.Submit(request));
        backend.Drain();
        Assert.Equal(BlockResult.Failed, request.Result);
    }

    [Fact]
    public void AFileThatBecameShorterIsAnError()
    {
        string path = _directory.Write("disk", [.. Enumerable.Repeat((byte)7, 8192)]);
        using HostBuffer memory = new(8192);
        using DiskBackend backend = new(DiskImages.Open(path, null, writable: true));
        using (FileStream other = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            other.SetLength(5000);
        }

        memory.Bytes.Fill(1);
        BlockRequest request = new(0, 1, this) { Operation = BlockOperation.Read };
        Assert.True(request.TryAdd(memory.Guest(0, 8192)));
        if (!backend.Submit(request))
        {
            backend.Drain();
        }

        Assert.Equal(BlockResult.Failed, request.Result);
    }

    [Theory]
    [InlineData("disk.img", false)]
    [InlineData("disk.img", true)]
    [InlineData("disk.qcow2", false)]
    public void NothingIsAllocatedInSteadyState(string name, bool direct)
    {
        string path = _directory[name];
        DiskImages.Create(path, DiskImages.GetFormatByName(path), DiskLength, null);
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(OpenOrSkip(path, direct));
        BlockRequest request = new(0, 4, this);
        _completed.Capacity = 100_000;

        // Other tests allocate at the same time: what counts is that there is a round in which nobody did.
        long least = long.MaxValue;
        long before = 0;
        for (int i = 0; i < 40_000 && least > 0; i++)
        {
            if (i % 200 == 0)
            {
                backend.Drain();
                long now = GC.GetTotalAllocatedBytes(precise: false);
                least = i < 4000 ? least : Math.Min(least, now - before);
                before = GC.GetTotalAllocatedBytes(precise: false);
            }

            request.Clear();
            request.Operation = i % 2 == 0 ? BlockOperation.Write : BlockOperation.Read;
            request.Offset = (ulong)(i * 7919 % (DiskLength / Block) * Block);
            Assert.True(request.TryAdd(memory.Guest(0, Block)));
            if (!backend.Submit(request))
            {
                backend.Drain();
            }
        }

        Assert.True(least == 0, $"{least} bytes for 200 requests.");
    }

    [Fact]
    public void PastTheCacheARingServesWhatIsAlignedAndWhatIsNot()
    {
        string path = _directory.Write("disk", new byte[DiskLength]);
        using HostBuffer memory = new(Block * 4);
        using DiskBackend backend = new(OpenOrSkip(path, direct: true));
        Assert.SkipUnless(backend.UsesRing, "This host has no io_uring, or refuses it.");
        Random random = new(3);
        byte[] model = new byte[DiskLength];
        BlockRequest request = new(0, 4, this);
        BlockRequest flush = new(1, 4, this) { Operation = BlockOperation.Flush };
        for (int i = 0; i < 200; i++)
        {
            int skew = random.Next(3) == 0 ? 8 : 0;
            int length = random.Next(1, 16) * 512;
            int at = random.Next((DiskLength / 512) - 16) * 512;
            random.NextBytes(memory.Bytes);
            Do(BlockOperation.Write);
            memory.Bytes.Slice(skew, length).CopyTo(model.AsSpan(at));
            memory.Bytes.Clear();
            Do(BlockOperation.Read);
            Assert.True(memory.Bytes.Slice(skew, length).SequenceEqual(model.AsSpan(at, length)), $"Request {i}: {length} bytes at {at}.");

            void Do(BlockOperation operation)
            {
                request.Clear();
                request.Operation = operation;
                request.Offset = (ulong)at;
                Assert.True(request.TryAdd(memory.Guest(skew, length)));
                Assert.False(backend.Submit(request));
                backend.Drain();
                Assert.Equal(BlockResult.Done, request.Result);
            }
        }

        Assert.False(backend.Submit(flush));
        backend.Drain();
        Assert.Equal(BlockResult.Done, flush.Result);
        Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(path)), "The file does not hold what was written.");
    }

    [Fact]
    public void WhatAQcow2ImageHasInTheRingMeetsDiscardsAndFlushes()
    {
        const int Cluster = 64 << 10;
        const int Count = DiskLength / Cluster;
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, DiskLength, null);
        using HostBuffer memory = new(Block * Count);
        byte[] model = new byte[DiskLength];
        using (DiskBackend backend = new(DiskImages.Open(path, null, writable: true)))
        {
            Assert.SkipUnless(backend.UsesRing, "This host has no io_uring, or refuses it.");
            BlockRequest[] requests = [.. Enumerable.Range(0, Count).Select(i => new BlockRequest(i, 4, this))];
            Random random = new(5);
            for (int round = 0; round < 20; round++)
            {
                // Each cluster is written, read, or zeroed and given back, while others are flushed.
                random.NextBytes(memory.Bytes);
                for (int i = 0; i < Count; i++)
                {
                    BlockRequest request = requests[i];
                    int at = (i * Cluster) + (random.Next(Cluster / Block) * Block);
                    request.Clear();
                    request.Operation = (BlockOperation)random.Next((int)Enum.GetValues<BlockOperation>().Max() + 1);
                    bool moves = request.Operation is BlockOperation.Read or BlockOperation.Write;
                    bool forgets = request.Operation is BlockOperation.Discard or BlockOperation.WriteZeroes;
                    request.Offset = moves ? (ulong)at : (ulong)(i * Cluster);
                    request.Length = forgets ? (ulong)Cluster : 0;
                    request.MayDiscard = true;
                    if (moves)
                    {
                        Assert.True(request.TryAdd(memory.Guest(i * Block, Block)));
                    }

                    backend.Submit(request);
                    if (request.Operation == BlockOperation.Write)
                    {
                        memory.Bytes.Slice(i * Block, Block).CopyTo(model.AsSpan(at));
                    }
                    else if (forgets)
                    {
                        model.AsSpan(i * Cluster, Cluster).Clear();
                    }
                }

                backend.Drain();
                Assert.All(requests, r => Assert.Equal(BlockResult.Done, r.Result));
                foreach (BlockRequest request in requests.Where(static r => r.Operation == BlockOperation.Read))
                {
                    bool same = model.AsSpan((int)request.Offset, Block).SequenceEqual(memory.Bytes.Slice(request.Tag * Block, Block));
                    Assert.True(same, $"Round {round}: the block at {request.Offset} is not what was written.");
                }
            }
        }

        DiskCheckResult check = DiskMaintenance.Check(path, DiskFormat.Qcow2, DiskRepair.None, null);
        Assert.Equal(0, check.Errors);
        using DiskImage image = DiskImages.Open(path, null, writable: false);
        for (int at = 0; at < DiskLength; at += Block)
        {
            Assert.Equal(0, image.Read((ulong)at, [new(memory.Guest(0, Block).HostAddress, Block)]));
            Assert.True(model.AsSpan(at, Block).SequenceEqual(memory.Bytes[..Block]), $"The image's block at {at} is not what was written.");
        }
    }

    [Fact]
    public void QcowImagesDoNotGoPastTheCache()
    {
        string path = _directory["disk.qcow2"];
        DiskImages.Create(path, DiskFormat.Qcow2, DiskLength, null);
        Assert.Contains("cache=none", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true, direct: true)).Message, StringComparison.Ordinal);
    }

    private static DiskImage OpenOrSkip(string path, bool direct)
    {
        try
        {
            return DiskImages.Open(path, null, writable: true, direct);
        }
        catch (StorageException e) when (direct)
        {
            Assert.Skip($"The test's file system cannot do it: {e.Message}");
            throw;
        }
    }
}
