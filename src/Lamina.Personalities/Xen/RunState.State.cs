using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen;

/// <content>
/// The saved state. Another host takes other time: what was taken before stays taken. States of before know no times but when counting began and what was taken; so do those that read these.
/// </content>
internal sealed partial class RunState
{
    private const int SavedLength = (3 + StateCount) * sizeof(ulong);

    /// <summary>Writes five fields, and another if times are counted.</summary>
    internal void Save(IStateWriter state, ushort field, ushort timesField, ulong now, ulong stolen)
    {
        ulong sum = 0;
        foreach (ulong time in _times)
        {
            sum += time;
        }

        state.Write(field, _first);
        state.Write((ushort)(field + 1), _second);
        state.Write((ushort)(field + 2), (ulong)(uint)_split);
        state.Write((ushort)(field + 3), Math.Min(_entered - sum, now));
        state.Write((ushort)(field + 4), _times[(int)RunStateKind.Runnable]);
        if (!IsCounting)
        {
            return;
        }

        Owe(stolen);
        Span<byte> times = stackalloc byte[SavedLength];
        BinaryPrimitives.WriteUInt64LittleEndian(times, (ulong)_state);
        BinaryPrimitives.WriteUInt64LittleEndian(times[8..], _entered);
        BinaryPrimitives.WriteUInt64LittleEndian(times[16..], _owed);
        for (int i = 0; i < StateCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(times[(24 + (i * sizeof(ulong)))..], _times[i]);
        }

        state.Write(timesField, times);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field, ushort timesField, ulong now, ulong stolen)
    {
        byte split = 0;
        ulong began = 0;
        ulong taken = 0;
        Reset();
        bool valid = state.TryTake(field, ref _first) & state.TryTake((ushort)(field + 1), ref _second) & state.TryTake((ushort)(field + 2), Length, ref split)
            & state.TryTake((ushort)(field + 3), ref began) & state.TryTake((ushort)(field + 4), ref taken)
            && began <= now && taken <= now - began
            && (split == 0 || (memory.GetHostAddress(_first, split) != 0 && (split == Length || memory.GetHostAddress(_second, (uint)(Length - split)) != 0)));
        Span<byte> times = stackalloc byte[SavedLength];
        IsCounting = state.TryRead(timesField, times) == SavedLength;
        if (valid && IsCounting)
        {
            valid = TryTake(times, began, now);
        }
        else if (valid)
        {
            // All else was spent running.
            IsCounting = split != 0;
            _times[(int)RunStateKind.Runnable] = taken;
            _times[(int)RunStateKind.Running] = now - began - taken;
            _entered = now;
        }

        (_split, _stolenBefore) = (split, stolen);
        if (!valid)
        {
            Reset();
        }

        return valid;
    }

    // The sum of all times is what has passed since it began.
    private bool TryTake(ReadOnlySpan<byte> times, ulong began, ulong now)
    {
        ulong kind = BinaryPrimitives.ReadUInt64LittleEndian(times);
        _entered = BinaryPrimitives.ReadUInt64LittleEndian(times[8..]);
        _owed = BinaryPrimitives.ReadUInt64LittleEndian(times[16..]);
        UInt128 sum = 0;
        for (int i = 0; i < StateCount; i++)
        {
            _times[i] = BinaryPrimitives.ReadUInt64LittleEndian(times[(24 + (i * sizeof(ulong)))..]);
            sum += _times[i];
        }

        _state = (RunStateKind)(kind & 3);
        return kind is (ulong)RunStateKind.Running or (ulong)RunStateKind.Blocked or (ulong)RunStateKind.Offline
            && _entered <= now && _owed <= long.MaxValue && sum + began == _entered;
    }
}
