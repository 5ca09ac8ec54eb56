using Lamina.Machine.Backends;
using Lamina.Vmm.Events;

namespace Lamina.Vmm;

/// <summary>The outside end of a guest's serial port: what is written here is typed into the guest. Any thread.</summary>
public sealed class SerialPort : ICharacterInputReady
{
    private readonly ICharacterInput _input;
    private readonly Posting _feed;
    private readonly Lock _lock = new();
    private byte[] _bytes = new byte[256];
    private int _start;
    private int _count;

    internal SerialPort(ICharacterInput input, EventLoop loop)
    {
        _input = input;
        _feed = new Posting(loop, Feed);
        input.SetReadyTarget(this);
    }

    /// <summary>Whether everything that was written has been taken by the guest's port.</summary>
    public bool InputDrained
    {
        get
        {
            lock (_lock)
            {
                return _count == 0;
            }
        }
    }

    /// <summary>Queues bytes for the guest, any number; they are fed as fast as it reads them. Does not wait.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        lock (_lock)
        {
            if (_start + _count + data.Length > _bytes.Length)
            {
                byte[] moved = _count + data.Length > _bytes.Length / 2 ? new byte[2 * (_count + data.Length)] : _bytes;
                _bytes.AsSpan(_start, _count).CopyTo(moved);
                _bytes = moved;
                _start = 0;
            }

            data.CopyTo(_bytes.AsSpan(_start + _count));
            _count += data.Length;
        }

        _feed.Schedule();
    }

    /// <inheritdoc/>
    void ICharacterInputReady.OnInputReady() => _feed.Schedule();

    // On the event loop. The port may call OnInputReady from Receive: that only asks for another round.
    private void Feed()
    {
        Span<byte> chunk = stackalloc byte[256];
        while (true)
        {
            int offered;
            lock (_lock)
            {
                offered = Math.Min(_count, chunk.Length);
                _bytes.AsSpan(_start, offered).CopyTo(chunk);
            }

            int taken = offered == 0 ? 0 : _input.Receive(chunk[..offered]);
            if (taken == 0)
            {
                return;
            }

            lock (_lock)
            {
                _count -= taken;
                _start = _count == 0 ? 0 : _start + taken;
            }
        }
    }
}
