using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Socket;

/// <summary>
/// Sockets between the guest and the host (virtio 1.2, section 5.10), streams only. Data goes straight between the guest's buffers and the host's sockets. Everything that a guest
/// can make the device remember has a fixed size: connections, the bytes of each that the host has not taken, and refusals that wait for a buffer.
/// </summary>
public sealed partial class SocketDevice : VirtioDevice, ISocketTarget
{
    /// <summary>The lowest address that a guest can have; those below have meanings.</summary>
    public const ulong MinimumAddress = 3;

    /// <summary>The highest.</summary>
    public const ulong MaximumAddress = 0xffff_fffe;

    /// <summary>Most connections at once.</summary>
    public const int ChannelCount = 256;

    private const ulong HostAddress = 2;
    private const ulong StreamFeature = 1;
    private const uint FirstHostPort = 0x4000_0000;
    private const uint TransportReset = 0;
    private const ushort QueueSize = 256;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int EventQueue = 2;
    private const int MaximumParts = 64;
    private const int MaximumRefusals = 256;
    private const uint MaximumPayload = 64 << 10;

    private readonly ISocketBackend _backend;
    private readonly ulong _guest;
    private readonly DescriptorChain _transmit;
    private readonly DescriptorChain _receive;
    private readonly SocketChannel[] _channels = new SocketChannel[ChannelCount];
    private readonly int[] _line = new int[ChannelCount];
    private readonly SocketHeader[] _refusals = new SocketHeader[MaximumRefusals];
    private int _lineStart;
    private int _lineCount;
    private int _refusalStart;
    private int _refusalCount;
    private uint _nextHostPort = FirstHostPort;
    private bool _connectionsLost;

    /// <summary>Makes a device.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The host's sockets.</param>
    /// <param name="address">The guest's address (CID).</param>
    public SocketDevice(string name, ILock gate, GuestMemory memory, ISocketBackend backend, ulong address)
        : base(name, DeviceType.Socket, gate, memory, 3, QueueSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(address, MinimumAddress);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(address, MaximumAddress);
        _backend = backend;
        _guest = address;
        _transmit = new DescriptorChain(memory, MaximumParts);
        _receive = new DescriptorChain(memory, MaximumParts);
        backend.SetTarget(this, ChannelCount);
    }

    internal override ulong DeviceFeatures => StreamFeature;

    private bool HasWork => _refusalCount > 0 || _lineCount > 0;

    /// <inheritdoc/>
    public bool TryConnect(uint port)
    {
        Gate.Enter();
        int channel = IsServing ? FindFree() : -1;
        if (channel >= 0)
        {
            // A connection is known by its two ports, so that only one of the same guest port has to be avoided.
            while (Find(port, _nextHostPort) >= 0)
            {
                AdvanceHostPort();
            }

            Open(channel, ChannelState.Connecting, port, _nextHostPort);
            AdvanceHostPort();
            _backend.Attach(channel);
            Owe(channel, PendingPackets.Request);
            Pump();
            CheckQueues();
        }

        Gate.Exit();
        return channel >= 0;
    }

    /// <inheritdoc/>
    public void OnReady(int channel, bool readable, bool writable)
    {
        Gate.Enter();
        ref SocketChannel connection = ref _channels[channel];
        if (connection.State != ChannelState.Free && IsServing)
        {
            if (writable)
            {
                Flush(channel);
            }

            if (readable && connection.State == ChannelState.Connecting)
            {
                // Whoever connected has given up.
                Close(channel, tellGuest: true);
            }
            else if (readable && connection.State == ChannelState.Established)
            {
                connection.Readable = true;
                EnterLine(channel);
            }

            Pump();
            CheckQueues();
        }

        Gate.Exit();
    }

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
        Span<byte> address = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(address, _guest);
        for (int i = 0; i < data.Length && offset + (uint)i < sizeof(ulong); i++)
        {
            data[i] = address[(int)offset + i];
        }
    }

    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
    }

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void StartBackend() => _backend.Start();

    private protected override void StopBackend() => _backend.Stop();

    private protected override void OnRunning()
    {
        TellLost();
        Transmit();
    }

    private protected override void OnNotified(int queue)
    {
        switch (queue)
        {
            case ReceiveQueue:
                Pump();
                break;
            case TransmitQueue:
                Transmit();
                break;
            default:
                TellLost();
                break;
        }
    }

    private protected override bool TryQuiesce()
    {
        for (int i = 0; i < ChannelCount; i++)
        {
            Close(i, tellGuest: false);
        }

        _refusalCount = 0;
        _connectionsLost = false;
        return true;
    }

    // Connections do not survive: the guest is told so afterwards.
    private protected override void SaveDevice(IStateWriter state, ushort firstField) => state.Write(firstField, (ulong)_nextHostPort);

    private protected override bool RestoreDevice(IStateReader state, ushort firstField)
    {
        bool valid = state.TryTake(firstField, ref _nextHostPort);
        _nextHostPort |= FirstHostPort;
        _connectionsLost = IsRunning;
        return valid;
    }

    // What the guest sends.
    private void Transmit()
    {
        Virtqueue queue = Queues[TransmitQueue];
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_transmit))
            {
                TakePacket();
                queue.Push(_transmit, 0);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
        Pump();
    }

    // What the guest gets: as long as there is something for it, and it has buffers.
    private void Pump()
    {
        Virtqueue queue = Queues[ReceiveQueue];
        if (IsStopped || !queue.IsActive)
        {
            return;
        }

        do
        {
            queue.DisableNotifications();
            while (HasWork && queue.Pop(_receive))
            {
                if (_receive.WritableLength < SocketHeader.Size)
                {
                    queue.Break();
                    return;
                }

                uint written = FillPacket();
                if (written == 0)
                {
                    queue.Unpop(_receive);
                    break;
                }

                queue.Push(_receive, written);
            }
        }
        while (HasWork && queue.EnableNotifications());

        Publish(queue);
    }

    private void TellLost()
    {
        Virtqueue queue = Queues[EventQueue];
        if (_connectionsLost && queue.Pop(_receive))
        {
            Span<byte> happened = stackalloc byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32LittleEndian(happened, TransportReset);
            queue.Push(_receive, (uint)_receive.Write(0, happened));
            Publish(queue);
            _connectionsLost = false;
        }
    }
}
