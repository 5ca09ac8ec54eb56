using System.Globalization;
using System.Text;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Personalities.Xen.Bus;

namespace Lamina.Personalities.Xen.Network;

/// <summary>
/// The back end of a network card (xen/include/public/io/netif.h): packets in pieces, checksums and segmentation both ways, several queues, and an event channel for each ring. Packets are copied into the
/// guest's pages and sent out of them.
/// </summary>
public sealed partial class NetworkBackEnd : BackEnd
{
    private const int LongestName = 48;

    private readonly NetworkQueue[] _queues;
    private readonly byte[] _address;
    private int _queueCount;
    private NetworkOffloads _offloads;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="index">Which card it is.</param>
    /// <param name="lines">The wire: 1 to <see cref="MaximumQueues"/> lines that can the same, each for a queue.</param>
    /// <param name="address">Its hardware address: 6 bytes.</param>
    public NetworkBackEnd(XenBusController bus, ILock gate, int index, ReadOnlySpan<INetworkBackend> lines, ReadOnlySpan<byte> address)
        : base(bus, gate, "vif", index, (uint)index)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentOutOfRangeException.ThrowIfZero(lines.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lines.Length, MaximumQueues);
        _address = Encoding.ASCII.GetBytes(string.Create(
            CultureInfo.InvariantCulture, $"{address[0]:x2}:{address[1]:x2}:{address[2]:x2}:{address[3]:x2}:{address[4]:x2}:{address[5]:x2}"));
        _queues = new NetworkQueue[lines.Length];
        for (int i = 0; i < lines.Length; i++)
        {
            _queues[i] = new NetworkQueue(this, Domain, lines[i]);
        }

        bus.Add(this);
    }

    /// <summary>Most cards.</summary>
    public static int MaximumNetworks => 8;

    /// <summary>Most queues of a card.</summary>
    public static int MaximumQueues => 8;

    /// <inheritdoc/>
    private protected override bool IsIdle => true;

    /// <summary>Whether rings may be looked at. With the lock held.</summary>
    internal bool Serves => _queueCount != 0 && IsRunning;

    internal void Enter() => Gate.Enter();

    internal void Exit() => Gate.Exit();

    /// <summary>The front end has broken the protocol: the card ends, with all its queues. With the lock held.</summary>
    internal void EndService(ReadOnlySpan<byte> reason) => Fail(reason);

    /// <inheritdoc/>
    private protected override void Describe()
    {
        PutFront("handle"u8, Number);
        PutFront("mac"u8, _address);
        PutBack("handle"u8, Number);
        PutBack("mac"u8, _address);
        PutBack("feature-sg"u8, 1);
        PutBack("feature-gso-tcpv4"u8, 1);
        PutBack("feature-gso-tcpv6"u8, 1);
        PutBack("feature-ipv6-csum-offload"u8, 1);
        PutBack("feature-rx-copy"u8, 1);
        PutBack("feature-rx-flip"u8, 0);
        PutBack("feature-split-event-channels"u8, 1);
        PutBack("multi-queue-max-queues"u8, (ulong)_queues.Length);
    }

    /// <inheritdoc/>
    private protected override bool TryConnect()
    {
        uint queues = TryReadFront("multi-queue-num-queues"u8, out uint given) ? given : 1;
        if (!Has("request-rx-copy"u8) || queues == 0 || queues > (uint)_queues.Length)
        {
            return false;
        }

        for (uint i = 0; i < queues; i++)
        {
            if (!TryOpen(i, queues > 1))
            {
                Disconnect();
                return false;
            }
        }

        bool checksums = !Has("feature-no-csum-offload"u8) && Has("feature-ipv6-csum-offload"u8);
        bool pieces = checksums && Has("feature-sg"u8);
        NetworkOffloads offloads = (checksums ? NetworkOffloads.Checksum : 0) | (pieces && Has("feature-gso-tcpv4"u8) ? NetworkOffloads.SegmentTcp4 : 0)
            | (pieces && Has("feature-gso-tcpv6"u8) ? NetworkOffloads.SegmentTcp6 : 0);
        Serve((int)queues, offloads);
        return true;
    }

    /// <inheritdoc/>
    private protected override void Disconnect()
    {
        _queueCount = 0;
        foreach (NetworkQueue queue in _queues)
        {
            queue.Close();
        }
    }

    /// <inheritdoc/>
    private protected override void Serve()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            _queues[i].Transmit();
        }
    }

    /// <inheritdoc/>
    private protected override void Drain()
    {
    }

    /// <inheritdoc/>
    private protected override void OnStarted()
    {
        foreach (NetworkQueue queue in _queues)
        {
            queue.Line.Start();
            queue.Line.ResumeReceive();
        }
    }

    /// <inheritdoc/>
    private protected override void OnStopping()
    {
        foreach (NetworkQueue queue in _queues)
        {
            queue.Line.Stop();
        }
    }

    // Each queue has a line of the wire.
    private void Serve(int queues, NetworkOffloads offloads)
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i].Line.SetReceiveOffloads(offloads);
            _queues[i].Line.SetEnabled(i < queues);
        }

        (_queueCount, _offloads) = (queues, offloads);
    }

    private bool Has(ReadOnlySpan<byte> feature) => TryReadFront(feature, out uint value) && value != 0;

    // Of several queues each has its own directory.
    private bool TryOpen(uint number, bool several)
    {
        Span<byte> name = stackalloc byte[LongestName];
        int prefix = several ? Format(name, "queue-"u8, number, "/"u8) : 0;
        if (!TryRead(name, prefix, "tx-ring-ref"u8, out uint transmit) || !TryRead(name, prefix, "rx-ring-ref"u8, out uint receive))
        {
            return false;
        }

        bool split = TryRead(name, prefix, "event-channel-tx"u8, out uint transmitPort);
        uint receivePort = 0;
        return (split ? TryRead(name, prefix, "event-channel-rx"u8, out receivePort) && receivePort != 0 : TryRead(name, prefix, "event-channel"u8, out transmitPort))
            && _queues[number].TryOpen(transmit, receive, transmitPort, receivePort);
    }

    private bool TryRead(Span<byte> name, int prefix, ReadOnlySpan<byte> field, out uint value)
    {
        field.CopyTo(name[prefix..]);
        return TryReadFront(name[..(prefix + field.Length)], out value);
    }
}
