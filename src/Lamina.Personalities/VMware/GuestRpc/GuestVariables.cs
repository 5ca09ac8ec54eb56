using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>
/// Values by name that programs of the guest's set and read, one record behind the other: the length of the name (2 bytes), that of the value (4), the name and the value. All together have as much room as on VMware's
/// hosts, where tools.setInfo.sizeLimit is 1 MiB if nobody has set it (vSphere Security, "Limit Informational Messages from Virtual Machines to VMX Files"); there are so many at most, because each search looks at all.
/// </summary>
internal sealed class GuestVariables
{
    /// <summary>Most variables.</summary>
    internal const int MaximumCount = 1024;

    /// <summary>Bytes of all records.</summary>
    internal const int Quota = 1 << 20;

    private const int HeaderLength = 6;
    private const int ValueLengthOffset = 2;

    // States of before: a field for the name and one for the value of each.
    private const int OldCount = 32;
    private const int OldMaximumName = 64;
    private const int OldMaximumValue = 1024;
    private const int RecordsField = 2 * OldCount;

    private readonly byte[] _records = new byte[Quota];
    private int _length;
    private int _count;

    internal void Clear() => (_length, _count) = (0, 0);

    /// <summary>The value of a name.</summary>
    /// <returns><c>false</c> if there is none.</returns>
    internal bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        int place = Find(name);
        value = place < 0 ? default : _records.AsSpan(place + HeaderLength + name.Length, GetLength(place) - HeaderLength - name.Length);
        return place >= 0;
    }

    /// <summary>Sets the value of a name.</summary>
    /// <returns><c>false</c> if there is no room; then it has the value that it had.</returns>
    internal bool TrySet(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        int place = Find(name);
        int freed = place < 0 ? 0 : GetLength(place);
        int needed = HeaderLength + name.Length + value.Length;
        if (name.Length is 0 or > ushort.MaxValue || needed > Quota - _length + freed || (place < 0 && _count == MaximumCount))
        {
            return false;
        }

        if (place >= 0)
        {
            _records.AsSpan((place + freed)..(_length)).CopyTo(_records.AsSpan(place));
            _length -= freed;
            _count--;
        }

        Span<byte> record = _records.AsSpan(_length, needed);
        BinaryPrimitives.WriteUInt16LittleEndian(record, (ushort)name.Length);
        BinaryPrimitives.WriteInt32LittleEndian(record[ValueLengthOffset..], value.Length);
        name.CopyTo(record[HeaderLength..]);
        value.CopyTo(record[(HeaderLength + name.Length)..]);
        _length += needed;
        _count++;
        return true;
    }

    internal void Save(IStateWriter state, ushort field) => state.Write((ushort)(field + RecordsField), _records.AsSpan(0, _length));

    /// <summary>Takes them back, also as they were written when there were fewer and shorter ones.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        Clear();
        int length = state.TryRead((ushort)(field + RecordsField), _records);
        if (length < 0)
        {
            return RestoreOld(state, field);
        }

        for (int place = 0; place < length; place += GetLength(place))
        {
            // Lengths are held against what is left before they are added up.
            int left = length - place - HeaderLength;
            int name = left < 0 ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(_records.AsSpan(place));
            int value = left < 0 ? 0 : BinaryPrimitives.ReadInt32LittleEndian(_records.AsSpan(place + ValueLengthOffset));
            if (name == 0 || name > left || value < 0 || value > left - name || _count == MaximumCount)
            {
                Clear();
                return false;
            }

            _count++;
        }

        _length = length;
        return true;
    }

    private bool RestoreOld(IStateReader state, ushort field)
    {
        Span<byte> name = stackalloc byte[OldMaximumName];
        Span<byte> value = stackalloc byte[OldMaximumValue];
        for (int i = 0; i < OldCount; i++)
        {
            int nameLength = state.TryRead((ushort)(field + (2 * i)), name);
            int valueLength = state.TryRead((ushort)(field + (2 * i) + 1), value);
            if (nameLength < 0 || valueLength < 0 || (nameLength > 0 && !TrySet(name[..nameLength], value[..valueLength])))
            {
                Clear();
                return false;
            }
        }

        return true;
    }

    private int GetLength(int place)
    {
        ReadOnlySpan<byte> header = _records.AsSpan(place, HeaderLength);
        return HeaderLength + BinaryPrimitives.ReadUInt16LittleEndian(header) + BinaryPrimitives.ReadInt32LittleEndian(header[ValueLengthOffset..]);
    }

    // Where a name's record begins; -1 if there is none.
    private int Find(ReadOnlySpan<byte> name)
    {
        for (int place = 0; place < _length; place += GetLength(place))
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(_records.AsSpan(place));
            if (name.SequenceEqual(_records.AsSpan(place + HeaderLength, length)))
            {
                return place;
            }
        }

        return -1;
    }
}
