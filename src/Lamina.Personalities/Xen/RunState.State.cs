using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen;

/// <content>The saved state. Another host takes other time: what was taken before stays taken.</content>
internal sealed partial class RunState
{
    /// <summary>Writes five fields.</summary>
    internal void Save(IStateWriter state, ushort field, ulong now, ulong stolen)
    {
        state.Write(field, _first);
        state.Write((ushort)(field + 1), _second);
        state.Write((ushort)(field + 2), (ulong)(uint)_split);
        state.Write((ushort)(field + 3), _entered);
        state.Write((ushort)(field + 4), Math.Min(GetTaken(stolen), now - _entered));
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field, ulong now, ulong stolen)
    {
        byte split = 0;
        bool valid = state.TryTake(field, ref _first) & state.TryTake((ushort)(field + 1), ref _second) & state.TryTake((ushort)(field + 2), Length, ref split)
            & state.TryTake((ushort)(field + 3), ref _entered) & state.TryTake((ushort)(field + 4), ref _takenBefore);
        _split = split;
        _stolenBefore = stolen;
        return valid && _entered <= now && _takenBefore <= now - _entered
            && (split == 0 || (memory.GetHostAddress(_first, split) != 0 && (split == Length || memory.GetHostAddress(_second, (uint)(Length - split)) != 0)));
    }
}
