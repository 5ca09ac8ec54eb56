using Lamina.Machine.Devices;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>Values by name that programs of the guest's set and read. There is room for so many, and for so many bytes of each.</summary>
internal sealed class GuestVariables
{
    private const int Count = 32;
    private const int MaximumName = 64;
    private const int MaximumValue = 1024;

    private readonly byte[][] _names = new byte[Count][];
    private readonly byte[][] _values = new byte[Count][];
    private readonly int[] _nameLengths = new int[Count];
    private readonly int[] _valueLengths = new int[Count];

    internal GuestVariables()
    {
        for (int i = 0; i < Count; i++)
        {
            _names[i] = new byte[MaximumName];
            _values[i] = new byte[MaximumValue];
        }
    }

    internal void Clear() => Array.Clear(_nameLengths);

    /// <summary>The value of a name.</summary>
    /// <returns><c>false</c> if there is none.</returns>
    internal bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        int place = Find(name);
        value = place < 0 || name.IsEmpty ? default : _values[place].AsSpan(0, _valueLengths[place]);
        return place >= 0 && !name.IsEmpty;
    }

    /// <summary>Sets the value of a name.</summary>
    /// <returns><c>false</c> if it is too long, or there is no room.</returns>
    internal bool TrySet(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (name.Length is 0 or > MaximumName || value.Length > MaximumValue)
        {
            return false;
        }

        int place = Find(name);
        place = place < 0 ? Find([]) : place;
        if (place < 0)
        {
            return false;
        }

        name.CopyTo(_names[place]);
        value.CopyTo(_values[place]);
        (_nameLengths[place], _valueLengths[place]) = (name.Length, value.Length);
        return true;
    }

    internal void Save(IStateWriter state, ushort field)
    {
        for (int i = 0; i < Count; i++)
        {
            state.Write((ushort)(field + (2 * i)), _names[i].AsSpan(0, _nameLengths[i]));
            state.Write((ushort)(field + (2 * i) + 1), _values[i].AsSpan(0, _nameLengths[i] == 0 ? 0 : _valueLengths[i]));
        }
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        bool valid = true;
        for (int i = 0; i < Count; i++)
        {
            int name = state.TryRead((ushort)(field + (2 * i)), _names[i]);
            int value = state.TryRead((ushort)(field + (2 * i) + 1), _values[i]);
            valid &= name >= 0 && value >= 0;
            (_nameLengths[i], _valueLengths[i]) = (Math.Max(name, 0), Math.Max(value, 0));
        }

        return valid;
    }

    // An empty name is that of a free place.
    private int Find(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < Count; i++)
        {
            if (name.SequenceEqual(_names[i].AsSpan(0, _nameLengths[i])))
            {
                return i;
            }
        }

        return -1;
    }
}
