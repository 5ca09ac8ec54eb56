using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <content>
/// Devices that come and go while the guest runs. One that comes is offered when the guest has asked for offers, and otherwise with the others. One that goes is closed and its offers are withdrawn, sub-channels first;
/// it is given up when the guest has released each channel that it knew (Linux, drivers/hv/channel_mgmt.c, vmbus_onoffer_rescind), and then makes room for another.
/// </content>
public sealed partial class VmBusController
{
    // Whether the guest hears of what comes and goes: before it has asked for offers, one would find Linux's driver without the place where it keeps channels.
    private bool IsListening => _version != 0 && !_awaitsRequest;

    /// <summary>Adds a device. Before the machine starts, or on the thread that starts and stops devices; without the lock.</summary>
    /// <returns><c>false</c> if there is no place.</returns>
    internal bool TryAdd(IVmBusDevice device)
    {
        _gate.Enter();
        int places = device.SubChannelCount * PlacesPerSubChannel;
        int place = FindPlace(0, MaximumDevices);
        bool added = place >= 0 && CountPlaces(MaximumDevices, FirstOnDemand) >= places;
        if (added)
        {
            VmBusChannel primary = Add(device, place, null);
            for (int i = 0; i < places; i++)
            {
                Add(device, FindPlace(MaximumDevices, FirstOnDemand), primary);
            }

            CountDevices();
            _gpadls.Extend(GetQuota(device));
            if (IsListening)
            {
                OweOffer(primary);
            }

            Flush();
        }

        bool runs = added && !_stopped;
        _gate.Exit();
        if (runs)
        {
            device.OnStarted();
        }

        return added;
    }

    /// <summary>The record of a device that has come while the machine runs.</summary>
    internal IDevice CreateDeviceState(IVmBusDevice device) => new VmBusDeviceState(this, device);

    /// <summary>Has the guest give a device up: nothing goes through its channels any more. Any thread; without the lock.</summary>
    internal void RequestRemoval(IVmBusDevice device)
    {
        _gate.Enter();
        for (int i = DeviceChannels.Length - 1; i >= 0; i--)
        {
            if (_channels[i] is { } channel && channel.Device == device)
            {
                (channel.Primary ?? channel).IsLeaving = true;
                Withdraw(channel);
            }
        }

        Flush();
        _gate.Exit();
        device.Drain();
    }

    /// <summary>Whether the guest was asked to give a device up. Any thread; without the lock.</summary>
    internal bool IsLeaving(IVmBusDevice device)
    {
        _gate.Enter();
        bool leaves = false;
        foreach (VmBusChannel? channel in Devices)
        {
            leaves |= channel is { IsLeaving: true } && channel.Device == device;
        }

        _gate.Exit();
        return leaves;
    }

    /// <summary>Whether it has: it knows none of the channels any more. Any thread; without the lock.</summary>
    internal bool IsGivenUp(IVmBusDevice device)
    {
        _gate.Enter();
        bool leaves = false;
        bool known = false;
        foreach (VmBusChannel? channel in DeviceChannels)
        {
            if (channel?.Device == device)
            {
                leaves |= channel.IsLeaving;
                known |= channel.Offer != ChannelOffer.None;
            }
        }

        _gate.Exit();
        return leaves && !known;
    }

    /// <summary>Takes a device away. On the thread that starts and stops devices; without the lock.</summary>
    internal void Remove(IVmBusDevice device)
    {
        _gate.Enter();
        for (int i = DeviceChannels.Length - 1; i >= 0; i--)
        {
            if (_channels[i] is { } channel && channel.Device == device)
            {
                Forget(channel);
                _gpadls.RemoveAll(channel.Number);
                _channels[i] = null;
            }
        }

        CountDevices();
        _gpadls.Reduce(GetQuota(device));
        _gate.Exit();
        device.OnStopping();
        device.Drain();
    }

    private static int GetQuota(IVmBusDevice device) => device.PageQuota + (device.SubChannelCount * PlacesPerSubChannel * device.SubChannelPages);

    // The first that is free; -1 if none is.
    private int FindPlace(int start, int end)
    {
        int place = start;
        while (place < end && _channels[place] is not null)
        {
            place++;
        }

        return place < end ? place : -1;
    }

    private int CountPlaces(int start, int end)
    {
        int count = 0;
        foreach (VmBusChannel? channel in _channels.AsSpan(start, end - start))
        {
            count += channel is null ? 1 : 0;
        }

        return count;
    }

    // How far the places go that are taken.
    private void CountDevices()
    {
        _deviceCount = _subChannelCount = 0;
        for (int i = 0; i < FirstOnDemand; i++)
        {
            if (_channels[i] is not null)
            {
                _deviceCount = i < MaximumDevices ? i + 1 : _deviceCount;
                _subChannelCount = i < MaximumDevices ? 0 : i - MaximumDevices + 1;
            }
        }
    }
}
