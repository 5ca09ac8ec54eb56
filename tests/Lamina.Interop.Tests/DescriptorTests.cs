using System.IO.Pipes;
using Lamina.Interop.Events;

namespace Lamina.Interop.Tests;

public sealed class DescriptorTests
{
    [Fact]
    public void BytesGoThroughAPipeAndItsEndIsSeen()
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        using AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
        int write = (int)server.SafePipeHandle.DangerousGetHandle();
        int read = (int)client.SafePipeHandle.DangerousGetHandle();
        Assert.Equal(Readiness.None, Descriptor.Wait(read, Readiness.Readable, 0));
        Assert.Equal(3, Descriptor.Write(write, "abc"u8, out int error));
        Assert.Equal(0, error);
        Assert.Equal(Readiness.Readable, Descriptor.Wait(read, Readiness.Readable, -1));
        byte[] buffer = new byte[10];
        Assert.Equal(3, Descriptor.Read(read, buffer, out error));
        Assert.Equal("abc"u8, buffer.AsSpan(0, 3));
        server.Dispose();
        Assert.Equal(0, Descriptor.Read(read, buffer, out error));
        Assert.Equal(0, error);
    }

    [Fact]
    public void AReaderThatHasGoneIsAnErrorNumber()
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
        client.Dispose();
        server.DisposeLocalCopyOfClientHandle();
        Assert.Equal(-1, Descriptor.Write((int)server.SafePipeHandle.DangerousGetHandle(), "abc"u8, out int error));
        Assert.Equal(ErrorNumber.BrokenPipe, error);
    }
}
