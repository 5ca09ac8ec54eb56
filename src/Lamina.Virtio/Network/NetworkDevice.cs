using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Network;

/// <summary>
/// A network card (virtio 1.2, section 5.1) with one pair of queues and a control queue. What the wire can leave to the guest, or take over from it, is offered as features. The guest's
/// packets go to the wire from the thread that notifies; arriving ones come on the wire's thread, and wait there while the guest has no buffers.
/// </summary>
public sealed class NetworkDevice : VirtioDevice, INetworkReceiver
{
    private const ushort QueueSize = 256;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int ControlQueue = 2;
    private const int MaximumParts = 64;
    private const int MaximumMerged = 64;
    private const int MergedParts = 32;
    private const int AddressLength = 6;
    private const int BufferCountOffset = 10;
    private const int ConfigurationLength = 12;
    private const byte LinkUp = 1;
    private const byte Accepted = 0;
    private const byte Refused = 1;
    private const byte ReceiveClass = 0;
    private const byte AddressClass = 1;
    private const byte OffloadsClass = 5;

    private readonly INetworkBackend _backend;
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private readonly DescriptorChain _transmit;
    private readonly DescriptorChain[] _receive;
    private bool _linkUp = true;
    private bool _stopped = true;
    private bool _receiverWaits;

    /// <summary>Makes a card.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The wire, which this card is connected to here.</param>
    /// <param name="address">Hardware address, 6 bytes.</param>
    public NetworkDevice(string name, ILock gate, GuestMemory memory, INetworkBackend backend, ReadOnlySpan<byte> address)
        : base(name, DeviceType.Network, gate, memory, 3, QueueSize)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(address.Length, AddressLength);
        _backend = backend;
        address.CopyTo(_configuration);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(6), LinkUp);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(8), 1);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(10), (ushort)backend.MaximumTransmissionUnit);
        _transmit = new DescriptorChain(memory, MaximumParts);
        _receive = new DescriptorChain[MaximumMerged];
        for (int i = 0; i < MaximumMerged; i++)
        {
            _receive[i] = new DescriptorChain(memory, MergedParts);
        }

        backend.SetReceiver(this);
    }

    internal override ulong DeviceFeatures =>
        NetworkFeatures.Mac | NetworkFeatures.Status | NetworkFeatures.MergeableBuffers | NetworkFeatures.ControlQueue | NetworkFeatures.ControlReceive
        | (_backend.MaximumTransmissionUnit != 0 ? NetworkFeatures.Mtu : 0)
        | (Can(NetworkOffloads.Checksum) ? NetworkFeatures.Checksum | NetworkFeatures.GuestChecksum | NetworkFeatures.ControlGuestOffloads : 0)
        | (Can(NetworkOffloads.SegmentTcp4) ? NetworkFeatures.HostTcp4 | NetworkFeatures.GuestTcp4 : 0)
        | (Can(NetworkOffloads.SegmentTcp6) ? NetworkFeatures.HostTcp6 | NetworkFeatures.GuestTcp6 : 0);

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        Gate.Enter();
        bool taken = true;
        if (IsRunning && !_stopped && Queues[ReceiveQueue].IsActive)
        {
            taken = Deliver(Queues[ReceiveQueue], packet);
            _receiverWaits = !taken;
            CheckQueues();
        }

        Gate.Exit();
        return taken;
    }

    /// <inheritdoc/>
    public void OnTransmitReady()
    {
        Gate.Enter();
        if (IsRunning && !_stopped)
        {
            Transmit();
            CheckQueues();
        }

        Gate.Exit();
    }

    /// <inheritdoc/>
    public void OnLinkChanged(bool up)
    {
        Gate.Enter();
        _linkUp = up;
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(6), up ? LinkUp : (ushort)0);
        ChangeConfiguration();
        Gate.Exit();
    }

    internal override void Start()
    {
        Gate.Enter();
        _stopped = false;
        if (IsRunning)
        {
            OnRunning();
        }

        Gate.Exit();
        _backend.Start();
    }

    internal override void Stop()
    {
        Gate.Enter();
        _stopped = true;
        Gate.Exit();
        _backend.Stop();
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
        bool control = (features & (NetworkFeatures.ControlReceive | NetworkFeatures.ControlGuestOffloads)) == 0 || (features & NetworkFeatures.ControlQueue) != 0;
        return guest && host && control;
    }

    private protected override void OnRunning()
    {
        SetReceiveOffloads(Features);
        if (!_stopped)
        {
            Transmit();
            _backend.ResumeReceive();
        }
    }

    private protected override void OnNotified(int queue)
    {
        if (_stopped)
        {
            return;
        }

        switch (queue)
        {
            case ReceiveQueue:
                if (_receiverWaits)
                {
                    _receiverWaits = false;
                    _backend.ResumeReceive();
                }

                break;
            case TransmitQueue:
                Transmit();
                break;
            default:
                Control();
                break;
        }
    }

    private protected override bool TryQuiesce()
    {
        // A packet that waits for buffers is dropped when it is offered again.
        _receiverWaits = false;
        _backend.ResumeReceive();
        _backend.SetReceiveOffloads(NetworkOffloads.None);
        return true;
    }

    private protected override void SaveDevice(IStateWriter state, ushort firstField) => state.Write(firstField, _linkUp);

    private protected override bool RestoreDevice(IStateReader state, ushort firstField)
    {
        // The link is what it is here.
        bool saved = false;
        return state.TryTake(firstField, ref saved);
    }

    private bool Can(NetworkOffloads offload) => (_backend.Offloads & offload) != 0;

    private void SetReceiveOffloads(ulong features)
    {
        NetworkOffloads offloads = ((features & NetworkFeatures.GuestChecksum) != 0 ? NetworkOffloads.Checksum : 0)
            | ((features & NetworkFeatures.GuestTcp4) != 0 ? NetworkOffloads.SegmentTcp4 : 0)
            | ((features & NetworkFeatures.GuestTcp6) != 0 ? NetworkOffloads.SegmentTcp6 : 0);
        _backend.SetReceiveOffloads(offloads);
    }

    private void Transmit()
    {
        Virtqueue queue = Queues[TransmitQueue];
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_transmit))
            {
                // What cannot be a packet vanishes like one that the wire loses.
                bool plausible = _transmit.ReadableLength is > INetworkBackend.HeaderLength and <= INetworkBackend.MaximumPacketLength;
                if (plausible && !_backend.TryTransmit(_transmit.Readable))
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

    private void Control()
    {
        Virtqueue queue = Queues[ControlQueue];
        Span<byte> command = stackalloc byte[10];
        do
        {
            while (queue.Pop(_transmit))
            {
                int length = _transmit.Read(0, command);
                byte answer = Refused;
                if (length >= 2 && (command[0] == ReceiveClass || (command[0] == AddressClass && command[1] == 0)) && Has(NetworkFeatures.ControlReceive))
                {
                    // Modes and filters: every packet of the wire comes anyway.
                    answer = Accepted;
                }
                else if (length == 10 && command[0] == OffloadsClass && command[1] == 0 && Has(NetworkFeatures.ControlGuestOffloads))
                {
                    ulong wanted = BinaryPrimitives.ReadUInt64LittleEndian(command[2..]);
                    if ((wanted & ~Features) == 0)
                    {
                        SetReceiveOffloads(wanted);
                        answer = Accepted;
                    }
                }

                _transmit.Write(0, [answer]);
                queue.Push(_transmit, 1);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
    }
}
