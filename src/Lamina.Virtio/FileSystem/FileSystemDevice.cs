using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.FileSystem;

/// <summary>
/// A shared folder (virtio 1.2, section 5.11): carries FUSE messages between the guest's kernel and a back end, on a queue for urgent ones and one for the rest. What the
/// back end remembers of files is not part of the saved state: whoever saves the machine asks the back end for that.
/// </summary>
public sealed class FileSystemDevice : VirtioDevice, IFileSystemCompletion
{
    /// <summary>Longest tag, in bytes.</summary>
    public const int TagLength = 36;

    private const ushort QueueSize = 128;
    private const int QueueCount = 2;
    private const int Parts = QueueSize + 2;
    private const int ConfigurationLength = TagLength + 4;

    private readonly IFileSystemBackend _backend;
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private readonly DescriptorChain _chain;
    private readonly Slot[] _slots = new Slot[QueueCount * QueueSize];
    private readonly int[] _free = new int[QueueCount * QueueSize];
    private int _freeCount = QueueCount * QueueSize;

    /// <summary>Makes a device.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The folder.</param>
    /// <param name="tag">The name by which the guest mounts it: at most <see cref="TagLength"/> bytes of UTF-8.</param>
    public FileSystemDevice(string name, ILock gate, GuestMemory memory, IFileSystemBackend backend, ReadOnlySpan<byte> tag)
        : base(name, DeviceType.FileSystem, gate, memory, QueueCount, QueueSize)
    {
        _backend = backend;
        tag[..Math.Min(tag.Length, TagLength)].CopyTo(_configuration);
        BinaryPrimitives.WriteUInt32LittleEndian(_configuration.AsSpan(TagLength), QueueCount - 1);
        _chain = new DescriptorChain(memory, Parts);
        for (int i = 0; i < _slots.Length; i++)
        {
            _slots[i].Request = new FileSystemRequest(i, _chain.MaximumParts, memory, this);
            _free[i] = i;
        }
    }

    internal override ulong DeviceFeatures => 0;

    private int InFlight => _slots.Length - _freeCount;

    /// <inheritdoc/>
    public void OnCompleted(FileSystemRequest request, uint written)
    {
        Gate.Enter();
        ref Slot slot = ref _slots[request.Tag];
        _free[_freeCount++] = request.Tag;
        if (!IsRunning)
        {
            if (InFlight == 0)
            {
                OnQuiescent();
            }
        }
        else
        {
            slot.Queue.Push(slot.Id, slot.RingSlots, written);
            Publish(slot.Queue);
            if (_freeCount == 1 && !IsStopped)
            {
                OnRunning();
            }
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

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void StopBackend() => _backend.Drain();

    private protected override void OnRunning()
    {
        foreach (Virtqueue queue in Queues)
        {
            Submit(queue);
        }
    }

    private protected override void OnNotified(int queue)
    {
        Submit(Queues[queue]);
    }

    private protected override bool TryQuiesce() => InFlight == 0;

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField) => true;

    private void Submit(Virtqueue queue)
    {
        do
        {
            queue.DisableNotifications();
            while (_freeCount > 0 && queue.Pop(_chain))
            {
                ref Slot slot = ref _slots[_free[--_freeCount]];
                slot.Queue = queue;
                slot.Id = _chain.Id;
                slot.RingSlots = _chain.RingSlots;
                slot.Request.TrySet(_chain.Readable, _chain.Writable);
                _backend.Submit(slot.Request);
            }
        }
        while (queue.EnableNotifications() && _freeCount > 0);
    }

    private struct Slot
    {
        public FileSystemRequest Request;
        public Virtqueue Queue;
        public ushort Id;
        public ushort RingSlots;
    }
}
