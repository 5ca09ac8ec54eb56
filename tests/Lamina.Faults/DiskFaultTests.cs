using System.Runtime.InteropServices;
using Lamina.Interop.Faults;
using Lamina.Interop.Files;
using Lamina.Interop.Isolation;
using Lamina.Interop.Memory;
using Lamina.Machine.Backends;
using Lamina.Storage;

namespace Lamina.Faults;

/// <summary>
/// Each call that serving a disk makes fails in turn: a request that was acknowledged is on the disk, whatever became of the others, the image stays whole, and nothing is left behind.
/// </summary>
public sealed class DiskFaultTests : IDisposable, IBlockCompletion
{
    private const int Interrupted = 4;
    private const int InputOutput = 5;
    private const int TryAgain = 11;
    private const int OutOfMemory = 12;
    private const int NoSpace = 28;
    private const int Block = 64 << 10;
    private const int Blocks = 8;
    private const int MostCalls = 24;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-faults").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    void IBlockCompletion.OnCompleted(BlockRequest request)
    {
    }

    [Theory]
    [InlineData(DiskFormat.Raw, SystemCall.Pwritev2, TryAgain)]
    [InlineData(DiskFormat.Raw, SystemCall.Pwritev2, InputOutput)]
    [InlineData(DiskFormat.Raw, SystemCall.IoUringEnter, Interrupted)]
    [InlineData(DiskFormat.Raw, SystemCall.IoUringEnter, TryAgain)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Pwritev, InputOutput)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Pwritev, NoSpace)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Pwritev, Interrupted)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Pwritev, OutOfMemory)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Preadv, Interrupted)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Fdatasync, InputOutput)]
    [InlineData(DiskFormat.Qcow2, SystemCall.Fallocate, NoSpace)]
    public void WhatWasAcknowledgedIsThere(DiskFormat format, SystemCall call, int error)
    {
        string[]? before = null;
        int failures = 0;
        for (int at = 0; at < MostCalls; at++)
        {
            string path = Path.Combine(_directory, $"{format}-{at}");
            DiskImages.Create(path, format, Block * Blocks * 2, null);
            byte[]?[] acknowledged = new byte[]?[Blocks];
            bool flushed = false;
            (int _, int failed, Exception? exception) = CallFaults.Run(call, [], at, 1, error, () => flushed = Write(path, format, acknowledged));
            Assert.True(
                exception == null || (exception is StorageException && exception.Message.Contains(Marshal.GetPInvokeErrorMessage(error), StringComparison.Ordinal)),
                $"When call {at} of {call} failed with errno {error}: {exception}");
            Check(path, format, acknowledged, $"When call {at} of {call} failed with errno {error}, the flush {(flushed ? "did not, and" : "did, too, and")}");
            before ??= HostState.Descriptors();
            Assert.Equal(before, HostState.Descriptors());
            failures += failed;
            if (failed == 0)
            {
                Assert.True(flushed, "Nothing failed, and the flush was not acknowledged.");
                break;
            }
        }

        Assert.True(failures > 0 || call is SystemCall.IoUringEnter or SystemCall.Fallocate, $"No call of {call} was made: this tests nothing.");
    }

    // Each block twice, so that there is something to be lost.
    private bool Write(string path, DiskFormat format, byte[]?[] acknowledged)
    {
        using MemoryMapping memory = MemoryMapping.CreateAnonymous(Block);
        using DiskBackend backend = new(DiskImages.Open(path, format, writable: true));
        BlockRequest request = new(0, 1, this);
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < Blocks; i++)
            {
                byte[] content = new byte[Block];
                new Random((round * 100) + i).NextBytes(content);
                content.CopyTo(memory.GetSpan(0, Block));
                if (Submit(backend, request, BlockOperation.Write, (ulong)(i * Block), memory.Address))
                {
                    acknowledged[i] = content;
                }
                else
                {
                    // It may be there, in part, or not.
                    acknowledged[i] = null;
                }
            }
        }

        return Submit(backend, request, BlockOperation.Flush, 0, 0);
    }

    private static bool Submit(DiskBackend backend, BlockRequest request, BlockOperation operation, ulong offset, nint address)
    {
        request.Clear();
        request.Operation = operation;
        request.Offset = offset;
        Assert.True(address == 0 || request.TryAdd(new GuestBuffer(0, address, Block)));
        if (!backend.Submit(request))
        {
            backend.Drain();
        }

        return request.Result == BlockResult.Done;
    }

    private static void Check(string path, DiskFormat format, byte[]?[] acknowledged, string when)
    {
        using DiskImage image = DiskImages.Open(path, format, writable: false);
        using MemoryMapping memory = MemoryMapping.CreateAnonymous(Block);
        for (int i = 0; i < Blocks; i++)
        {
            if (acknowledged[i] is not { } expected)
            {
                continue;
            }

            Assert.Equal(0, image.Read((ulong)(i * Block), [new IoVector(memory.Address, Block)]));
            Assert.True(memory.GetSpan(0, Block).SequenceEqual(expected), $"{when} the block {i}, whose writing was acknowledged, has another content.");
        }
    }
}
