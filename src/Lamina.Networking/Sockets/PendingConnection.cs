using System.Globalization;
using System.Text;
using Lamina.Interop.Networks;

namespace Lamina.Networking.Sockets;

/// <summary>Somebody on the host who has connected, and has not said to which port: reads the line "CONNECT PORT", and nothing behind it.</summary>
internal sealed class PendingConnection(OwnedDescriptor socket)
{
    private const int MaximumLine = 32;
    private const string Word = "CONNECT ";
    private readonly byte[] _line = new byte[MaximumLine];
    private int _length;

    public OwnedDescriptor Socket { get; } = socket;

    /// <summary>Reads what there is of the line.</summary>
    /// <param name="port">The port.</param>
    /// <returns>Whether the line is complete; null if it is none, or its sender has gone.</returns>
    public bool? TryRead(out uint port)
    {
        port = 0;
        while (true)
        {
            int count = Socket.Read(_line.AsSpan(_length, 1), out int error);
            if (count <= 0)
            {
                return error == Interop.ErrorNumber.TryAgain ? false : null;
            }

            if (_line[_length] == (byte)'\n')
            {
                string line = Encoding.Latin1.GetString(_line, 0, _length);
                return line.StartsWith(Word, StringComparison.OrdinalIgnoreCase) && uint.TryParse(line.AsSpan(Word.Length), NumberStyles.None, CultureInfo.InvariantCulture, out port) ? true : null;
            }

            if (++_length == MaximumLine)
            {
                return null;
            }
        }
    }
}
