using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <content>
/// The saved state of the bus: its version, what waits to be said, lists of pages, and which channels are open on which rings. The rings, with their indices, are in guest memory. Each device has a record of its
/// own, which is taken back after the bus's.
/// </content>
public sealed partial class VmBusController
{
    private const ushort SavedQueue = 256;
    private const ushort SavedLists = 1024;
    private const ushort SavedChannels = 2048;
    private const int SavedPerChannel = 16;

    // Of the saved version: the guest has not asked for offers yet.
    private const uint AwaitsRequest = 1u << 31;

    /// <summary>The records of the devices on the bus, to be saved and taken back after it. When all devices are there.</summary>
    public IReadOnlyList<IDevice> CreateDeviceStates()
    {
        IDevice[] states = new IDevice[_deviceCount];
        for (int i = 0; i < states.Length; i++)
        {
            states[i] = new VmBusDeviceState(this, _channels[i]!.Device);
        }

        return states;
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _version | (_version != 0 && _awaitsRequest ? AwaitsRequest : 0));
        state.Write(2, (ulong)(uint)_target);
        state.Write(3, (ulong)(uint)_queued);
        for (int i = 0; i < _queued; i++)
        {
            int place = (_first + i) % QueueLength;
            state.Write((ushort)(SavedQueue + i), _queue.AsSpan(place * SyntheticInterrupts.MaximumPayload, _lengths[place]));
        }

        _gpadls.Save(state, SavedLists);
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
        bool valid = state.TryTake(1, ref _version) & state.TryTake(2, ref target) & state.TryTake(3, QueueLength, ref queued) & _gpadls.Restore(state, SavedLists);
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

        for (int i = 0; i < DeviceChannels.Length && valid; i++)
        {
            valid = _channels[i] is not { } channel || Take(channel, state, (ushort)(SavedChannels + (i * SavedPerChannel)));
        }

        return valid;
    }

    private bool Take(VmBusChannel channel, IStateReader state, ushort field)
    {
        bool open = false;
        uint processor = 0;
        byte offer = 0;
        byte subIndex = 0;
        bool valid = state.TryTake(field, ref open) & state.TryTake((ushort)(field + 1), ref processor) & state.TryTake((ushort)(field + 2), (byte)ChannelOffer.Withdrawn, ref offer)
            & state.TryTake((ushort)(field + 3), (byte)channel.Device.SubChannelCount, ref subIndex);
        if (channel.Primary is not null)
        {
            (channel.Offer, channel.SubIndex) = ((ChannelOffer)offer, subIndex);
            valid &= subIndex != 0 || channel.Offer == ChannelOffer.None;
        }

        return valid && (!open || channel.TryReopen(state, (ushort)(field + 4), (int)processor));
    }
}
