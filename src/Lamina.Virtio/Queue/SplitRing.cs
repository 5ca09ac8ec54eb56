using Lamina.Machine.Memory;

namespace Lamina.Virtio.Queue;

/// <summary>The split layout (virtio 1.2, section 2.7).</summary>
internal sealed class SplitRing(GuestMemory memory) : Ring(memory)
{
    private const ushort NoInterrupt = 1;
    private const ushort NoNotify = 1;
    private const int HeaderLength = 4;
    private const int UsedElementLength = 8;

    private ushort _nextAvailable;
    private ushort _seenAvailable;
    private ushort _nextUsed;
    private ushort _publishedUsed;

    public override ulong Position => _nextAvailable | ((ulong)_nextUsed << 16);

    public override PopResult Pop(DescriptorChain chain)
    {
        if (_nextAvailable == _seenAvailable)
        {
            // A driver has no more places than it was shown used ones of: one that fills its ring again and again does not keep the device here.
            if (!Memory.TryRead(DriverArea + 2, out ushort index) || (ushort)(index - _nextAvailable) > Size || (ushort)(index - _publishedUsed) > Size)
            {
                return PopResult.Broken;
            }

            // What the index covers was written before it.
            Interlocked.MemoryBarrier();
            _seenAvailable = index;
            if (index == _nextAvailable)
            {
                return PopResult.Empty;
            }
        }

        ulong slot = DriverArea + HeaderLength + (2UL * (uint)(_nextAvailable & (Size - 1)));
        if (!Memory.TryRead(slot, out ushort head) || head >= Size || !Collect(chain, head))
        {
            return PopResult.Broken;
        }

        _nextAvailable++;
        return PopResult.Chain;
    }

    public override void Unpop(DescriptorChain chain) => _nextAvailable--;

    public override void Push(ushort id, ushort ringSlots, uint written)
    {
        ulong slot = DeviceArea + HeaderLength + (UsedElementLength * (ulong)(uint)(_nextUsed & (Size - 1)));
        Memory.TryWrite(slot, id | ((ulong)written << 32));
        _nextUsed++;
    }

    public override bool Publish()
    {
        ushort before = _publishedUsed;
        if (before == _nextUsed)
        {
            return false;
        }

        Interlocked.MemoryBarrier();
        Memory.TryWrite(DeviceArea + 2, _nextUsed);
        _publishedUsed = _nextUsed;

        // The driver writes what it wants before it looks at the index again; so the index has to be out before we read it.
        Interlocked.MemoryBarrier();
        if (UsesEventIndex)
        {
            return Memory.TryRead(DriverArea + HeaderLength + (2UL * Size), out ushort wanted) && IsEventIn(wanted, _nextUsed, before);
        }

        return Memory.TryRead(DriverArea, out ushort flags) && (flags & NoInterrupt) == 0;
    }

    public override bool EnableNotifications()
    {
        if (UsesEventIndex)
        {
            Memory.TryWrite(DeviceArea + HeaderLength + (UsedElementLength * (ulong)Size), _nextAvailable);
        }
        else
        {
            Memory.TryWrite(DeviceArea, (ushort)0);
        }

        Interlocked.MemoryBarrier();
        return Memory.TryRead(DriverArea + 2, out ushort index) && index != _nextAvailable;
    }

    public override void DisableNotifications()
    {
        // With event indices the last one asked for lies behind us.
        if (!UsesEventIndex)
        {
            Memory.TryWrite(DeviceArea, NoNotify);
        }
    }

    public override bool Seek(ulong position)
    {
        if (position > uint.MaxValue)
        {
            return false;
        }

        _nextAvailable = (ushort)position;
        _seenAvailable = _nextAvailable;
        _nextUsed = (ushort)(position >> 16);
        _publishedUsed = _nextUsed;
        return true;
    }

    protected override void Rewind() => Seek(0);

    protected override ulong DriverAreaLength(ushort size) => HeaderLength + (2UL * size) + (UsesEventIndex ? 2UL : 0);

    protected override ulong DeviceAreaLength(ushort size) => HeaderLength + (UsedElementLength * (ulong)size) + (UsesEventIndex ? 2UL : 0);

    private bool Collect(DescriptorChain chain, ushort head)
    {
        ulong table = DescriptorArea;
        uint limit = Size;
        uint index = head;
        bool indirect = false;
        chain.Begin(head);
        for (uint steps = 0; steps < limit; steps++)
        {
            if (index >= limit || !Memory.TryRead(table + (index * Descriptor.Size), out Descriptor descriptor))
            {
                return false;
            }

            DescriptorFlags flags = (DescriptorFlags)descriptor.Third;
            if ((flags & DescriptorFlags.Indirect) != 0)
            {
                // A table stands at the end of a chain, and has none inside.
                bool valid = UsesIndirect && !indirect && (flags & DescriptorFlags.Next) == 0 && descriptor.Length != 0 && descriptor.Length % Descriptor.Size == 0;
                if (!valid || descriptor.Length / Descriptor.Size > chain.Capacity || Memory.GetHostAddress(descriptor.Address, descriptor.Length) == 0)
                {
                    return false;
                }

                table = descriptor.Address;
                limit = descriptor.Length / Descriptor.Size;
                index = 0;
                indirect = true;
                steps = uint.MaxValue;
                continue;
            }

            if (!chain.TryAdd(descriptor, (flags & DescriptorFlags.Write) != 0))
            {
                return false;
            }

            if ((flags & DescriptorFlags.Next) == 0)
            {
                return true;
            }

            index = descriptor.Fourth;
        }

        return false;
    }
}
