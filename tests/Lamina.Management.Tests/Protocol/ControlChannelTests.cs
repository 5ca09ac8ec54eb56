using System.Net.Sockets;
using System.Text;
using Lamina.Management.Protocol;

namespace Lamina.Management.Tests.Protocol;

/// <summary>Lines arrive whole however they are cut, and what follows a line belongs to the stream.</summary>
public sealed class ControlChannelTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"lamina-{Guid.NewGuid():N}");
    private readonly Socket _peer = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly ControlChannel _channel;

    public ControlChannelTests()
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(_path));
        listener.Listen();
        _peer.Connect(new UnixDomainSocketEndPoint(_path));
        _channel = new ControlChannel(listener.Accept());
    }

    public void Dispose()
    {
        _channel.Dispose();
        _peer.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void Bytes_behind_a_line_are_the_streams()
    {
        _peer.Send("one\ntwo\nthen bytes"u8);
        Assert.True(_channel.TryReadLine(out ReadOnlySpan<byte> one));
        Assert.Equal("one", Encoding.ASCII.GetString(one));
        Assert.True(_channel.TryReadLine(out ReadOnlySpan<byte> two));
        Assert.Equal("two", Encoding.ASCII.GetString(two));
        byte[] rest = new byte[10];
        Assert.Equal(10, _channel.Read(rest));
        Assert.Equal("then bytes", Encoding.ASCII.GetString(rest));
    }

    [Fact]
    public void A_line_may_come_in_pieces()
    {
        string text = new('x', 30000);
        _ = Task.Run(() =>
        {
            foreach (char c in text + "\n")
            {
                _peer.Send([(byte)c]);
            }
        });
        Assert.True(_channel.TryReadLine(out ReadOnlySpan<byte> line));
        Assert.Equal(text, Encoding.ASCII.GetString(line));
    }

    [Fact]
    public void A_line_without_end_is_refused()
    {
        _ = Task.Run(() =>
        {
            byte[] block = new byte[1024];
            for (int i = 0; i < 80; i++)
            {
                _peer.Send(block);
            }
        });
        Assert.Equal(ControlErrors.TooLong, Assert.Throws<ControlException>(() => _channel.TryReadLine(out _)).Code);
    }

    [Fact]
    public void The_end_in_the_middle_of_a_line_is_the_end()
    {
        _peer.Send("half"u8);
        _peer.Dispose();
        Assert.False(_channel.TryReadLine(out _));
    }

    [Fact]
    public void Writing_to_a_peer_that_has_gone_is_no_exception()
    {
        _peer.Dispose();
        bool all = true;
        for (int i = 0; i < 100 && all; i++)
        {
            all = _channel.TryWrite(new byte[10000]);
        }

        Assert.False(all);
    }
}
