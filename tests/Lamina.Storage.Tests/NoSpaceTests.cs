using System.Diagnostics;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Tests;

/// <summary>A host without space: the guest is told, or its writes wait while the rest goes on; and nothing that was written is lost.</summary>
public sealed class NoSpaceTests : IDisposable, IBlockCompletion
{
    private const int Block = 4096;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly TemporaryDirectory _directory = new();
    private readonly SemaphoreSlim _completed = new(0);

    public void Dispose()
    {
        _directory.Dispose();
        _completed.Dispose();
    }

    void IBlockCompletion.OnCompleted(BlockRequest request) => _completed.Release();

    [Fact]
    public void TheGuestIsTold()
    {
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(new FullImage { IsFull = true });
        BlockRequest request = Make(0, BlockOperation.Write, memory);
        Assert.False(backend.Submit(request));
        Assert.True(_completed.Wait(Patience, TestContext.Current.CancellationToken));
        Assert.Equal(BlockResult.Failed, request.Result);
    }

    [Fact]
    public void WritesWaitAndTheRestGoesOn()
    {
        using HostBuffer memory = new(Block);
        FullImage image = new() { IsFull = true };
        List<string> notices = [];
        using DiskBackend backend = new(image, WriteErrorPolicy.Wait, n =>
        {
            lock (notices)
            {
                notices.Add(n);
            }
        });
        BlockRequest[] writes = [.. Enumerable.Range(0, 10).Select(i => Make(i, BlockOperation.Write, memory))];
        foreach (BlockRequest write in writes)
        {
            Assert.False(backend.Submit(write));
        }

        BlockRequest read = Make(99, BlockOperation.Read, memory);
        Assert.False(backend.Submit(read));
        Assert.True(_completed.Wait(Patience, TestContext.Current.CancellationToken));
        Assert.Equal(BlockResult.Done, read.Result);
        Assert.Equal(0, _completed.CurrentCount);
        Assert.Equal(0, image.Written);

        image.IsFull = false;
        for (int i = 0; i < writes.Length; i++)
        {
            Assert.True(_completed.Wait(Patience, TestContext.Current.CancellationToken), $"{i} writes of {writes.Length} went on.");
        }

        backend.Drain();
        Assert.All(writes, w => Assert.Equal(BlockResult.Done, w.Result));
        Assert.Equal(writes.Length, image.Written);
        Assert.Equal(2, notices.Count);
        Assert.Contains("wait until there is some", notices[0], StringComparison.Ordinal);
        Assert.Contains("go on", notices[1], StringComparison.Ordinal);
    }

    [Fact]
    public void AMachineThatStopsDoesNotWaitForSpace()
    {
        using HostBuffer memory = new(Block);
        using DiskBackend backend = new(new FullImage { IsFull = true }, WriteErrorPolicy.Wait);
        BlockRequest[] writes = [.. Enumerable.Range(0, 6).Select(i => Make(i, BlockOperation.Write, memory))];
        foreach (BlockRequest write in writes)
        {
            backend.Submit(write);
        }

        backend.Drain();
        Assert.All(writes, w => Assert.Equal(BlockResult.Failed, w.Result));
    }

    [Fact]
    public void AnImageOnAFullFileSystemStaysWhole()
    {
        string place = Directory.CreateDirectory(_directory["full"]).FullName;
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place), "This host does not let the test mount a file system.");
        try
        {
            string path = Path.Combine(place, "disk.qcow2");
            DiskImages.Create(path, DiskFormat.Qcow2, 16 << 20, null);
            using HostBuffer memory = new(65536);
            Dictionary<int, byte> written = [];
            using (DiskImage image = DiskImages.Open(path, null, writable: true))
            {
                int refused = 0;
                Random random = new(31);
                for (int i = 1; i < 200; i++)
                {
                    int cluster = random.Next(256);
                    memory.Bytes.Fill((byte)i);
                    int error = image.Write((ulong)cluster << 16, [memory.Vector(0, 65536)]);
                    refused += error == ErrorNumber.NoSpace ? 1 : 0;
                    Assert.True(error is 0 or ErrorNumber.NoSpace, $"errno {error}");
                    if (error == 0)
                    {
                        written[cluster] = (byte)i;
                    }
                }

                Assert.True(refused > 20, "The file system was not full.");
                foreach ((int cluster, byte value) in written)
                {
                    Assert.Equal(0, image.Read((ulong)cluster << 16, [memory.Vector(0, 65536)]));
                    Assert.False(memory.Bytes.ContainsAnyExcept(value), "What was written is not there.");
                }

                Assert.True(Run("mount", "-o", "remount,size=30m", place));
                Assert.Equal(0, image.Flush());
                memory.Bytes.Fill(77);
                Assert.Equal(0, image.Write(255UL << 16, [memory.Vector(0, 65536)]));
                written[255] = 77;
            }

            QemuTool.Check("qemu-img", "check", "-q", path);
            using DiskImage again = DiskImages.Open(path, null, writable: false);
            foreach ((int cluster, byte value) in written)
            {
                Assert.Equal(0, again.Read((ulong)cluster << 16, [memory.Vector(0, 65536)]));
                Assert.False(memory.Bytes.ContainsAnyExcept(value), "What was written is not there any more.");
            }
        }
        finally
        {
            Run("umount", place);
        }
    }

    [Fact]
    public void ARawFileThatBecameShorterIsAnErrorAndNoZeroes()
    {
        string path = _directory.Write("disk.img", new byte[1 << 20]);
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        using HostBuffer memory = new(65536);
        using (FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(100_000);
        }

        Assert.Equal(0, image.Read(0, [memory.Vector(0, 65536)]));
        Assert.Equal(ErrorNumber.InputOutput, image.Read(65536, [memory.Vector(0, 65536)]));
        Assert.False(image.TryReadNow(65536, [memory.Vector(0, 65536)], 65536));
    }

    private BlockRequest Make(int tag, BlockOperation operation, HostBuffer memory)
    {
        BlockRequest request = new(tag, 4, this) { Operation = operation, Offset = (ulong)tag * Block };
        Assert.True(request.TryAdd(memory.Guest(0, Block)));
        return request;
    }

    private static bool Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    // A disk of which each request takes the slow way, and whose host is full as long as it is told so.
    private sealed class FullImage : DiskImage
    {
        private int _written;

        public bool IsFull { get; set; }

        public int Written => Volatile.Read(ref _written);

        public override DiskFormat Format => DiskFormat.Raw;

        public override string Path => "full";

        public override string? BackingPath => null;

        public override ulong Length => 1 << 20;

        public override bool IsReadOnly => false;

        public override bool CanDiscard => false;

        public override uint PreferredBlock => Block;

        public override int Read(ulong offset, ReadOnlySpan<IoVector> buffers) => 0;

        public override int Write(ulong offset, ReadOnlySpan<IoVector> buffers)
        {
            if (IsFull)
            {
                return ErrorNumber.NoSpace;
            }

            Interlocked.Increment(ref _written);
            return 0;
        }

        public override int Flush() => 0;

        internal override FileCopy BeginCopy(BlockFile target) => throw new NotSupportedException();

        public override int Discard(ulong offset, ulong length) => 0;

        public override int WriteZeroes(ulong offset, ulong length, bool mayDiscard) => 0;

        public override bool TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length) => false;

        public override bool TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length) => false;

        public override int Resize(ulong length) => ErrorNumber.NotSupported;

        public override int GetExtent(ulong offset, out DiskExtent extent)
        {
            extent = new DiskExtent(Length - offset, false, true, -1, 0);
            return 0;
        }

        public override void Dispose()
        {
        }
    }
}
