using Lamina.Machine.Memory;

namespace Lamina.Virtio.Queue;

/// <summary>One of the two layouts of a queue. Everything in it is the driver's, and may be anything at any time: each structure is copied once, then checked.</summary>
internal abstract class Ring
{
    protected Ring(GuestMemory memory)
    {
        Memory = memory;
    }

    /// <summary>Number of places.</summary>
    public ushort Size { get; private set; }

    /// <summary>Where the ring has got to, as it is saved.</summary>
    public abstract ulong Position { get; }

    protected GuestMemory Memory { get; }

    protected ulong DescriptorArea { get; private set; }

    protected ulong DriverArea { get; private set; }

    protected ulong DeviceArea { get; private set; }

    protected bool UsesEventIndex { get; private set; }

    protected bool UsesIndirect { get; private set; }

    /// <summary>Begins at the start of the ring.</summary>
    /// <returns><c>false</c> if a part of it is not RAM.</returns>
    public bool Configure(QueueAddresses addresses, ushort size, ulong features)
    {
        Size = size;
        DescriptorArea = addresses.Descriptors;
        DriverArea = addresses.Driver;
        DeviceArea = addresses.Device;
        UsesEventIndex = (features & TransportFeatures.EventIndex) != 0;
        UsesIndirect = (features & TransportFeatures.IndirectDescriptors) != 0;
        Rewind();
        return Memory.GetHostAddress(DescriptorArea, (ulong)size * Descriptor.Size) != 0
            && Memory.GetHostAddress(DriverArea, DriverAreaLength(size)) != 0
            && Memory.GetHostAddress(DeviceArea, DeviceAreaLength(size)) != 0;
    }

    /// <summary>Takes the next buffer.</summary>
    public abstract PopResult Pop(DescriptorChain chain);

    /// <summary>Gives back the buffer that was taken last, as if it had not been taken.</summary>
    public abstract void Unpop(DescriptorChain chain);

    /// <summary>Returns a buffer to the driver, who does not see it before <see cref="Publish"/>.</summary>
    public abstract void Push(ushort id, ushort ringSlots, uint written);

    /// <summary>Lets the driver see what was pushed.</summary>
    /// <returns>Whether it wants to be told.</returns>
    public abstract bool Publish();

    /// <summary>Asks the driver to tell when it makes buffers available.</summary>
    /// <returns>Whether it has done so already.</returns>
    public abstract bool EnableNotifications();

    /// <summary>Says that the driver need not tell.</summary>
    public abstract void DisableNotifications();

    /// <summary>Goes to a saved position.</summary>
    /// <returns><c>false</c> if the ring has none such.</returns>
    public abstract bool Seek(ulong position);

    protected abstract void Rewind();

    protected abstract ulong DriverAreaLength(ushort size);

    protected abstract ulong DeviceAreaLength(ushort size);

    /// <summary>Whether an event at <paramref name="wanted"/> lies in what was done since <paramref name="before"/> (virtio 1.2, section 2.7.10).</summary>
    protected static bool IsEventIn(ushort wanted, ushort now, ushort before) => (ushort)(now - wanted - 1) < (ushort)(now - before);
}
