using System.Buffers.Binary;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>A request descriptor as it was copied from the ring (struct PVSCSIRingReqDesc).</summary>
internal readonly ref struct PvscsiRequest(ReadOnlySpan<byte> descriptor)
{
    /// <summary>Bytes of one.</summary>
    internal const int Length = 128;

    private const uint ScatterGatherFlag = 1;
    private const uint OutOfBandFlag = 2;
    private const int CommandOffset = 40;
    private readonly ReadOnlySpan<byte> _descriptor = descriptor;

    internal ulong Context => BinaryPrimitives.ReadUInt64LittleEndian(_descriptor);

    internal ulong DataAddress => BinaryPrimitives.ReadUInt64LittleEndian(_descriptor[8..]);

    internal ulong DataLength => BinaryPrimitives.ReadUInt64LittleEndian(_descriptor[16..]);

    internal ulong SenseAddress => BinaryPrimitives.ReadUInt64LittleEndian(_descriptor[24..]);

    internal uint SenseLength => BinaryPrimitives.ReadUInt32LittleEndian(_descriptor[32..]);

    internal bool HasList => (Flags & ScatterGatherFlag) != 0;

    internal bool IsOutOfBand => (Flags & OutOfBandFlag) != 0;

    internal ReadOnlySpan<byte> Command => _descriptor.Slice(CommandOffset, 16);

    /// <summary>Logical unit number, in the addressing of peripheral devices.</summary>
    internal uint Unit => _descriptor[57] == 0 ? _descriptor[58] : uint.MaxValue;

    internal byte Bus => _descriptor[66];

    internal byte Target => _descriptor[67];

    private uint Flags => BinaryPrimitives.ReadUInt32LittleEndian(_descriptor[36..]);
}
