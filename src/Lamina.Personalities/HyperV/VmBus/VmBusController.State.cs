using System.Text;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <content>
/// The saved state of the bus: its version, what waits to be said, lists of pages, and which channels are open on which rings. The rings, with their indices, are in guest memory. Each device has a record of its
/// own, which is taken back after the bus's. Which device has which channels is saved with them, because devices may have come and gone; before that was so, they had them in the order in which they were added.
/// </content>
public sealed partial class VmBusController
{
    private const ushort SavedQueue = 256;
    private const ushort SavedLists = 1024;
    private const ushort SavedChannels = 2048;
    private const int SavedPerChannel = 16;

    private const int MaximumName = 64;

    // Who has a channel, and what becomes of it, are fields of its since this version.
    private const ulong NamesChannels = 1;
    private const byte Leaves = 1;
    private const byte LacksOffer = 2;
    private const byte LacksRescind = 4;

    // Of the saved version: the guest has not asked for offers yet.
    private const uint AwaitsRequest = 1u << 31;

    /// <summary>The records of the devices on the bus, to be saved and taken back after it. When all devices are there.</summary>
    public IReadOnlyList<IDevice> CreateDeviceStates()
    {
        List<IDevice> states = [];
        foreach (VmBusChannel? channel in Devices)
        {
            if (channel is not null)
            {
                states.Add(CreateDeviceState(channel.Device));
            }
        }

        return states;
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _version | (_version != 0 && _awaitsRequest ? AwaitsRequest : 0));
        state.Write(2, (ulong)(uint)_target);
        state.Write(3, (ulong)(uint)_queued);
        state.Write(4, NamesChannels);
        for (int i = 0; i < _queued; i++)
        {
            int place = (_first + i) % QueueLength;
            state.Write((ushort)(SavedQueue + i), _queue.AsSpan(place * SyntheticInterrupts.MaximumPayload, _lengths[place]));
        }

        _gpadls.Save(state, 5, SavedLists);
        for (int i = 0; i < DeviceChannels.Length; i++)
        {
            if (_channels[i] is not { } channel)
            {
                continue;
            }

            ushort field = (ushort)(SavedChannels + (i * SavedPerChannel));
            state.Write(field, channel.IsOpen);
            state.Write((ushort)(field + 1), (ulong)(uint)channel.Target);
            state.Write((ushort)(field + 2), (ulong)channel.Offer);
            state.Write((ushort)(field + 3), (ulong)(uint)channel.SubIndex);
            channel.Save(state, (ushort)(field + 4));
            state.Write((ushort)(field + 8), (ulong)((channel.IsLeaving ? Leaves : 0) | (channel.OwesOffer ? LacksOffer : 0) | (channel.OwesRescind ? LacksRescind : 0)));
            state.Write((ushort)(field + 9), Encoding.UTF8.GetBytes(channel.Device.Name));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        _gate.Enter();
        Disconnect();
        bool valid = Take(state);
        if (!valid)
        {
            Disconnect();
        }

        _gate.Exit();
        return valid;
    }

    /// <summary>Closes all channels of a device as a reset of the whole bus does. While nothing runs.</summary>
    internal void Reset(IVmBusDevice device)
    {
        _gate.Enter();
        for (int i = Channels.Length - 1; i >= 0; i--)
        {
            if (_channels[i] is { } channel && channel.Device == device)
            {
                Forget(channel);
            }
        }

        _gate.Exit();
        device.Drain();
    }

    /// <summary>A device's channel by its number; null if it is another's, or not open. With the lock held.</summary>
    internal VmBusChannel? FindOpen(IVmBusDevice device, uint number) => Find(number) is { IsOpen: true } channel && channel.Device == device ? channel : null;

    private bool Take(IStateReader state)
    {
        uint target = 0;
        byte queued = 0;
        bool valid = state.TryTake(1, ref _version) & state.TryTake(2, ref target) & state.TryTake(3, QueueLength, ref queued) & _gpadls.Restore(state, 5, SavedLists);
        _awaitsRequest = _version == 0 || (_version & AwaitsRequest) != 0;
        _version &= ~AwaitsRequest;
        valid &= _version == 0 || IsSupported(_version);
        _target = target < (uint)_hypervisor.ProcessorCount ? (int)target : 0;
        _first = _queued = 0;
        for (int i = 0; i < queued && valid; i++)
        {
            _lengths[i] = state.TryRead((ushort)(SavedQueue + i), _queue.AsSpan(i * SyntheticInterrupts.MaximumPayload, SyntheticInterrupts.MaximumPayload));
            valid = _lengths[i] >= 0;
            _queued = i + 1;
        }

        bool named = false;
        valid = valid && TakePlaces(state, out named);
        for (int i = 0; i < DeviceChannels.Length && valid; i++)
        {
            valid = _channels[i] is not { } channel || Take(channel, state, (ushort)(SavedChannels + (i * SavedPerChannel)), named);
        }

        return valid;
    }

    // Gives each device the channels that it had, if they were saved with their devices' names.
    private bool TakePlaces(IStateReader state, out bool named)
    {
        named = state.TryRead(4, out ulong version);
        VmBusChannel?[] places = new VmBusChannel?[FirstOnDemand];
        Span<byte> name = stackalloc byte[MaximumName];
        for (int i = 0; i < FirstOnDemand; i++)
        {
            ushort field = (ushort)(SavedChannels + (i * SavedPerChannel));
            int length = state.TryRead((ushort)(field + 9), name);
            if (length < 0 ? named && state.TryRead(field, out _) : !named || !TryPlace(places, i, Encoding.UTF8.GetString(name[..length])))
            {
                return false;
            }
        }

        if (!named)
        {
            return true;
        }

        foreach (VmBusChannel? channel in DeviceChannels)
        {
            if (channel is not null && Count(places, channel.Device) != Count(_channels.AsSpan(0, FirstOnDemand), channel.Device))
            {
                return false;
            }
        }

        places.CopyTo(_channels, 0);
        CountDevices();
        return version == NamesChannels;
    }

    private bool TryPlace(VmBusChannel?[] places, int place, string name)
    {
        VmBusChannel? primary = null;
        foreach (VmBusChannel? channel in place < MaximumDevices ? Devices : places.AsSpan(0, MaximumDevices))
        {
            primary = channel?.Device.Name == name ? channel : primary;
        }

        if (primary is not null)
        {
            places[place] = new VmBusChannel(_memory, _hypervisor, primary.Device, (uint)place + 1, place < MaximumDevices ? null : primary);
        }

        return primary is not null;
    }

    // How many first channels, and others, a device has.
    private static (int First, int Others) Count(ReadOnlySpan<VmBusChannel?> channels, IVmBusDevice device)
    {
        (int first, int others) = (0, 0);
        foreach (VmBusChannel? channel in channels)
        {
            if (channel?.Device == device)
            {
                (first, others) = channel.Primary is null ? (first + 1, others) : (first, others + 1);
            }
        }

        return (first, others);
    }

    private bool Take(VmBusChannel channel, IStateReader state, ushort field, bool named)
    {
        bool open = false;
        uint processor = 0;
        byte offer = 0;
        byte subIndex = 0;
        byte course = 0;
        bool valid = state.TryTake(field, ref open) & state.TryTake((ushort)(field + 1), ref processor) & state.TryTake((ushort)(field + 2), (byte)ChannelOffer.Withdrawn, ref offer)
            & state.TryTake((ushort)(field + 3), (byte)channel.Device.SubChannelCount, ref subIndex);
        valid &= !named || state.TryTake((ushort)(field + 8), Leaves | LacksOffer | LacksRescind, ref course);
        if (channel.Primary is not null)
        {
            (channel.Offer, channel.SubIndex) = ((ChannelOffer)offer, subIndex);
            valid &= (subIndex != 0 || channel.Offer == ChannelOffer.None) && (course & Leaves) == 0;
        }
        else if ((course & Leaves) != 0)
        {
            (channel.Offer, channel.IsLeaving) = ((ChannelOffer)offer, true);
            valid &= channel.Offer != ChannelOffer.Offered;
        }

        return valid && TakeCourse(channel, course) && (!open || channel.TryReopen(state, (ushort)(field + 4), (int)processor));
    }

    // What the guest is still to be told.
    private bool TakeCourse(VmBusChannel channel, byte course)
    {
        bool owesOffer = (course & LacksOffer) != 0;
        bool owesRescind = (course & LacksRescind) != 0;
        if ((owesOffer && channel.Offer != ChannelOffer.Offered) || (owesRescind && channel.Offer != ChannelOffer.Withdrawn))
        {
            return false;
        }

        (channel.OwesOffer, channel.OwesRescind) = (owesOffer, owesRescind);
        _owing += (owesOffer ? 1 : 0) + (owesRescind ? 1 : 0);
        return true;
    }
}
