using System.Runtime.InteropServices;
using Lamina.Machine.Backends;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A wire that keeps what is sent.</summary>
internal sealed unsafe class TestNetwork(NetworkOffloads offloads = NetworkOffloads.None) : INetworkBackend
{
    public List<byte[]> Sent { get; } = [];

    public bool IsEnabled { get; private set; } = true;

    public void SetEnabled(bool enabled) => IsEnabled = enabled;

    public bool IsFull { get; set; }

    /// <summary>How many more packets there is room for.</summary>
    public int Room { get; set; } = int.MaxValue;

    public int Resumed { get; private set; }

    /// <summary>What another processor of the guest does while a packet is sent.</summary>
    public Action? Sending { get; set; }

    public INetworkReceiver? Receiver { get; private set; }

    public NetworkOffloads Offloads { get; set; } = offloads;

    public int MaximumTransmissionUnit => 0;

    public void SetReceiver(INetworkReceiver receiver) => Receiver = receiver;

    public void Start()
    {
    }

    public void Stop()
    {
    }

    public NetworkOffloads ReceiveOffloads { get; private set; }

    public void SetReceiveOffloads(NetworkOffloads offloads) => ReceiveOffloads = offloads;

    public bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        if (IsFull || Room == 0)
        {
            return false;
        }

        Room--;

        List<byte> packet = [];
        foreach (GuestBuffer buffer in buffers)
        {
            byte[] part = new byte[buffer.Length];
            Marshal.Copy(buffer.HostAddress, part, 0, part.Length);
            packet.AddRange(part);
        }

        Sent.Add([.. packet]);
        Sending?.Invoke();
        return true;
    }

    public void ResumeReceive() => Resumed++;
}
