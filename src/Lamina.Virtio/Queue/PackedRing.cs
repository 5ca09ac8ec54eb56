using Lamina.Machine.Memory;

namespace Lamina.Virtio.Queue;

/// <summary>The packed layout (virtio 1.2, section 2.8).</summary>
internal sealed class PackedRing(GuestMemory memory) : Ring(memory)
{
    private const int EventLength = 4;
    private const int FlagsInEvent = 2;
    private const ushort EventsOn = 0;
    private const ushort EventsOff = 1;
    private const ushort EventAt = 2;
    private const ushort WrapBit = 0x8000;

    private ushort _next;
    private ushort _used;
    private bool _nextWrap;
    private bool _usedWrap;

    // What was pushed and is not to be seen yet: the flags of the first, which are written last.
    private ulong _heldFlagsAddress;
    private ushort _heldFlags;
    private ushort _publishedUsed;
    private bool _anyHeld;

    // Places that were taken, and those of them that were not shown as used: a driver has no others.
    private int _outstanding;
    private int _pushed;

    public override ulong Position => _next | ((ulong)_used << 16) | (_nextWrap ? 1UL << 32 : 0) | (_usedWrap ? 1UL << 33 : 0);

    public override PopResult Pop(DescriptorChain chain)
    {
        if (!IsAvailable(_next, _nextWrap, out bool readable))
        {
            return readable ? PopResult.Empty : PopResult.Broken;
        }

        Interlocked.MemoryBarrier();
        return Collect(chain) ? PopResult.Chain : PopResult.Broken;
    }

    public override void Unpop(DescriptorChain chain)
    {
        if (_next < chain.RingSlots)
        {
            _next += Size;
            _nextWrap = !_nextWrap;
        }

        _next -= chain.RingSlots;
        _outstanding -= chain.RingSlots;
    }

    public override void Push(ushort id, ushort ringSlots, uint written)
    {
        ulong at = DescriptorArea + (_used * (ulong)Descriptor.Size);
        ushort flags = (ushort)((_usedWrap ? DescriptorFlags.Available | DescriptorFlags.Used : DescriptorFlags.None) | (written != 0 ? DescriptorFlags.Write : DescriptorFlags.None));
        Memory.TryWrite(at + 8, written);
        Memory.TryWrite(at + 12, id);
        if (_anyHeld)
        {
            // The driver does not look here before it has seen the first.
            Memory.TryWrite(at + 14, flags);
        }
        else
        {
            _heldFlagsAddress = at + 14;
            _heldFlags = flags;
            _publishedUsed = _used;
            _anyHeld = true;
        }

        _pushed += ringSlots;
        _used += ringSlots;
        if (_used >= Size)
        {
            _used -= Size;
            _usedWrap = !_usedWrap;
        }
    }

    public override bool Publish()
    {
        if (!_anyHeld)
        {
            return false;
        }

        Interlocked.MemoryBarrier();
        Memory.TryWrite(_heldFlagsAddress, _heldFlags);
        _anyHeld = false;
        _outstanding -= _pushed;
        _pushed = 0;
        Interlocked.MemoryBarrier();
        if (!Memory.TryRead(DriverArea, out uint suppression))
        {
            return false;
        }

        ushort mode = (ushort)((suppression >> 16) & 3);
        if (mode != EventAt || !UsesEventIndex)
        {
            return mode == EventsOn;
        }

        // Positions of the last lap count as negative ones.
        ushort wanted = (ushort)(suppression & ~WrapBit);
        if (((suppression & WrapBit) != 0) != _usedWrap)
        {
            wanted -= Size;
        }

        ushort before = _publishedUsed;
        if (before >= _used)
        {
            before -= Size;
        }

        return IsEventIn(wanted, _used, before);
    }

    public override bool EnableNotifications()
    {
        if (UsesEventIndex)
        {
            Memory.TryWrite(DeviceArea, (uint)(_next | (_nextWrap ? WrapBit : 0)) | ((uint)EventAt << 16));
        }
        else
        {
            Memory.TryWrite(DeviceArea + FlagsInEvent, EventsOn);
        }

        Interlocked.MemoryBarrier();
        return IsAvailable(_next, _nextWrap, out _);
    }

    public override void DisableNotifications() => Memory.TryWrite(DeviceArea + FlagsInEvent, EventsOff);

    public override bool Seek(ulong position)
    {
        ushort next = (ushort)position;
        ushort used = (ushort)(position >> 16);
        if (position >> 34 != 0 || (Size != 0 && (next >= Size || used >= Size)))
        {
            return false;
        }

        _next = next;
        _used = used;
        _nextWrap = (position & (1UL << 32)) != 0;
        _usedWrap = (position & (1UL << 33)) != 0;
        _anyHeld = false;
        _outstanding = Math.Clamp(next - used + (_nextWrap == _usedWrap ? 0 : Size), 0, Size);
        _pushed = 0;
        return true;
    }

    protected override void Rewind() => Seek(3UL << 32);

    protected override ulong DriverAreaLength(ushort size) => EventLength;

    protected override ulong DeviceAreaLength(ushort size) => EventLength;

    private bool IsAvailable(ushort index, bool wrap, out bool readable)
    {
        readable = Memory.TryRead(DescriptorArea + (index * (ulong)Descriptor.Size) + 14, out ushort value);
        DescriptorFlags flags = (DescriptorFlags)value;
        bool available = (flags & DescriptorFlags.Available) != 0;
        bool used = (flags & DescriptorFlags.Used) != 0;
        return readable && available == wrap && used != wrap;
    }

    private bool Collect(DescriptorChain chain)
    {
        ushort index = _next;
        bool wrap = _nextWrap;
        chain.Begin(0);
        for (ushort slots = 1; slots <= Size - _outstanding; slots++)
        {
            if (!Memory.TryRead(DescriptorArea + (index * (ulong)Descriptor.Size), out Descriptor descriptor))
            {
                return false;
            }

            if (++index == Size)
            {
                index = 0;
                wrap = !wrap;
            }

            DescriptorFlags flags = (DescriptorFlags)descriptor.Fourth;
            if ((flags & DescriptorFlags.Indirect) != 0)
            {
                if (slots != 1 || (flags & DescriptorFlags.Next) != 0 || !CollectTable(chain, descriptor))
                {
                    return false;
                }
            }
            else if (!chain.TryAdd(descriptor, (flags & DescriptorFlags.Write) != 0))
            {
                return false;
            }

            if ((flags & DescriptorFlags.Next) == 0)
            {
                _outstanding += slots;
                chain.End(descriptor.Third, slots);
                _next = index;
                _nextWrap = wrap;
                return true;
            }
        }

        return false;
    }

    private bool CollectTable(DescriptorChain chain, in Descriptor table)
    {
        if (!UsesIndirect || table.Length == 0 || table.Length % Descriptor.Size != 0
            || table.Length / Descriptor.Size > chain.Capacity || Memory.GetHostAddress(table.Address, table.Length) == 0)
        {
            return false;
        }

        for (uint offset = 0; offset < table.Length; offset += Descriptor.Size)
        {
            Memory.TryRead(table.Address + offset, out Descriptor descriptor);
            if (!chain.TryAdd(descriptor, ((DescriptorFlags)descriptor.Fourth & DescriptorFlags.Write) != 0))
            {
                return false;
            }
        }

        return true;
    }
}
