using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>Which tagged frames (802.1Q) a driver wants: a bit for each network, unless it wants everything (struct Vmxnet3_RxFilterConf).</summary>
internal sealed class VlanFilter
{
    /// <summary>Bytes that a tag takes in a frame.</summary>
    internal const int TagLength = 4;

    /// <summary>Where it is.</summary>
    internal const int TagOffset = 12;

    private const ushort Tagged = 0x8100;
    private const uint Promiscuous = 0x10;
    private const int TableLength = 512;
    private const int NetworkMask = 0xfff;
    private readonly byte[] _table = new byte[TableLength];
    private bool _all = true;

    /// <summary>Takes the driver's settings.</summary>
    internal void Read(GuestMemory memory, ulong shared)
    {
        // What is no RAM any more leaves the filter as it is.
        if (memory.TryRead(shared + SharedArea.ReceiveMode, out uint mode) && memory.TryRead(shared + SharedArea.VlanTable, _table))
        {
            _all = (mode & Promiscuous) != 0;
        }
    }

    /// <summary>Finds a frame's tag.</summary>
    internal static bool TryGetTag(ReadOnlySpan<byte> frame, out ushort tag)
    {
        bool tagged = frame.Length >= TagOffset + TagLength && BinaryPrimitives.ReadUInt16BigEndian(frame[TagOffset..]) == Tagged;
        tag = tagged ? BinaryPrimitives.ReadUInt16BigEndian(frame[(TagOffset + sizeof(ushort))..]) : (ushort)0;
        return tagged;
    }

    /// <summary>Whether the driver wants frames with a tag.</summary>
    internal bool Wants(ushort tag)
    {
        int network = tag & NetworkMask;
        return _all || (_table[network >> 3] & (1 << (network & 7))) != 0;
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _table);
        state.Write((ushort)(field + 1), _all);
    }

    /// <summary>Reads it. Before there was one, drivers got everything.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        _all = true;
        return !state.TryRead((ushort)(field + 1), out _) || (state.TryTake((ushort)(field + 1), ref _all) && state.TryTake(field, _table.AsSpan()));
    }
}
