using System.Buffers.Binary;

namespace Lamina.Boot.Tests.Images;

/// <summary>Makes a bzImage whose "kernel" is a given payload.</summary>
internal sealed class LinuxImageBuilder
{
    private readonly byte[] _bytes;

    public LinuxImageBuilder(int payloadLength = 0x1000, int setupSectors = 4)
    {
        _bytes = new byte[(setupSectors + 1) * 512 + payloadLength];
        PayloadOffset = (setupSectors + 1) * 512;
        for (int i = 0; i < payloadLength; i++)
        {
            _bytes[PayloadOffset + i] = (byte)(i * 7 + 1);
        }

        Byte(0x1f1, (byte)setupSectors);
        DoubleWord(0x1f4, (uint)(payloadLength / 16));
        Word(0x1fe, 0xaa55);
        Word(0x200, 0x6aeb);
        DoubleWord(0x202, 0x5372_6448);
        Word(0x206, 0x20f);
        Byte(0x211, 1);
        DoubleWord(0x214, 0x10_0000);
        DoubleWord(0x22c, 0x7fff_ffff);
        DoubleWord(0x230, 0x20_0000);
        Byte(0x234, 1);
        Word(0x236, 0x7f);
        DoubleWord(0x238, 2047);
        QuadWord(0x258, 0x100_0000);
        DoubleWord(0x260, 0x10_0000);
    }

    public int PayloadOffset { get; }

    public ReadOnlySpan<byte> Payload => _bytes.AsSpan(PayloadOffset);

    public LinuxImageBuilder Byte(int offset, byte value)
    {
        _bytes[offset] = value;
        return this;
    }

    public LinuxImageBuilder Word(int offset, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public LinuxImageBuilder DoubleWord(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public LinuxImageBuilder QuadWord(int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public byte[] ToBytes() => (byte[])_bytes.Clone();

    public BootImage ToImage() => BootImage.FromBytes(_bytes, "vmlinuz");
}
