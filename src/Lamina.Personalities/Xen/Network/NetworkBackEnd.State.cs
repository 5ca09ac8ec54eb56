using Lamina.Machine.Backends;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Network;

/// <content>The saved state: what the front end takes, and the queues.</content>
public sealed partial class NetworkBackEnd
{
    /// <inheritdoc/>
    private protected override void SaveQueues(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)(uint)_queueCount);
        state.Write((ushort)(field + 1), (ulong)_offloads);
        for (int i = 0; i < _queueCount; i++)
        {
            _queues[i].Save(state, (ushort)(field + SavedQueues + (i * NetworkQueue.SavedFields)));
        }
    }

    /// <inheritdoc/>
    private protected override bool RestoreQueues(IStateReader state, ushort field, bool mayBeOpen)
    {
        const NetworkOffloads Known = NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;
        byte count = 0;
        byte offloads = 0;
        bool valid = state.TryTake(field, (byte)(mayBeOpen ? _queues.Length : 0), ref count) & state.TryTake((ushort)(field + 1), ref offloads) && ((NetworkOffloads)offloads & ~Known) == 0;
        for (int i = 0; i < count && valid; i++)
        {
            valid = _queues[i].Restore(state, (ushort)(field + SavedQueues + (i * NetworkQueue.SavedFields)));
        }

        if (valid && count > 0)
        {
            Serve(count, (NetworkOffloads)offloads);
        }

        return valid;
    }
}
