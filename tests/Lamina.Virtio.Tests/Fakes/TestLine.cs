using Lamina.Machine.Backends;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>A line of a wire that takes packets or is full, as the test says.</summary>
internal sealed class TestLine : INetworkBackend
{
    public NetworkOffloads Offloads => NetworkOffloads.Checksum;

    public int MaximumTransmissionUnit => 0;

    public INetworkReceiver Receiver { get; private set; } = null!;

    public bool IsEnabled { get; private set; } = true;

    public bool IsFull { get; set; }

    public int Resumed { get; private set; }

    public NetworkOffloads ReceiveOffloads { get; private set; }

    public List<int> Sent { get; } = [];

    public void SetReceiver(INetworkReceiver receiver) => Receiver = receiver;

    public void Start()
    {
    }

    public void Stop()
    {
    }

    public void SetReceiveOffloads(NetworkOffloads offloads) => ReceiveOffloads = offloads;

    public void SetEnabled(bool enabled) => IsEnabled = enabled;

    public bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        if (!IsFull)
        {
            int length = 0;
            foreach (GuestBuffer buffer in buffers)
            {
                length += (int)buffer.Length;
            }

            Sent.Add(length);
        }

        return !IsFull;
    }

    public void ResumeReceive() => Resumed++;
}
