using System.Text;
using Lamina.Machine.Backends;

namespace Lamina.Cli.Running;

/// <summary>Keeps the end of a hidden console, to be shown if the guest crashes.</summary>
internal sealed class ConsoleLog : ICharacterOutput
{
    private const int Capacity = 16384;
    private const int ShownLines = 20;
    private readonly byte[] _ring = new byte[Capacity];
    private readonly Lock _lock = new();
    private long _total;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            foreach (byte value in data)
            {
                _ring[_total++ % Capacity] = value;
            }
        }
    }

    /// <summary>The last lines: from a kernel's panic on, if there is one.</summary>
    public IReadOnlyList<string> GetLastLines()
    {
        lock (_lock)
        {
            int count = (int)Math.Min(_total, Capacity);
            byte[] text = new byte[count];
            for (int i = 0; i < count; i++)
            {
                text[i] = _ring[(_total - count + i) % Capacity];
            }

            string[] lines = Encoding.UTF8.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            int panic = Array.FindLastIndex(lines, l => l.Contains("Kernel panic", StringComparison.Ordinal) && !l.Contains("end Kernel panic", StringComparison.Ordinal));
            return lines[(panic >= 0 ? panic : Math.Max(0, lines.Length - ShownLines))..];
        }
    }
}
