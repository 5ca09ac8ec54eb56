using System.Text;
using Lamina.Machine.Backends;

namespace Lamina.Vmm.Serial;

/// <summary>Keeps the latest bytes in memory, for tests and for programs that embed a machine.</summary>
/// <param name="capacity">How many bytes are kept at least; older ones are dropped.</param>
public sealed class MemoryCharacterOutput(int capacity = 16 << 20) : ICharacterOutput
{
    private readonly Lock _lock = new();
    private byte[] _bytes = new byte[4096];
    private int _count;
    private long _total;

    /// <summary>Raised after each write, on the writer's thread (a vCPU): do not wait in it.</summary>
    public event Action? Written;

    /// <summary>Bytes written so far, dropped ones included.</summary>
    public long TotalWritten => Volatile.Read(ref _total);

    /// <summary>What is kept, as UTF-8 text.</summary>
    public string Text
    {
        get
        {
            lock (_lock)
            {
                return Encoding.UTF8.GetString(_bytes, 0, _count);
            }
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            _total += data.Length;
            if (_count + data.Length > _bytes.Length)
            {
                MakeRoom(data.Length);
            }

            data.CopyTo(_bytes.AsSpan(_count));
            _count += data.Length;
        }

        Written?.Invoke();
    }

    /// <summary>A copy of what is kept.</summary>
    public byte[] ToArray()
    {
        lock (_lock)
        {
            return _bytes.AsSpan(0, _count).ToArray();
        }
    }

    private void MakeRoom(int length)
    {
        int largest = (int)Math.Min(2L * Math.Max(capacity, length), Array.MaxLength);
        if (_bytes.Length < largest)
        {
            Array.Resize(ref _bytes, Math.Min(largest, Math.Max(2 * _bytes.Length, _count + length)));
        }

        if (_count + length > _bytes.Length)
        {
            int kept = Math.Min(_count, _bytes.Length - length);
            kept = Math.Min(kept, capacity);
            _bytes.AsSpan(_count - kept, kept).CopyTo(_bytes);
            _count = kept;
        }
    }
}
