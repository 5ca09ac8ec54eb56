using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Memory;

/// <content>The saved state: what is wanted, which pages the guest has given, and how far it has been told; of a machine whose guest may get more, how much it has got, and whether it can.</content>
public sealed partial class DynamicMemoryService
{
    private const ushort AlignmentField = 13;
    private const ushort LimitField = 14;
    private const ushort RefusalsField = 15;

    void IVmBusDevice.Save(IStateWriter state)
    {
        state.Write(1, (ulong)_phase);
        state.Write(2, _target);
        state.Write(3, _due);
        state.Write(4, _rest);
        state.Write(5, _from);
        state.Write(6, (ulong)_transaction);
        state.Write(7, _available);
        state.Write(8, _committed);
        _given.Save(state, 9);
        if (_laterCount != 0)
        {
            state.Write(11, _added);
            state.Write(12, _adds);
            state.Write(AlignmentField, (ulong)_alignment);
            state.Write(LimitField, _hasLimit);
            state.Write(RefusalsField, (ulong)_refusals);
        }
    }

    bool IVmBusDevice.Restore(IStateReader state)
    {
        byte phase = 0;
        ulong target = 0;
        bool valid = state.TryTake(1, (byte)(_laterCount != 0 ? Phase.Adding : Phase.Returned), ref phase) & state.TryTake(2, ref target) & state.TryTake(3, ref _due) & state.TryTake(4, ref _rest) & state.TryTake(5, ref _from)
            & state.TryTake(6, ref _transaction) & state.TryTake(7, ref _available) & state.TryTake(8, ref _committed) & _given.Restore(state, 9)
            & (_laterCount == 0 || (state.TryTake(11, ref _added) & state.TryTake(12, ref _adds) & RestoreAdding(state)));
        _phase = (Phase)phase;
        _target = Math.Min(target, _memorySize) / GuestMemory.PageSize * GuestMemory.PageSize;
        valid = valid && (_channel is not null || (_phase == Phase.Silent && _given.Count == 0)) && _added <= _laterCount && (_phase != Phase.Adding || Missing > UnreachablePages);
        if (!valid)
        {
            _added = 0;
            Forget();
        }

        return valid;
    }

    // Machines that were saved before a guest could need longer pieces do not have these.
    private bool RestoreAdding(IStateReader state)
    {
        (_alignment, _hasLimit, _refusals, _pause) = (LeastAlignment, false, 0, 0);
        bool valid = !state.TryRead(AlignmentField, out _)
            || (state.TryTake(AlignmentField, AlignmentMask, ref _alignment) & state.TryTake(LimitField, ref _hasLimit) & state.TryTake(RefusalsField, MostRefusals, ref _refusals) && _alignment >= LeastAlignment);
        _pause = GetPause();
        return valid;
    }
}
