using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Entropy;

/// <summary>A source of random numbers (virtio 1.2, section 5.4).</summary>
public sealed class EntropyDevice : VirtioDevice
{
    private const ushort QueueSize = 64;
    private const int MaximumSegments = QueueSize;
    private const int ChunkLength = 256;
    private const ulong MaximumLength = 64 << 10;

    private readonly IEntropySource _source;
    private readonly DescriptorChain _chain;

    /// <summary>Makes one.</summary>
    public EntropyDevice(string name, ILock gate, GuestMemory memory, IEntropySource source)
        : base(name, DeviceType.Entropy, gate, memory, 1, QueueSize)
    {
        _source = source;
        _chain = new DescriptorChain(memory, MaximumSegments);
    }

    internal override ulong DeviceFeatures => 0;

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
    }

    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
    }

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void OnRunning() => OnNotified(0);

    private protected override void OnNotified(int queue)
    {
        Span<byte> chunk = stackalloc byte[ChunkLength];
        Virtqueue requests = Queues[queue];

        do
        {
            while (requests.Pop(_chain))
            {
                ulong wanted = Math.Min(_chain.WritableLength, MaximumLength);
                ulong done = 0;
                while (done < wanted)
                {
                    Span<byte> part = chunk[..(int)Math.Min(ChunkLength, wanted - done)];
                    _source.Fill(part);
                    done += (ulong)_chain.Write(done, part);
                }

                requests.Push(_chain, (uint)done);
            }
        }
        while (requests.EnableNotifications());

        Publish(requests);
    }

    private protected override bool TryQuiesce() => true;

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField) => true;
}
