using System.Buffers.Binary;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A packet as it was copied from a ring (struct vmpacket_descriptor and what follows it).</summary>
internal readonly ref struct VmBusPacket
{
    /// <summary>Bytes of the descriptor.</summary>
    internal const int DescriptorLength = 16;

    /// <summary>Data in the packet.</summary>
    internal const ushort InBand = 6;

    /// <summary>Data that lies in parts of a buffer that was shared before.</summary>
    internal const ushort TransferPages = 7;

    /// <summary>Data in the packet, and pages that it names.</summary>
    internal const ushort GpaDirect = 9;

    /// <summary>An answer.</summary>
    internal const ushort Completion = 11;

    /// <summary>The flag of a packet that wants an answer.</summary>
    internal const ushort CompletionRequested = 1;

    private readonly ReadOnlySpan<byte> _bytes;
    private readonly int _offset;

    private VmBusPacket(ReadOnlySpan<byte> bytes, int offset)
    {
        _bytes = bytes;
        _offset = offset;
    }

    internal ushort Type => BinaryPrimitives.ReadUInt16LittleEndian(_bytes);

    internal bool WantsCompletion => (BinaryPrimitives.ReadUInt16LittleEndian(_bytes[6..]) & CompletionRequested) != 0;

    internal ulong TransactionId => BinaryPrimitives.ReadUInt64LittleEndian(_bytes[8..]);

    /// <summary>What lies between the descriptor and the data.</summary>
    internal ReadOnlySpan<byte> Header => _bytes[DescriptorLength.._offset];

    /// <summary>The data.</summary>
    internal ReadOnlySpan<byte> Data => _bytes[_offset..];

    /// <summary>Checks lengths.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> bytes, out VmBusPacket packet)
    {
        int offset = bytes.Length < DescriptorLength ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]) * 8;
        bool valid = offset >= DescriptorLength && offset <= bytes.Length;
        packet = valid ? new VmBusPacket(bytes, offset) : default;
        return valid;
    }
}
