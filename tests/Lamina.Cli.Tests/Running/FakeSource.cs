using System.Text;
using Lamina.Cli.Running;

namespace Lamina.Cli.Tests.Running;

/// <summary>Input in the given pieces, then its end.</summary>
internal sealed class FakeSource(params string[] pieces) : IInputSource
{
    private readonly Queue<byte[]> _pieces = new(pieces.Select(Encoding.Latin1.GetBytes));

    public int Read(Span<byte> buffer)
    {
        if (_pieces.Count == 0)
        {
            return 0;
        }

        byte[] piece = _pieces.Dequeue();
        piece.CopyTo(buffer);
        return piece.Length;
    }
}
