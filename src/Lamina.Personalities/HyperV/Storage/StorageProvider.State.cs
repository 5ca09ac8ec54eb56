using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Storage;

/// <content>
/// The saved state. When it is written, every request that was under way has ended: its data is in guest memory or on the disk, and its answer in a ring. What had no room there is saved, and answered later. A disk that
/// was to go, and has not gone, stays: the driver is told to look again.
/// </content>
public sealed partial class StorageProvider
{
    private const ushort SavedAnswers = 16;
    private const int SavedPerAnswer = 3;

    void IVmBusDevice.Save(IStateWriter state)
    {
        ulong grown = 0;
        ulong ended = 0;
        bool announces = _announces;
        for (int i = 0; i < _changes.Length; i++)
        {
            grown |= _changes[i].HasGrown ? 1UL << i : 0;
            announces |= _changes[i].Leaves;
        }

        for (int i = 0; i < RequestSlots; i++)
        {
            if (_slots[i] == Slot.Ended && _origins[i] is { } channel)
            {
                ushort field = (ushort)(SavedAnswers + (i * SavedPerAnswer));
                ended |= 1UL << i;
                state.Write(field, (ulong)channel.Number);
                state.Write((ushort)(field + 1), _transactions[i]);
                state.Write((ushort)(field + 2), _packets[i]);
            }
        }

        state.Write(1, announces);
        state.Write(2, grown);
        state.Write(3, ended);
    }

    bool IVmBusDevice.Restore(IStateReader state)
    {
        ulong grown = 0;
        ulong ended = 0;
        bool valid = state.TryTake(1, ref _announces) & state.TryTake(2, ref grown) & state.TryTake(3, ref ended);
        for (int i = 0; i < _changes.Length; i++)
        {
            _shown[i] = _disks[i];
            _changes[i] = new Change { HasGrown = _disks[i] is not null && (grown & (1UL << i)) != 0 };
        }

        Array.Clear(_slots);
        Array.Clear(_origins);
        for (int i = 0; i < RequestSlots && valid; i++)
        {
            valid = (ended & (1UL << i)) == 0 || TakeAnswer(state, i, (ushort)(SavedAnswers + (i * SavedPerAnswer)));
        }

        if (!valid)
        {
            _announces = false;
            Array.Clear(_slots);
            Array.Clear(_origins);
        }

        return valid;
    }

    private bool TakeAnswer(IStateReader state, int tag, ushort field)
    {
        uint number = 0;
        bool valid = state.TryTake(field, ref number) & state.TryTake((ushort)(field + 1), ref _transactions[tag]) & state.TryTake((ushort)(field + 2), _packets[tag].AsSpan());
        if (!valid || _bus.FindOpen(this, number) is not { } channel)
        {
            return false;
        }

        (_slots[tag], _origins[tag]) = (Slot.Ended, channel);
        return true;
    }
}
