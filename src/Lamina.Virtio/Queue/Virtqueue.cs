using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Virtio.Queue;

/// <summary>
/// One queue of a device: what the driver has set it up to be, and the ring while the device runs. Everything happens under the device's lock. A ring that no driver can have
/// written breaks the queue: it then gives nothing more until the device is reset.
/// </summary>
internal sealed class Virtqueue
{
    /// <summary>Message vector of a queue that has none.</summary>
    public const ushort NoVector = 0xffff;

    private readonly SplitRing _split;
    private readonly PackedRing _packed;
    private Ring? _ring;

    public Virtqueue(GuestMemory memory, ushort maximumSize)
    {
        _split = new SplitRing(memory);
        _packed = new PackedRing(memory);
        MaximumSize = maximumSize;
        Reset();
    }

    /// <summary>The size it has after reset: the largest.</summary>
    public ushort MaximumSize { get; }

    /// <summary>The size that the driver chose.</summary>
    public ushort Size { get; set; }

    /// <summary>Whether the driver has set it up.</summary>
    public bool Enabled { get; set; }

    /// <summary>The message that tells of used buffers.</summary>
    public ushort Vector { get; set; }

    /// <summary>Where it is.</summary>
    public QueueAddresses Addresses { get; set; }

    /// <summary>Whether the device runs and the queue with it.</summary>
    public bool IsActive => _ring is not null;

    /// <summary>Whether it was found broken. A device tells its driver.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The state after reset: not set up.</summary>
    public void Reset()
    {
        _ring = null;
        IsBroken = false;
        Size = MaximumSize;
        Enabled = false;
        Vector = NoVector;
        Addresses = default;
    }

    /// <summary>Begins work with the negotiated features, if the driver has set the queue up.</summary>
    public void Activate(ulong features)
    {
        if (!Enabled)
        {
            return;
        }

        bool packed = (features & TransportFeatures.PackedRing) != 0;
        Ring ring = packed ? _packed : _split;
        bool sized = Size is > 0 and <= 32768 && Size <= MaximumSize && (packed || (Size & (Size - 1)) == 0);
        IsBroken = !sized || !ring.Configure(Addresses, Size, features);
        _ring = IsBroken ? null : ring;
    }

    /// <summary>Takes the next buffer.</summary>
    public bool Pop(DescriptorChain chain)
    {
        if (_ring is null)
        {
            return false;
        }

        PopResult result = _ring.Pop(chain);
        if (result == PopResult.Broken)
        {
            Break();
        }

        return result == PopResult.Chain;
    }

    /// <summary>Puts a buffer back that was taken. In the opposite order of taking, and before any is pushed.</summary>
    public void Unpop(DescriptorChain chain) => _ring?.Unpop(chain);

    /// <summary>Returns a buffer with so many bytes written.</summary>
    public void Push(DescriptorChain chain, uint written) => _ring?.Push(chain.Id, chain.RingSlots, written);

    /// <summary>Returns a buffer by its name and places.</summary>
    public void Push(ushort id, ushort ringSlots, uint written) => _ring?.Push(id, ringSlots, written);

    /// <summary>Lets the driver see what was pushed.</summary>
    /// <returns>Whether it wants an interrupt.</returns>
    public bool Publish() => _ring is not null && _ring.Publish();

    /// <summary>Asks the driver to tell of buffers.</summary>
    /// <returns>Whether there are some already.</returns>
    public bool EnableNotifications() => _ring is not null && _ring.EnableNotifications();

    /// <summary>Says that the driver need not tell.</summary>
    public void DisableNotifications() => _ring?.DisableNotifications();

    /// <summary>A buffer does not hold what the device's protocol says: as a broken ring.</summary>
    public void Break()
    {
        IsBroken = true;
        _ring = null;
    }

    /// <summary>Writes it in six fields.</summary>
    public void Save(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, (ulong)Size | ((ulong)Vector << 16) | (Enabled ? 1UL << 32 : 0) | (IsActive ? 1UL << 33 : 0) | (IsBroken ? 1UL << 34 : 0));
        state.Write((ushort)(firstField + 1), Addresses.Descriptors);
        state.Write((ushort)(firstField + 2), Addresses.Driver);
        state.Write((ushort)(firstField + 3), Addresses.Device);
        state.Write((ushort)(firstField + 4), _ring is null ? 0 : _ring.Position);
    }

    /// <summary>Takes them back.</summary>
    public bool Restore(IStateReader state, ushort firstField, ulong features)
    {
        ulong bits = 0;
        ulong descriptors = 0;
        ulong driver = 0;
        ulong device = 0;
        ulong position = 0;
        bool complete = state.TryTake(firstField, ref bits) & state.TryTake((ushort)(firstField + 1), ref descriptors)
            & state.TryTake((ushort)(firstField + 2), ref driver) & state.TryTake((ushort)(firstField + 3), ref device) & state.TryTake((ushort)(firstField + 4), ref position);
        if (!complete || bits >> 35 != 0 || (ushort)bits > MaximumSize)
        {
            return false;
        }

        Reset();
        Size = (ushort)bits;
        Vector = (ushort)(bits >> 16);
        Enabled = (bits & (1UL << 32)) != 0;
        Addresses = new QueueAddresses(descriptors, driver, device);
        if ((bits & (1UL << 33)) != 0)
        {
            Activate(features);
            if (_ring is null || !_ring.Seek(position))
            {
                return false;
            }
        }

        IsBroken = (bits & (1UL << 34)) != 0;
        return true;
    }
}
