using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking;

/// <summary>A tap interface of the host, or one line of it. Checksums and segmentation are left to whoever does them best: packets carry virtio's header.</summary>
public sealed class TapNetwork : WireNetwork
{
    private const int MaximumBuffers = 64;
    private const int PacketsAtOnce = 64;
    private readonly byte[] _packet = new byte[INetworkBackend.MaximumPacketLength];
    private int _held;

    private TapNetwork(OwnedDescriptor tap, string name)
        : base(tap)
    {
        Name = name;
        Offloads = TapDevice.SetOffloads(tap, (int)(NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6))
            ? NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6
            : NetworkOffloads.None;
        TapDevice.SetOffloads(tap, 0);
    }

    /// <summary>The interface's name.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public override NetworkOffloads Offloads { get; }

    /// <inheritdoc/>
    public override int MaximumTransmissionUnit => 0;

    /// <summary>Attaches to an interface, as often as it is to have lines: packets of one connection keep to one of them.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static IReadOnlyList<TapNetwork> Open(string name, int lines)
    {
        IReadOnlyList<OwnedDescriptor> taps = OpenLines(name, lines, out string actual);
        return [.. taps.Select(t => new TapNetwork(t, actual))];
    }

    /// <summary>Makes an interface on a bridge of the host.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static IReadOnlyList<TapNetwork> OpenOnBridge(string bridge, int lines)
    {
        IReadOnlyList<OwnedDescriptor> taps = OpenLinesOnBridge(bridge, lines, out string actual);
        return [.. taps.Select(t => new TapNetwork(t, actual))];
    }

    /// <summary>Takes a line over that another process has attached.</summary>
    public static TapNetwork Adopt(OwnedDescriptor tap, string name) => new(tap, name);

    /// <summary>Attaches to an interface for another process.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static IReadOnlyList<OwnedDescriptor> OpenLines(string name, int lines, out string actualName)
    {
        try
        {
            return TapDevice.Open(name, INetworkBackend.HeaderLength, lines, out actualName);
        }
        catch (SystemCallException e)
        {
            string queues = lines > 1 ? " multi_queue" : "";
            throw new NetworkException(
                $"the tap interface '{name}' cannot be used: {e.Reason}. It must exist and be yours ('ip tuntap add {name} mode tap{queues} user $USER', as root), and be used by nobody else.", e);
        }
    }

    /// <summary>Makes an interface on a bridge of the host for another process.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static IReadOnlyList<OwnedDescriptor> OpenLinesOnBridge(string bridge, int lines, out string name)
    {
        IReadOnlyList<OwnedDescriptor> taps = [];
        try
        {
            taps = TapDevice.Open("lamina%d", INetworkBackend.HeaderLength, lines, out name);
            TapDevice.JoinBridge(name, bridge);
            return taps;
        }
        catch (SystemCallException e)
        {
            foreach (OwnedDescriptor tap in taps)
            {
                tap.Dispose();
            }

            throw new NetworkException($"the bridge '{bridge}' cannot be joined: {e.Reason}. It must exist ('ip link add {bridge} type bridge'), and joining takes root or CAP_NET_ADMIN.", e);
        }
    }

    /// <inheritdoc/>
    public override void SetReceiveOffloads(NetworkOffloads offloads) => TapDevice.SetOffloads(Wire, (int)(offloads & Offloads));

    /// <inheritdoc/>
    public override bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        Span<IoVector> vectors = stackalloc IoVector[MaximumBuffers];
        if (buffers.Length > MaximumBuffers)
        {
            return true;
        }

        for (int i = 0; i < buffers.Length; i++)
        {
            vectors[i] = new IoVector(buffers[i].HostAddress, buffers[i].Length);
        }

        _ = Wire.Write(vectors[..buffers.Length], out int error);
        if (error == ErrorNumber.TryAgain)
        {
            WaitForRoom();
            return false;
        }

        return true;
    }

    private protected override string Explain() => $"the tap interface '{Name}' is gone";

    private protected override void Switch(bool enabled) => TapDevice.SetAttached(Wire, enabled);

    private protected override bool TryFinishTransmit() => true;

    private protected override WireState Receive()
    {
        for (int i = 0; i < PacketsAtOnce; i++)
        {
            if (_held == 0)
            {
                int count = Wire.Read(_packet, out int error);
                if (count < 0)
                {
                    // An interface that is down, or taken away: EIO, EBADFD.
                    return error is ErrorNumber.TryAgain or ErrorNumber.InputOutput or ErrorNumber.OutOfMemory or ErrorNumber.NoBuffers ? WireState.Empty : WireState.Lost;
                }

                _held = count;
            }

            if (!Receiver.TryReceive(_packet.AsSpan(0, _held)))
            {
                return WireState.GuestFull;
            }

            _held = 0;
        }

        return WireState.Empty;
    }
}
