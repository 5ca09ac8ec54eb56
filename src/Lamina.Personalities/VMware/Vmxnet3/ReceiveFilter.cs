using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>
/// Which frames a driver wants, by whom they are for: its own address, everybody, the groups of a list, all groups, or everything (struct Vmxnet3_RxFilterConf). The list is copied when the driver says that it is there,
/// because it takes the memory back then.
/// </summary>
internal sealed class ReceiveFilter
{
    /// <summary>Bytes of an address.</summary>
    internal const int AddressLength = 6;

    private const uint Unicast = 0x01;
    private const uint Groups = 0x02;
    private const uint Broadcast = 0x04;
    private const uint AllGroups = 0x08;
    private const uint Promiscuous = 0x10;

    // A driver that lists more gets all.
    private const int MostGroups = 512;

    private readonly byte[] _permanent;
    private readonly byte[] _address = new byte[AddressLength];
    private readonly byte[] _groups = new byte[MostGroups * AddressLength];
    private int _groupLength;
    private uint _mode = Promiscuous;

    internal ReceiveFilter(ReadOnlySpan<byte> permanent)
    {
        _permanent = permanent.ToArray();
        permanent.CopyTo(_address);
    }

    /// <summary>The address that the card has at a reset.</summary>
    internal ReadOnlySpan<byte> Permanent => _permanent;

    /// <summary>The address that it has now, for the driver to change. It outlives the driver's own resets.</summary>
    internal Span<byte> Address => _address;

    /// <summary>The card has its own address again.</summary>
    internal void Reset() => _permanent.CopyTo(_address.AsSpan());

    /// <summary>Takes the driver's mode, and its list if that is a new one.</summary>
    internal void Read(GuestMemory memory, ulong shared, bool withGroups)
    {
        // What is no RAM any more leaves the filter as it is.
        if (!memory.TryRead(shared + SharedArea.ReceiveMode, out uint mode)
            || !memory.TryRead(shared + SharedArea.GroupsLength, out ushort length) || !memory.TryRead(shared + SharedArea.Groups, out ulong address))
        {
            return;
        }

        _mode = mode;
        if (withGroups)
        {
            int whole = length / AddressLength * AddressLength;
            bool known = whole <= _groups.Length && (whole == 0 || memory.TryRead(address, _groups.AsSpan(0, whole)));
            _groupLength = known ? whole : -1;
        }
    }

    /// <summary>Whether the driver wants a frame.</summary>
    internal bool Wants(ReadOnlySpan<byte> frame)
    {
        if ((_mode & Promiscuous) != 0 || frame.Length < AddressLength)
        {
            return true;
        }

        ReadOnlySpan<byte> to = frame[..AddressLength];
        return (to[0] & 1) == 0 ? (_mode & Unicast) != 0 && to.SequenceEqual(_address)
            : to.IndexOfAnyExcept((byte)0xff) < 0 ? (_mode & Broadcast) != 0
            : (_mode & AllGroups) != 0 || ((_mode & Groups) != 0 && IsListed(to));
    }

    /// <summary>Writes three fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)_mode);
        state.Write((ushort)(field + 1), _address);

        // A list of an odd length stands for one that is too long.
        state.Write((ushort)(field + 2), _groupLength < 0 ? [0] : _groups.AsSpan(0, _groupLength));
    }

    /// <summary>Reads them. Before there was a filter, drivers got everything.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        (_mode, _groupLength) = (Promiscuous, 0);
        Reset();
        if (!state.TryRead(field, out _))
        {
            return true;
        }

        int length = state.TryRead((ushort)(field + 2), _groups);
        _groupLength = length % AddressLength == 0 ? length : -1;
        return state.TryTake(field, ref _mode) & state.TryTake((ushort)(field + 1), _address.AsSpan()) & length >= 0;
    }

    private bool IsListed(ReadOnlySpan<byte> address)
    {
        if (_groupLength < 0)
        {
            return true;
        }

        for (int at = 0; at < _groupLength; at += AddressLength)
        {
            if (address.SequenceEqual(_groups.AsSpan(at, AddressLength)))
            {
                return true;
            }
        }

        return false;
    }
}
