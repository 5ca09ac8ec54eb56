using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Network;

/// <summary>
/// A network card (virtio 1.2, section 5.1) with a pair of queues for each line of its wire, and a control queue. What the wire can leave to the guest, or take over from it, is offered as
/// features. The guest's packets go to the wire from the thread that notifies; arriving ones come on the line's thread, and wait there while the guest has no buffers. Only the first
/// pair is in use until the driver asks for more.
/// </summary>
public sealed partial class NetworkDevice : VirtioDevice
{
    /// <summary>Most pairs of queues of a card.</summary>
    public const int MaximumQueuePairs = 8;

    private const ushort QueueSize = 256;
    private const int MaximumParts = 64;
    private const int MaximumMerged = 64;
    private const int MergedParts = 32;
    private const int AddressLength = 6;
    private const int BufferCountOffset = 10;
    private const int ConfigurationLength = 12;
    private const byte LinkUp = 1;

    private readonly QueuePair[] _pairs;
    private readonly INetworkBackend _backend;
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private readonly DescriptorChain _transmit;
    private readonly DescriptorChain[] _receive;
    private bool _linkUp = true;
    private int _activePairs = 1;

    // What the driver has asked for since it has been ready; null for all that was agreed on.
    private ulong? _guestOffloads;

    /// <summary>Makes a card.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="lines">The wire, which this card is connected to here: 1 to <see cref="MaximumQueuePairs"/> lines that can the same, each for a pair of queues.</param>
    /// <param name="address">Hardware address, 6 bytes.</param>
    public NetworkDevice(string name, ILock gate, GuestMemory memory, ReadOnlySpan<INetworkBackend> lines, ReadOnlySpan<byte> address)
        : base(name, DeviceType.Network, gate, memory, (2 * lines.Length) + 1, QueueSize)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(address.Length, AddressLength);
        ArgumentOutOfRangeException.ThrowIfLessThan(lines.Length, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lines.Length, MaximumQueuePairs);
        _backend = lines[0];
        address.CopyTo(_configuration);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(6), LinkUp);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(8), (ushort)lines.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(10), (ushort)_backend.MaximumTransmissionUnit);
        _transmit = new DescriptorChain(memory, MaximumParts);
        _control = new DescriptorChain(memory, MaximumParts);
        _receive = new DescriptorChain[MaximumMerged];
        for (int i = 0; i < MaximumMerged; i++)
        {
            _receive[i] = new DescriptorChain(memory, MergedParts);
        }

        _pairs = new QueuePair[lines.Length];
        for (int i = 0; i < lines.Length; i++)
        {
            _pairs[i] = new QueuePair(this, i, lines[i]);
            lines[i].SetReceiver(_pairs[i]);
        }

        EnableLines();
    }

    internal override ulong DeviceFeatures =>
        NetworkFeatures.Mac | NetworkFeatures.Status | NetworkFeatures.MergeableBuffers | NetworkFeatures.ControlQueue | NetworkFeatures.ControlReceive
        | (_pairs.Length > 1 ? NetworkFeatures.Multiqueue : 0)
        | (_backend.MaximumTransmissionUnit != 0 ? NetworkFeatures.Mtu : 0)
        | (Can(NetworkOffloads.Checksum) ? NetworkFeatures.Checksum | NetworkFeatures.GuestChecksum | NetworkFeatures.ControlGuestOffloads : 0)
        | (Can(NetworkOffloads.SegmentTcp4) ? NetworkFeatures.HostTcp4 | NetworkFeatures.GuestTcp4 : 0)
        | (Can(NetworkOffloads.SegmentTcp6) ? NetworkFeatures.HostTcp6 | NetworkFeatures.GuestTcp6 : 0);

    // Section 5.1.2: without the feature there is one pair, and the control queue follows that.
    private int UsablePairs => Has(NetworkFeatures.Multiqueue) ? _pairs.Length : 1;

    /// <summary>A packet has come on a pair's line, on its thread.</summary>
    internal bool TryReceive(QueuePair pair, ReadOnlySpan<byte> packet)
    {
        Gate.Enter();
        bool taken = true;
        if (IsServing && pair.Index < _activePairs && Queues[pair.ReceiveQueue].IsActive)
        {
            taken = Deliver(Queues[pair.ReceiveQueue], packet);
            pair.ReceiverWaits = !taken;
            CheckQueues();
        }

        Gate.Exit();
        return taken;
    }

    /// <summary>A pair's line, which had refused a packet, can take packets again.</summary>
    internal void OnTransmitReady(QueuePair pair)
    {
        Gate.Enter();
        if (IsServing && pair.Index < UsablePairs)
        {
            Transmit(pair);
            CheckQueues();
        }

        Gate.Exit();
    }

    /// <summary>The wire was cut, or mended. All of its lines tell.</summary>
    internal void OnLinkChanged(bool up)
    {
        Gate.Enter();
        if (up != _linkUp)
        {
            _linkUp = up;
            BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(6), up ? LinkUp : (ushort)0);
            ChangeConfiguration();
        }

        Gate.Exit();
    }

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length && offset + (uint)i < ConfigurationLength; i++)
        {
            data[i] = _configuration[offset + (uint)i];
        }
    }

    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
    }

    // Section 5.1.3.1: what needs what.
    private protected override bool AcceptsFeatures(ulong features)
    {
        bool guest = (features & (NetworkFeatures.GuestTcp4 | NetworkFeatures.GuestTcp6)) == 0 || (features & NetworkFeatures.GuestChecksum) != 0;
        bool host = (features & (NetworkFeatures.HostTcp4 | NetworkFeatures.HostTcp6)) == 0 || (features & NetworkFeatures.Checksum) != 0;
        const ulong Commands = NetworkFeatures.ControlReceive | NetworkFeatures.ControlGuestOffloads | NetworkFeatures.Multiqueue;
        bool control = (features & Commands) == 0 || (features & NetworkFeatures.ControlQueue) != 0;
        return guest && host && control;
    }

    private protected override void StartBackend()
    {
        foreach (QueuePair pair in _pairs)
        {
            pair.Line.Start();
        }
    }

    private protected override void StopBackend()
    {
        foreach (QueuePair pair in _pairs)
        {
            pair.Line.Stop();
        }
    }

    private protected override void OnRunning()
    {
        SetReceiveOffloads(_guestOffloads ?? Features);
        for (int i = 0; i < _activePairs; i++)
        {
            Transmit(_pairs[i]);
            _pairs[i].Line.ResumeReceive();
        }
    }

    private protected override void OnNotified(int queue)
    {
        if (queue == 2 * UsablePairs)
        {
            Control(Queues[queue]);
        }
        else if (queue < 2 * UsablePairs)
        {
            QueuePair pair = _pairs[queue / 2];
            if (queue == pair.TransmitQueue)
            {
                Transmit(pair);
            }
            else if (pair.ReceiverWaits)
            {
                pair.ReceiverWaits = false;
                pair.Line.ResumeReceive();
            }
        }
    }

    private protected override bool TryQuiesce()
    {
        _activePairs = 1;
        _guestOffloads = null;
        EnableLines();
        foreach (QueuePair pair in _pairs)
        {
            // A packet that waits for buffers is dropped when it is offered again.
            pair.ReceiverWaits = false;
            pair.Line.ResumeReceive();
            pair.Line.SetReceiveOffloads(NetworkOffloads.None);
        }

        return true;
    }

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, _linkUp);
        if (_pairs.Length > 1)
        {
            state.Write((ushort)(firstField + 1), (ulong)_activePairs);
        }

        if (_guestOffloads is { } offloads)
        {
            state.Write((ushort)(firstField + 2), offloads);
        }
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField)
    {
        // The link is what it is here. A state without a number of pairs is of a card that had one.
        bool saved = false;
        ulong active = 1;
        bool valid = state.TryTake(firstField, ref saved);
        if (state.TryRead((ushort)(firstField + 1), out ulong given))
        {
            active = given;
        }

        _guestOffloads = state.TryRead((ushort)(firstField + 2), out given) ? given : null;
        if (active == 0 || active > (ulong)UsablePairs || (_guestOffloads & ~Features) is not (null or 0))
        {
            return false;
        }

        _activePairs = (int)active;
        EnableLines();
        return valid;
    }

    private bool Can(NetworkOffloads offload) => (_backend.Offloads & offload) != 0;

    private void SetReceiveOffloads(ulong features)
    {
        NetworkOffloads offloads = ((features & NetworkFeatures.GuestChecksum) != 0 ? NetworkOffloads.Checksum : 0)
            | ((features & NetworkFeatures.GuestTcp4) != 0 ? NetworkOffloads.SegmentTcp4 : 0)
            | ((features & NetworkFeatures.GuestTcp6) != 0 ? NetworkOffloads.SegmentTcp6 : 0);
        foreach (QueuePair pair in _pairs)
        {
            pair.Line.SetReceiveOffloads(offloads);
        }
    }

    private void EnableLines()
    {
        for (int i = 1; i < _pairs.Length; i++)
        {
            _pairs[i].Line.SetEnabled(i < _activePairs);
        }
    }

    private void Transmit(QueuePair pair)
    {
        Virtqueue queue = Queues[pair.TransmitQueue];
        if (!queue.IsActive)
        {
            return;
        }

        // What is given to a pair that is out of use vanishes, too.
        bool isActive = pair.Index < _activePairs;
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_transmit))
            {
                // What cannot be a packet vanishes like one that the wire loses.
                bool plausible = isActive && _transmit.ReadableLength is > INetworkBackend.HeaderLength and <= INetworkBackend.MaximumPacketLength;
                if (plausible && !pair.Line.TryTransmit(_transmit.Readable))
                {
                    queue.Unpop(_transmit);
                    Publish(queue);
                    return;
                }

                queue.Push(_transmit, 0);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
    }

    // All or nothing: a packet that does not fit what the driver has made available waits.
    private bool Deliver(Virtqueue queue, ReadOnlySpan<byte> packet)
    {
        int limit = Has(NetworkFeatures.MergeableBuffers) ? MaximumMerged : 1;
        int count = 0;
        ulong room = 0;
        while (room < (ulong)packet.Length && count < limit)
        {
            if (!queue.Pop(_receive[count]))
            {
                if (queue.IsActive && queue.EnableNotifications())
                {
                    continue;
                }

                break;
            }

            room += _receive[count++].WritableLength;
        }

        if (room < (ulong)packet.Length)
        {
            for (int i = count - 1; i >= 0; i--)
            {
                queue.Unpop(_receive[i]);
            }

            // One that would not fit however long it waits is lost.
            return count == limit || !queue.IsActive;
        }

        queue.DisableNotifications();
        Span<byte> header = stackalloc byte[INetworkBackend.HeaderLength];
        packet[..INetworkBackend.HeaderLength].CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[BufferCountOffset..], (ushort)count);
        ReadOnlySpan<byte> rest = packet[INetworkBackend.HeaderLength..];
        for (int i = 0; i < count; i++)
        {
            int written = i == 0 ? _receive[0].Write(0, header) : 0;
            int part = _receive[i].Write((ulong)written, rest);
            rest = rest[part..];
            queue.Push(_receive[i], (uint)(written + part));
        }

        Publish(queue);
        return true;
    }
}
