using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>The driver's side of a queue, of either layout, written from the specification and not from the device's code.</summary>
internal sealed class DriverQueue
{
    private readonly GuestRam _ram;
    private readonly bool _packed;
    private readonly bool _indirect;
    private readonly Dictionary<ushort, int> _slots = [];
    private readonly Stack<ushort> _free = [];
    private ushort _available;
    private ushort _used;
    private bool _availableWrap = true;
    private bool _usedWrap = true;

    public DriverQueue(GuestRam ram, ushort size, bool packed, bool indirect)
    {
        _ram = ram;
        _packed = packed;
        _indirect = indirect;
        Size = size;
        Descriptors = ram.Allocate(size * 16);
        Driver = ram.Allocate(packed ? 4 : 6 + (2 * size));
        Device = ram.Allocate(packed ? 4 : 6 + (8 * size));
        for (int i = size - 1; i >= 0; i--)
        {
            _free.Push((ushort)i);
        }
    }

    public ushort Size { get; }

    public ulong Descriptors { get; }

    public ulong Driver { get; }

    public ulong Device { get; }

    public QueueAddresses Addresses => new(Descriptors, Driver, Device);

    /// <summary>Makes a buffer available.</summary>
    /// <returns>Its name.</returns>
    public ushort Add((ulong Address, int Length)[] readable, (ulong Address, int Length)[] writable)
    {
        (ulong Address, int Length, bool Writable)[] parts =
            [.. readable.Select(p => (p.Address, p.Length, false)), .. writable.Select(p => (p.Address, p.Length, true))];
        return _packed ? AddPacked(parts) : AddSplit(parts);
    }

    /// <summary>Takes the next buffer that the device has used.</summary>
    public (ushort Id, uint Written)? Take()
    {
        if (_packed)
        {
            ulong at = Descriptors + (16UL * _used);
            ushort flags = _ram.Get<ushort>(at + 14);
            if (((flags & 0x80) != 0) != _usedWrap || ((flags & 0x8000) != 0) != _usedWrap)
            {
                return null;
            }

            ushort id = _ram.Get<ushort>(at + 12);
            Assert.True(_slots.Remove(id, out int slots), $"The device used buffer {id}, which it was not given.");
            _used += (ushort)slots;
            if (_used >= Size)
            {
                _used -= Size;
                _usedWrap = !_usedWrap;
            }

            return (id, _ram.Get<uint>(at + 8));
        }

        if (_ram.Get<ushort>(Device + 2) == _used)
        {
            return null;
        }

        ulong element = Device + 4 + (8UL * (uint)(_used % Size));
        uint head = _ram.Get<uint>(element);
        Assert.True(_slots.Remove((ushort)head, out int count), $"The device used buffer {head}, which it was not given.");
        ushort next = (ushort)head;
        for (int i = 0; i < count; i++)
        {
            _free.Push(next);
            next = _ram.Get<ushort>(Descriptors + (16UL * next) + 14);
        }

        _used++;
        return ((ushort)head, _ram.Get<uint>(element + 4));
    }

    /// <summary>Writes the driver's wish for interrupts: at the next used buffer, or never.</summary>
    public void WantInterrupts(bool wanted, bool eventIndex, int after = 0)
    {
        if (_packed)
        {
            int position = _used + after;
            bool wrap = _usedWrap;
            if (position >= Size)
            {
                position -= Size;
                wrap = !wrap;
            }

            _ram.Set(Driver, (ushort)(position | (wrap ? 0x8000 : 0)));
            _ram.Set(Driver + 2, (ushort)(!wanted ? 1 : eventIndex ? 2 : 0));
        }
        else if (eventIndex)
        {
            _ram.Set(Driver + 4 + (2UL * Size), (ushort)(wanted ? _used + after : _used - 1));
        }
        else
        {
            _ram.Set(Driver, (ushort)(wanted ? 0 : 1));
        }
    }

    private ushort AddSplit((ulong Address, int Length, bool Writable)[] parts)
    {
        ushort head = _free.Peek();
        if (_indirect)
        {
            ulong table = WriteTable(parts, chained: true);
            _free.Pop();
            Write(head, table, parts.Length * 16, 4, 0);
            _slots[head] = 1;
        }
        else
        {
            for (int i = 0; i < parts.Length; i++)
            {
                ushort index = _free.Pop();
                bool more = i + 1 < parts.Length;
                Write(index, parts[i].Address, parts[i].Length, (ushort)((more ? 1 : 0) | (parts[i].Writable ? 2 : 0)), more ? _free.Peek() : (ushort)0);
            }

            _slots[head] = parts.Length;
        }

        _ram.Set(Driver + 4 + (2UL * (uint)(_available % Size)), head);
        _ram.Set(Driver + 2, ++_available);
        return head;

        void Write(ushort index, ulong address, int length, ushort flags, ushort next)
        {
            ulong at = Descriptors + (16UL * index);
            _ram.Set(at, address);
            _ram.Set(at + 8, (uint)length);
            _ram.Set(at + 12, flags);
            _ram.Set(at + 14, next);
        }
    }

    private ushort AddPacked((ulong Address, int Length, bool Writable)[] parts)
    {
        ushort id = 0;
        while (_slots.ContainsKey(id))
        {
            id++;
        }

        if (_indirect)
        {
            parts = [(WriteTable(parts, chained: false), parts.Length * 16, false)];
        }

        _slots[id] = parts.Length;
        ulong firstFlags = 0;
        ushort first = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            ulong at = Descriptors + (16UL * _available);
            ushort flags = (ushort)((_indirect ? 4 : 0) | (i + 1 < parts.Length ? 1 : 0) | (parts[i].Writable ? 2 : 0) | (_availableWrap ? 0x80 : 0x8000));
            _ram.Set(at, parts[i].Address);
            _ram.Set(at + 8, (uint)parts[i].Length);
            _ram.Set(at + 12, id);
            if (i == 0)
            {
                (firstFlags, first) = (at + 14, flags);
            }
            else
            {
                _ram.Set(at + 14, flags);
            }

            if (++_available == Size)
            {
                _available = 0;
                _availableWrap = !_availableWrap;
            }
        }

        _ram.Set(firstFlags, first);
        return id;
    }

    private ulong WriteTable((ulong Address, int Length, bool Writable)[] parts, bool chained)
    {
        ulong table = _ram.Allocate(parts.Length * 16);
        for (int i = 0; i < parts.Length; i++)
        {
            bool more = chained && i + 1 < parts.Length;
            ulong at = table + (16UL * (uint)i);
            ushort flags = (ushort)((more ? 1 : 0) | (parts[i].Writable ? 2 : 0));
            _ram.Set(at, parts[i].Address);
            _ram.Set(at + 8, (uint)parts[i].Length);
            _ram.Set(at + 12, chained ? flags : (ushort)0);
            _ram.Set(at + 14, chained ? (ushort)(more ? i + 1 : 0) : flags);
        }

        return table;
    }
}
