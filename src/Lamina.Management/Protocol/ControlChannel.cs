using System.Net.Sockets;

namespace Lamina.Management.Protocol;

/// <summary>
/// One end of a control connection: lines first, a stream of bytes after them. What the other end sent behind a line is not lost. One thread reads and another may write.
/// </summary>
public sealed class ControlChannel : IDisposable
{
    private const byte LineFeed = (byte)'\n';
    private readonly Socket _socket;
    private byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;

    /// <summary>Takes a connected socket over.</summary>
    public ControlChannel(Socket socket)
    {
        _socket = socket;
    }

    /// <summary>The socket, for what goes beside its bytes.</summary>
    public SafeSocketHandle Handle => _socket.SafeHandle;

    /// <summary>Whether nothing was received that nobody has read yet.</summary>
    public bool IsEmpty => _start == _end;

    /// <summary>Reads a line.</summary>
    /// <param name="line">The line without its end, valid until the next read.</param>
    /// <returns>Whether there was one: <c>false</c> at the connection's end, be it in the middle of a line.</returns>
    /// <exception cref="ControlException">It is too long.</exception>
    public bool TryReadLine(out ReadOnlySpan<byte> line)
    {
        int seen = 0;
        while (true)
        {
            int length = _buffer.AsSpan(_start + seen, _end - _start - seen).IndexOf(LineFeed);
            if (length >= 0)
            {
                line = _buffer.AsSpan(_start, seen + length);
                _start += seen + length + 1;
                return true;
            }

            seen = _end - _start;
            if (seen > ControlProtocol.MaximumLineLength)
            {
                throw new ControlException(ControlErrors.TooLong, $"A line has at most {ControlProtocol.MaximumLineLength} bytes.");
            }

            MakeRoom();
            int count = Receive(_buffer.AsSpan(_end));
            if (count == 0)
            {
                line = default;
                return false;
            }

            _end += count;
        }
    }

    /// <summary>Reads bytes of a stream.</summary>
    /// <returns>How many; 0 at its end.</returns>
    public int Read(Span<byte> buffer)
    {
        if (_start == _end)
        {
            return Receive(buffer);
        }

        int count = Math.Min(_end - _start, buffer.Length);
        _buffer.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
        return count;
    }

    /// <summary>Writes all bytes.</summary>
    /// <returns>Whether that was possible; otherwise the other end has gone.</returns>
    public bool TryWrite(ReadOnlySpan<byte> data)
    {
        try
        {
            while (!data.IsEmpty)
            {
                data = data[_socket.Send(data, SocketFlags.None)..];
            }

            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Says that no more is written here. The other end reads the end of the stream.</summary>
    public void EndWriting() => ShutDown(SocketShutdown.Send);

    /// <summary>Ends both directions: a thread that reads or writes here returns. Any thread.</summary>
    public void Abort() => ShutDown(SocketShutdown.Both);

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void ShutDown(SocketShutdown direction)
    {
        try
        {
            _socket.Shutdown(direction);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The other end was quicker.
        }
    }

    private int Receive(Span<byte> buffer)
    {
        try
        {
            return _socket.Receive(buffer, SocketFlags.None);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    private void MakeRoom()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        if (_end == _buffer.Length)
        {
            Array.Resize(ref _buffer, 2 * _buffer.Length);
        }
    }
}
