using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking;

/// <summary>A tap interface of the host. Checksums and segmentation are left to whoever does them best: packets carry virtio's header.</summary>
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

    /// <summary>Attaches to an interface.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static TapNetwork Open(string name)
    {
        try
        {
            return new TapNetwork(TapDevice.Open(name, INetworkBackend.HeaderLength, out string actual), actual);
        }
        catch (SystemCallException e)
        {
            throw new NetworkException(
                $"the tap interface '{name}' cannot be used: {e.Reason}. It must exist and be yours ('ip tuntap add {name} mode tap user $USER', as root), and be used by nobody else.", e);
        }
    }

    /// <summary>Takes an interface over that another process has attached to.</summary>
    public static TapNetwork Adopt(OwnedDescriptor tap, string name) => new(tap, name);

    /// <summary>Makes an interface on a bridge of the host.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static TapNetwork OpenOnBridge(string bridge)
    {
        TapNetwork? network = null;
        try
        {
            network = new TapNetwork(TapDevice.Open("lamina%d", INetworkBackend.HeaderLength, out string actual), actual);
            TapDevice.JoinBridge(actual, bridge);
            return network;
        }
        catch (SystemCallException e)
        {
            network?.Dispose();
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
                    return error is ErrorNumber.TryAgain or ErrorNumber.InputOutput ? WireState.Empty : WireState.Lost;
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
