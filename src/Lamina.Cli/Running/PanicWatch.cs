using System.Text;
using Lamina.Machine.Backends;

namespace Lamina.Cli.Running;

/// <summary>
/// Sees a Linux kernel's panic on its console while the image boots, when its driver for the panic device is not loaded yet. Once the image is ready the
/// console belongs to programs, and the watch ends.
/// </summary>
internal sealed class PanicWatch(ICharacterOutput inner) : ICharacterOutput
{
    private const int LongestLine = 200;
    private static readonly byte[] Sign = "Kernel panic - not syncing: "u8.ToArray();
    private readonly List<byte> _reason = [];
    private int _matched;
    private bool _done;

    /// <summary>The kernel panicked; the reason it gave.</summary>
    public event Action<string>? Panicked;

    /// <summary>Ends the watch.</summary>
    public void Stop() => _done = true;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        inner.Write(data);
        for (int i = 0; i < data.Length && !_done; i++)
        {
            Look(data[i]);
        }
    }

    private void Look(byte value)
    {
        if (_matched < Sign.Length)
        {
            // The sign's first letter occurs once in it, so a mismatch starts anew there or at the next byte.
            _matched = value == Sign[_matched] ? _matched + 1 : value == Sign[0] ? 1 : 0;
        }
        else if (value is (byte)'\n' or (byte)'\r' || _reason.Count == LongestLine)
        {
            _done = true;
            Panicked?.Invoke(Encoding.UTF8.GetString([.. _reason]));
        }
        else
        {
            _reason.Add(value);
        }
    }
}
