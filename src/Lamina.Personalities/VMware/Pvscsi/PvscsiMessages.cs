using System.Buffers.Binary;
using System.Numerics;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>The ring of messages that tells the driver of disks that come and go (struct PVSCSIRingMsgDesc), whose indices are in the page of the other rings. The device's own index counts.</summary>
internal sealed class PvscsiMessages(GuestMemory memory)
{
    /// <summary>Words of the command that sets it up (struct PVSCSICmdDescSetupMsgRing).</summary>
    internal const int SetupWords = 2 + (2 * MaximumPages);

    /// <summary>A disk has come.</summary>
    internal const uint DeviceAdded = 0;

    /// <summary>A disk goes.</summary>
    internal const uint DeviceRemoved = 1;

    private const int MaximumPages = 16;
    private const int PageShift = 12;
    private const int MessagesPerPage = 32;
    private const int MessageLength = 128;
    private const ulong Producer = 128;
    private const ulong Consumer = 132;
    private const ulong Log = 136;
    private const ulong FrameMask = (1UL << 40) - 1;

    private readonly ulong[] _pages = new ulong[MaximumPages];
    private ulong _state;
    private uint _count;
    private uint _produced;

    internal void Reset() => _count = _produced = 0;

    /// <summary>Sets it up.</summary>
    /// <param name="words">The command's data.</param>
    /// <param name="state">The page with the indices; 0 if the other rings are not set up.</param>
    /// <returns><c>false</c> if it cannot be so.</returns>
    internal bool TrySetUp(ReadOnlySpan<uint> words, ulong state)
    {
        Reset();
        uint pages = words[0];
        if (state == 0 || pages > MaximumPages || !BitOperations.IsPow2(pages))
        {
            return false;
        }

        for (int i = 0; i < MaximumPages; i++)
        {
            _pages[i] = ((words[2 + (2 * i)] | ((ulong)words[3 + (2 * i)] << 32)) & FrameMask) << PageShift;
        }

        _state = state;
        _count = pages * MessagesPerPage;
        memory.TryWrite(_state + Producer, 0u);
        memory.TryWrite(_state + Consumer, 0u);
        return memory.TryWrite(_state + Log, (uint)BitOperations.Log2(_count));
    }

    /// <summary>Tells the driver something of the unit of a target.</summary>
    /// <param name="type">What.</param>
    /// <param name="target">Which.</param>
    /// <param name="index">The message, for <see cref="HasTaken"/>.</param>
    /// <returns><c>false</c> if there is no ring, or no room in it.</returns>
    internal bool TryPost(uint type, uint target, out uint index)
    {
        const int TargetOffset = 8;
        index = _produced;
        if (_count == 0 || !memory.TryRead(_state + Consumer, out uint consumer) || _produced - consumer >= _count)
        {
            return false;
        }

        Span<byte> message = stackalloc byte[MessageLength];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, type);
        BinaryPrimitives.WriteUInt32LittleEndian(message[TargetOffset..], target);
        uint place = _produced & (_count - 1);
        memory.TryWrite(_pages[place / MessagesPerPage] + (place % MessagesPerPage * MessageLength), message);
        Interlocked.MemoryBarrier();
        return memory.TryWrite(_state + Producer, ++_produced);
    }

    /// <summary>Whether the driver is done with a message: it counts those that it has acted on.</summary>
    internal bool HasTaken(uint index) => _count != 0 && memory.TryRead(_state + Consumer, out uint consumer) && _produced - consumer < _produced - index;

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> pages = stackalloc byte[MaximumPages * sizeof(ulong)];
        for (int i = 0; i < MaximumPages; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(pages[(i * sizeof(ulong))..], _pages[i]);
        }

        state.Write(field, pages);
        state.Write((ushort)(field + 1), _state);
        state.Write((ushort)(field + 2), (ulong)_count);
        state.Write((ushort)(field + 3), (ulong)_produced);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> pages = stackalloc byte[MaximumPages * sizeof(ulong)];
        bool valid = state.TryTake(field, pages) & state.TryTake((ushort)(field + 1), ref _state) & state.TryTake((ushort)(field + 2), ref _count) & state.TryTake((ushort)(field + 3), ref _produced);
        for (int i = 0; i < MaximumPages; i++)
        {
            _pages[i] = BinaryPrimitives.ReadUInt64LittleEndian(pages[(i * sizeof(ulong))..]);
        }

        return valid && (_count == 0 || (BitOperations.IsPow2(_count) && _count is >= MessagesPerPage and <= MaximumPages * MessagesPerPage));
    }
}
