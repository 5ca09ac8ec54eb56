using Iced.Intel;

namespace Lamina.Verify;

/// <summary>Gives a decoder bytes, again and again.</summary>
internal sealed class ByteArrayReader(byte[] bytes) : CodeReader
{
    public int Position { get; set; }

    public override int ReadByte() => Position < bytes.Length ? bytes[Position++] : -1;
}
