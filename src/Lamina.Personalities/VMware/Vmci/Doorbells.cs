using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>Doorbells of the guest: each is a flag, a byte, in a page of the guest's, which goes up when somebody rings.</summary>
internal sealed class Doorbells(GuestMemory memory)
{
    /// <summary>Most of them.</summary>
    internal const int Count = 64;

    private const int Record = 16;
    private const uint Flag = 1;
    private readonly Doorbell[] _doorbells = new Doorbell[Count];
    private ulong _page;
    private bool _hasPage;

    internal void Reset()
    {
        _hasPage = false;
        Array.Clear(_doorbells);
    }

    /// <summary>Takes the page with the flags.</summary>
    internal VmciResult SetPage(ulong address)
    {
        bool valid = address % GuestMemory.PageSize == 0 && memory.GetHostAddress(address, GuestMemory.PageSize) != 0;
        (_page, _hasPage) = valid ? (address, true) : (_page, _hasPage);
        return valid ? VmciResult.Success : VmciResult.InvalidArguments;
    }

    /// <summary>Gives a doorbell its flag.</summary>
    internal VmciResult Link(VmciHandle handle, ulong index)
    {
        if (index >= GuestMemory.PageSize)
        {
            return VmciResult.InvalidArguments;
        }

        if (Find(handle) >= 0)
        {
            return VmciResult.AlreadyExists;
        }

        int free = Array.FindIndex(_doorbells, static d => !d.IsLinked);
        if (free < 0)
        {
            return VmciResult.NoResources;
        }

        _doorbells[free] = new Doorbell(true, handle, (ushort)index);
        return VmciResult.Success;
    }

    /// <summary>Takes it away.</summary>
    internal VmciResult Unlink(VmciHandle handle)
    {
        int place = Find(handle);
        if (place < 0)
        {
            return VmciResult.NotFound;
        }

        _doorbells[place] = default;
        return VmciResult.Success;
    }

    /// <summary>Puts its flag up.</summary>
    internal VmciResult Ring(VmciHandle handle)
    {
        int place = Find(handle);
        if (place < 0 || !_hasPage)
        {
            return VmciResult.NotFound;
        }

        ulong address = _page + _doorbells[place].Index;
        memory.TryOr(address & ~3UL, Flag << (int)((address & 3) * 8), out _);
        return VmciResult.Success;
    }

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> records = stackalloc byte[Count * Record];
        for (int i = 0; i < Count; i++)
        {
            Span<byte> record = records.Slice(i * Record, Record);
            record.Clear();
            _doorbells[i].Handle.Write(record);
            BinaryPrimitives.WriteUInt16LittleEndian(record[VmciHandle.Length..], _doorbells[i].Index);
            record[VmciHandle.Length + sizeof(ushort)] = _doorbells[i].IsLinked ? (byte)1 : (byte)0;
        }

        state.Write(field, records);
        state.Write((ushort)(field + 1), _page);
        state.Write((ushort)(field + 2), _hasPage);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> records = stackalloc byte[Count * Record];
        bool valid = state.TryTake(field, records) & state.TryTake((ushort)(field + 1), ref _page) & state.TryTake((ushort)(field + 2), ref _hasPage);
        for (int i = 0; i < Count && valid; i++)
        {
            ReadOnlySpan<byte> record = records.Slice(i * Record, Record);
            ushort index = BinaryPrimitives.ReadUInt16LittleEndian(record[VmciHandle.Length..]);
            _doorbells[i] = new Doorbell(record[VmciHandle.Length + sizeof(ushort)] != 0, VmciHandle.Read(record), index);
            valid = index < GuestMemory.PageSize;
        }

        return valid && (!_hasPage || (_page % GuestMemory.PageSize == 0 && memory.GetHostAddress(_page, GuestMemory.PageSize) != 0));
    }

    private int Find(VmciHandle handle)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_doorbells[i].IsLinked && _doorbells[i].Handle == handle)
            {
                return i;
            }
        }

        return -1;
    }

    private readonly record struct Doorbell(bool IsLinked, VmciHandle Handle, ushort Index);
}
