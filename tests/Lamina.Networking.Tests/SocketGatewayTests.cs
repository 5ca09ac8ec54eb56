using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Machine.Backends;
using Lamina.Networking.Sockets;

namespace Lamina.Networking.Tests;

/// <summary>Programs of the host that connect and listen, against a device that does as the test says.</summary>
public sealed class SocketGatewayTests : ISocketTarget, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-vsock").FullName;
    private readonly SocketGateway _gateway;
    private readonly SemaphoreSlim _connected = new(0);
    private readonly SemaphoreSlim _ready = new(0);
    private readonly byte[] _memory = GC.AllocateArray<byte>(1 << 20, pinned: true);
    private readonly List<uint> _ports = [];
    private bool _refuse;

    public SocketGatewayTests()
    {
        _gateway = SocketGateway.Open(Address);
        _gateway.SetTarget(this, 4);
        _gateway.Start();
    }

    private string Address => Path.Combine(_directory, "guest.sock");

    bool ISocketTarget.TryConnect(uint port)
    {
        _ports.Add(port);
        if (!_refuse)
        {
            _gateway.Attach(0);
            _connected.Release();
        }

        return !_refuse;
    }

    void ISocketTarget.OnReady(int channel, bool readable, bool writable) => _ready.Release();

    public void Dispose()
    {
        _gateway.Dispose();
        Assert.False(File.Exists(Address));
        Directory.Delete(_directory, recursive: true);
        _connected.Dispose();
        _ready.Dispose();
    }

    [Fact]
    public void SomebodyOnTheHostIsConnectedOnceTheGuestAccepts()
    {
        using Socket client = Dial("CONNECT 52\nhello");
        Assert.Equal([52u], _ports);
        Assert.True(_gateway.Accept(0, 0x4000_0001));
        Assert.Equal("OK 1073741825\n", Read(client, 14));
        Wait(_ready);
        Assert.Equal(SocketState.Open, _gateway.Receive(0, Buffers(3, 100), out int count));
        Assert.Equal("hello", Encoding.ASCII.GetString(_memory, 0, count));
        Assert.Equal(SocketState.Open, _gateway.Receive(0, Buffers(100), out count));
        Assert.Equal(0, count);
        client.Shutdown(SocketShutdown.Send);
        Wait(_ready);
        Assert.Equal(SocketState.Ended, _gateway.Receive(0, Buffers(100), out count));
        client.Close();
        Wait(_ready);
        Assert.Equal(SocketState.Gone, _gateway.Receive(0, Buffers(100), out count));
        _gateway.Close(0);
    }

    [Theory]
    [InlineData("CONNECT\n")]
    [InlineData("CONNECT x\n")]
    [InlineData("CONNECT 4294967296\n")]
    [InlineData("GET / HTTP/1.0\r\n")]
    [InlineData("CONNECT 1000000000000000000000000000000000000000000000000000")]
    public void WhoeverSaysSomethingElseIsCutOff(string line)
    {
        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(Address));
        client.Send(Encoding.ASCII.GetBytes(line));
        AssertCutOff(client);
        Assert.Empty(_ports);
    }

    [Fact]
    public void AGuestThatRefusesCutsTheCallerOff()
    {
        _refuse = true;
        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(Address));
        client.Send("CONNECT 1\n"u8);
        AssertCutOff(client);
    }

    [Fact]
    public void TheGuestReachesWhoeverListensForItsPort()
    {
        Assert.False(_gateway.Connect(1, 80));
        using Socket server = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        server.Bind(new UnixDomainSocketEndPoint($"{Address}_80"));
        server.Listen();
        Assert.True(_gateway.Connect(1, 80));
        using Socket accepted = server.Accept();
        byte[] content = new byte[_gateway.BufferLength];
        new Random(1).NextBytes(content);

        // More than the host's socket holds, so that some is kept, and the rest arrives once it is read.
        List<byte> sent = [];
        int outstanding = 0;
        while (outstanding == 0)
        {
            content.CopyTo(_memory, 0);
            Assert.True(_gateway.Send(1, Buffers(1, 100, content.Length - 101), out int taken));
            sent.AddRange(content);
            outstanding = content.Length - taken;
        }

        List<byte> got = [];
        byte[] part = new byte[1 << 16];
        while (got.Count < sent.Count)
        {
            got.AddRange(part.AsSpan(0, accepted.Receive(part)));
            if (outstanding > 0 && got.Count < sent.Count && accepted.Available == 0)
            {
                Wait(_ready);
                Assert.True(_gateway.Flush(1, out int taken));
                outstanding -= taken;
            }
        }

        Assert.Equal(0, outstanding);
        Assert.Equal(sent, got);
        _gateway.ShutDown(1, receive: false, send: true);
        Assert.Equal(0, accepted.Receive(part));
        accepted.Close();
        Assert.False(_gateway.Send(1, Buffers(10), out _));
        _gateway.Close(1);
        Assert.False(_gateway.Flush(1, out _));
    }

    [Fact]
    public void APathIsForOneMachine()
    {
        NetworkException e = Assert.Throws<NetworkException>(() => SocketGateway.Open(Address));
        Assert.Contains(Address, e.Message, StringComparison.Ordinal);
        string file = Path.Combine(_directory, "file");
        File.WriteAllText(file, "kept");
        Assert.Throws<NetworkException>(() => SocketGateway.Open(file));
        Assert.Equal("kept", File.ReadAllText(file));
        Assert.Throws<NetworkException>(() => SocketGateway.Open(Path.Combine(_directory, new string('x', 100))));
        Assert.Throws<NetworkException>(() => SocketGateway.Open("/nowhere/at/all"));
    }

    [Fact]
    public void ASocketThatAnotherProcessLeftMakesWay()
    {
        string path = Path.Combine(_directory, "left");
        using (Socket left = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            left.Bind(new UnixDomainSocketEndPoint(path));
            File.Move(path, path + ".kept");
        }

        File.Move(path + ".kept", path);
        Assert.True(File.Exists(path));
        SocketGateway.Open(path).Dispose();
        Assert.False(File.Exists(path));
    }

    private static void AssertCutOff(Socket client)
    {
        client.ReceiveTimeout = (int)Patience.TotalMilliseconds;
        try
        {
            Assert.Equal(0, client.Receive(new byte[16]));
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
        }
    }

    private static void Wait(SemaphoreSlim semaphore) => Assert.True(semaphore.Wait(Patience, TestContext.Current.CancellationToken), "Nothing happened.");

    private static string Read(Socket socket, int length)
    {
        byte[] bytes = new byte[length];
        int got = 0;
        while (got < length)
        {
            got += socket.Receive(bytes.AsSpan(got));
        }

        return Encoding.ASCII.GetString(bytes);
    }

    private Socket Dial(string text)
    {
        Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(Address));
        client.Send(Encoding.ASCII.GetBytes(text));
        Wait(_connected);
        return client;
    }

    private GuestBuffer[] Buffers(params int[] lengths)
    {
        List<GuestBuffer> buffers = [];
        int at = 0;
        foreach (int length in lengths)
        {
            buffers.Add(new GuestBuffer((ulong)at, Marshal.UnsafeAddrOfPinnedArrayElement(_memory, at), (uint)length));
            at += length;
        }

        return [.. buffers];
    }
}
