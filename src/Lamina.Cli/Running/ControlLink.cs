using System.Buffers.Text;
using System.Text;
using Lamina.Machine.Backends;

namespace Lamina.Cli.Running;

/// <summary>
/// Reads what an image's first process says on the second serial port: lines, and after "out SIZE" and "err SIZE" that many bytes. Whoever is root in the guest can write
/// anything here; what is not understood is dropped.
/// </summary>
internal sealed class ControlLink(ICharacterOutput output, ICharacterOutput error) : ICharacterOutput
{
    private const int LongestLine = 64;
    private const int LargestFrame = 65536;
    private readonly byte[] _line = new byte[LongestLine];
    private int _lineLength;
    private int _remaining;
    private ICharacterOutput? _frameTarget;

    /// <summary>The shell or the command is about to start.</summary>
    public event Action? Ready;

    /// <summary>A block of input has been taken.</summary>
    public event Action? Taken;

    /// <summary>The command has ended, and all its output has come.</summary>
    public event Action<int>? Ended;

    /// <summary>Whether <see cref="Ready"/> has been raised.</summary>
    public bool IsReady { get; private set; }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            data = _remaining > 0 ? TakeFrame(data) : TakeLine(data);
        }
    }

    private ReadOnlySpan<byte> TakeFrame(ReadOnlySpan<byte> data)
    {
        int count = Math.Min(_remaining, data.Length);
        _frameTarget!.Write(data[..count]);
        _remaining -= count;
        return data[count..];
    }

    private ReadOnlySpan<byte> TakeLine(ReadOnlySpan<byte> data)
    {
        int end = data.IndexOf((byte)'\n');
        ReadOnlySpan<byte> part = end < 0 ? data : data[..end];

        // A line that is too long keeps a length that no line has, and is dropped at its end.
        int room = Math.Min(part.Length, LongestLine - Math.Min(_lineLength, LongestLine));
        part[..room].CopyTo(_line.AsSpan(Math.Min(_lineLength, LongestLine)));
        _lineLength = Math.Min(_lineLength + part.Length, LongestLine + 1);
        if (end < 0)
        {
            return [];
        }

        if (_lineLength <= LongestLine)
        {
            Understand(_line.AsSpan(0, _lineLength));
        }

        _lineLength = 0;
        return data[(end + 1)..];
    }

    private void Understand(ReadOnlySpan<byte> line)
    {
        line = line.EndsWith("\r"u8) ? line[..^1] : line;
        int space = line.IndexOf((byte)' ');
        ReadOnlySpan<byte> word = space < 0 ? line : line[..space];
        bool hasNumber = TryParse(space < 0 ? [] : line[(space + 1)..], out int number);
        switch (Encoding.ASCII.GetString(word))
        {
            case "ready" when !IsReady:
                IsReady = true;
                Ready?.Invoke();
                break;
            case "taken":
                Taken?.Invoke();
                break;
            case "out" when hasNumber && number <= LargestFrame:
                (_frameTarget, _remaining) = (output, number);
                break;
            case "err" when hasNumber && number <= LargestFrame:
                (_frameTarget, _remaining) = (error, number);
                break;
            case "status" when hasNumber && number <= byte.MaxValue:
                Ended?.Invoke(number);
                break;
        }
    }

    private static bool TryParse(ReadOnlySpan<byte> digits, out int number)
    {
        return Utf8Parser.TryParse(digits, out number, out int used) && used == digits.Length && number >= 0;
    }
}
