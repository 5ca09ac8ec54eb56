using System.Net.Sockets;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;

namespace Lamina.Interop.Tests.Isolation;

/// <summary>Open files pass from one end of a socket to the other, all or none.</summary>
public sealed class DescriptorPassingTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"lamina-passing-{Guid.NewGuid():N}");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Socket _client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Socket _server;

    public DescriptorPassingTests()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        _listener.Listen();
        _client.Connect(new UnixDomainSocketEndPoint(_path));
        _server = _listener.Accept();
    }

    public void Dispose()
    {
        _server.Dispose();
        _client.Dispose();
        _listener.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void WhatIsReadThroughAPassedFileIsWhatTheOtherOpened()
    {
        string path = $"{_path}.file";
        File.WriteAllText(path, "passed");
        try
        {
            using PassedFile file = PassedFile.Open(path, writable: false, direct: false);
            File.Delete(path);
            Assert.Equal(0, DescriptorPassing.Send(_client.SafeHandle, [file.Number]));
            int[] numbers = new int[1];
            Assert.True(DescriptorPassing.TryReceive(_server.SafeHandle, numbers));
            using BlockFile received = BlockFile.Adopt(numbers[0], "received");
            byte[] content = new byte[6];
            Assert.Equal(0, received.ReadAt(0, content));
            Assert.Equal("passed"u8, content);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(3, 2)]
    public void AnotherNumberThanExpectedLeavesNothingOpen(int sent, int expected)
    {
        string path = $"{_path}.file";
        File.WriteAllText(path, "passed");
        try
        {
            using PassedFile file = PassedFile.Open(path, writable: false, direct: false);
            Assert.Equal(0, DescriptorPassing.Send(_client.SafeHandle, [.. Enumerable.Repeat(file.Number, sent)]));
            Assert.False(DescriptorPassing.TryReceive(_server.SafeHandle, new int[expected]));
            Assert.Equal(1, CountDescriptors(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void BytesWithoutDescriptorsAndAnEndAreNotFiles()
    {
        _client.Send([0]);
        Assert.False(DescriptorPassing.TryReceive(_server.SafeHandle, new int[1]));
        _client.Shutdown(SocketShutdown.Both);
        Assert.False(DescriptorPassing.TryReceive(_server.SafeHandle, new int[1]));
    }

    // Other tests open and close files meanwhile.
    private static int CountDescriptors(string path) => Directory.GetFiles("/proc/self/fd").Count(fd => new FileInfo(fd).LinkTarget == path);
}
