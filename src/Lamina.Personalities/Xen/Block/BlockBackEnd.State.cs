using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Block;

/// <content>The saved state: rings and their channels, and the grants that are kept. Every request that was taken has been answered; the others are in the rings.</content>
public sealed partial class BlockBackEnd
{
    private const int SavedPerQueue = 8;
    private const int SavedGrants = 1;

    /// <inheritdoc/>
    private protected override void SaveQueues(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)(uint)_queueCount);
        _kept.Save(state, (ushort)(field + SavedGrants));
        for (int i = 0; i < _queueCount; i++)
        {
            ushort at = (ushort)(field + SavedQueues + (i * SavedPerQueue));
            Domain.Events.SaveEnd(state, at, _queues[i].Port, _queues[i]);
            _queues[i].Ring.Save(state, (ushort)(at + 2));
        }
    }

    /// <inheritdoc/>
    private protected override bool RestoreQueues(IStateReader state, ushort field, bool mayBeOpen)
    {
        byte count = 0;
        bool valid = state.TryTake(field, (byte)(mayBeOpen ? _queueLimit : 0), ref count);
        for (int i = 0; i < count && valid; i++)
        {
            ushort at = (ushort)(field + SavedQueues + (i * SavedPerQueue));
            valid = Domain.Events.RestoreEnd(state, at, _queues[i], out uint port) & _queues[i].Ring.Restore(state, (ushort)(at + 2));
            _queues[i].Port = port;
        }

        valid = valid && (count == 0 || _kept.Restore(state, (ushort)(field + SavedGrants)));
        _queueCount = valid ? count : 0;
        return valid;
    }
}
