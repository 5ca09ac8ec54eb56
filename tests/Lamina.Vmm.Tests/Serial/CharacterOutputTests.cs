using System.IO.Pipes;
using System.Text;
using Lamina.Interop;
using Lamina.Vmm.Serial;

namespace Lamina.Vmm.Tests.Serial;

public sealed class CharacterOutputTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    [Fact]
    public void MemoryKeepsTheLatest()
    {
        MemoryCharacterOutput output = new(capacity: 10_000);
        int events = 0;
        output.Written += () => events++;
        byte[] expected = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 31))];
        foreach (byte[] chunk in expected.Chunk(77))
        {
            output.Write(chunk);
        }

        byte[] kept = output.ToArray();
        Assert.InRange(kept.Length, 10_000, 20_000);
        Assert.Equal(expected[^kept.Length..], kept);
        Assert.Equal(100_000, output.TotalWritten);
        Assert.Equal(1299, events);
        MemoryCharacterOutput text = new();
        text.Write("größe"u8);
        Assert.Equal("größe", text.Text);
    }

    [Fact]
    public void AFileGetsEverythingInOrder()
    {
        string path = Path.GetTempFileName();
        byte[] expected = [.. Enumerable.Range(0, 3_000_000).Select(i => (byte)(i * 31))];
        using (DescriptorCharacterOutput output = DescriptorCharacterOutput.ForFile(path))
        {
            foreach (byte[] chunk in expected.Chunk(1000))
            {
                output.Write(chunk);
            }

            Assert.True(output.Flush(Soon));
            Assert.Null(output.Failure);
        }

        Assert.Equal(expected, File.ReadAllBytes(path));
        File.Delete(path);
    }

    [Fact]
    public void AFileThatCannotBeMadeIsNamed()
    {
        MachineConfigurationException e = Assert.Throws<MachineConfigurationException>(() => DescriptorCharacterOutput.ForFile("/nonexistent/log"));
        Assert.StartsWith("'/nonexistent/log' cannot be written: ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFullDiskIsAFailureNotAnException()
    {
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForFile("/dev/full");
        output.Write("text"u8);
        Assert.True(output.Flush(Soon));
        Assert.Equal(28, output.Failure!.ErrorNumber);
        output.Write(new byte[4 << 20]);
    }

    [Fact]
    public void AReaderThatHasGoneIsAFailureNotAnException()
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        using (AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle))
        {
        }

        server.DisposeLocalCopyOfClientHandle();
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForDescriptor((int)server.SafePipeHandle.DangerousGetHandle());
        output.Write("text"u8);
        Assert.True(output.Flush(Soon));
        Assert.Equal(ErrorNumber.BrokenPipe, output.Failure!.ErrorNumber);
    }

    [Fact]
    public void ASlowReaderLosesNothing()
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        using AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForDescriptor((int)server.SafePipeHandle.DangerousGetHandle());
        const int Length = 3 << 20;
        Thread writer = new(() =>
        {
            byte[] chunk = new byte[4096];
            for (int i = 0; i < Length / chunk.Length; i++)
            {
                chunk.AsSpan().Fill((byte)i);
                output.Write(chunk);
            }
        });
        writer.Start();
        byte[] read = new byte[Length];
        client.ReadExactly(read);
        writer.Join();
        Assert.True(output.Flush(Soon));
        for (int i = 0; i < Length; i++)
        {
            Assert.Equal((byte)(i / 4096), read[i]);
        }
    }

    [Fact]
    public void AStuckReaderDoesNotHoldUpTheEnd()
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        using AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForDescriptor((int)server.SafePipeHandle.DangerousGetHandle());

        // More than the pipe holds and less than the buffer: from here on something is always left.
        output.Write(new byte[512 << 10]);
        Thread writer = new(() => output.Write(new byte[4 << 20]));
        writer.Start();
        Assert.False(output.Flush(TimeSpan.FromMilliseconds(1)));
        ((IBoundedOutput)output).StopWaiting();
        Assert.True(writer.Join(Soon));
        output.Write(Encoding.ASCII.GetBytes("dropped"));
        client.Dispose();
        server.DisposeLocalCopyOfClientHandle();
        Assert.True(output.Flush(Soon));
    }
}
