using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.HyperV.Storage;

/// <content>
/// Disks that come, go, and grow while the machine runs. A driver is told to look again; it asks each unit whether it is ready, and takes one that is not there any more off its system, with a last flush of
/// what it has in its cache. Until then, reads and writes go on.
/// </content>
public sealed partial class StorageProvider
{
    private const ulong Silence = 2_000_000_000;

    private VmBusChannel? _channel;
    private bool _announces;
    private volatile bool _paused;

    /// <summary>Adds a disk, and has the driver look. Any thread.</summary>
    /// <returns><c>false</c> if there is one with this number, or no such number.</returns>
    public bool TryInsert(int number, IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        if (number is < 0 or >= ScsiTarget.MaximumUnits)
        {
            return false;
        }

        ScsiDisk disk = new(_memory, backend, serial);
        _bus.Gate.Enter();
        bool free = _disks[number] is null;
        if (free)
        {
            _disks[number] = _shown[number] = disk;
            _changes[number] = default;
            _announces = true;
            Announce();
        }

        _bus.Gate.Exit();
        return free;
    }

    /// <summary>Has the driver give a disk up. Any thread.</summary>
    public void RequestRemoval(int number)
    {
        _bus.Gate.Enter();
        if (_disks[number] is not null && !_changes[number].Leaves)
        {
            _shown[number] = null;
            _changes[number] = new Change { Leaves = true };
            _announces = true;
            Announce();
        }

        _bus.Gate.Exit();
    }

    /// <summary>Whether it has: it was told that the unit is gone, and then flushed it or left it alone for two seconds, or there is no driver. Any thread.</summary>
    public bool IsGivenUp(int number)
    {
        _bus.Gate.Enter();
        ref Change change = ref _changes[number];
        bool gone = change.Leaves && (_channel is null || (change.IsTold && (change.IsFlushed || _bus.Clock.Now - change.LastUse >= Silence)));
        _bus.Gate.Exit();
        return gone;
    }

    /// <summary>Takes a disk away; requests for it find nobody from now on. Any thread. Waits until nothing is under way there.</summary>
    public void Remove(int number)
    {
        _bus.Gate.Enter();
        ScsiDisk? disk = _disks[number];
        _disks[number] = _shown[number] = null;
        _changes[number] = default;
        _bus.Gate.Exit();
        disk?.Drain();
    }

    /// <summary>Changes a disk's size while nothing is under way there, and tells the driver. Any thread.</summary>
    public void Resize(int number, Action resize)
    {
        ArgumentNullException.ThrowIfNull(resize);
        _bus.Gate.Enter();
        _paused = true;
        ScsiDisk? disk = _disks[number];
        _bus.Gate.Exit();
        disk?.Drain();
        resize();
        _bus.Gate.Enter();
        _paused = false;
        _changes[number].HasGrown = disk is not null;
        _announces = true;
        Announce();
        _bus.ProcessAll(this);
        _bus.Gate.Exit();
    }

    // The driver looks for units that are not there any more as well as for new ones.
    private void Announce()
    {
        if (_announces && !_bus.IsStopped && _channel is { IsOpen: true } channel)
        {
            Span<byte> packet = stackalloc byte[PacketLength];
            packet.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(packet, (uint)StorageOperation.EnumerateBus);
            _announces = !channel.TrySend(VmBusPacket.InBand, 0, packet);
        }
    }

    // A command for a disk that is to go, or that has grown.
    private void SubmitChanged(ScsiRequest request, int tag, byte unit)
    {
        ref Change change = ref _changes[unit];
        ScsiOperation operation = (ScsiOperation)request.Command[0];
        change.LastUse = _bus.Clock.Now;
        if (change.Leaves && operation is ScsiOperation.TestUnitReady)
        {
            change.IsTold = true;
            _slots[tag] = Slot.Ended;
            Complete(_packets[tag], SrbInvalidUnit, ScsiStatus.Good, 0);
            TryAnswer(tag);
            return;
        }

        bool ended;
        if (change.HasGrown && operation is not (ScsiOperation.Inquiry or ScsiOperation.ReportLuns or ScsiOperation.RequestSense))
        {
            change.HasGrown = false;
            request.Fail(SenseCode.CapacityChanged);
            ended = true;
        }
        else
        {
            ended = operation is ScsiOperation.Inquiry or ScsiOperation.ReportLuns || _disks[unit] is not { } disk ? _target.Submit(request, unit) : disk.Submit(request);
        }

        if (ended)
        {
            Finish(request);
            TryAnswer(tag);
        }
    }

    private void NoteFlush(ScsiRequest request)
    {
        byte unit = _packets[request.Tag][UnitOffset];
        if (unit < _changes.Length && _changes[unit].IsTold && (ScsiOperation)request.Command[0] is ScsiOperation.SynchronizeCache10 or ScsiOperation.SynchronizeCache16)
        {
            _changes[unit].IsFlushed = true;
        }
    }

    /// <summary>What happens to a disk.</summary>
    private struct Change
    {
        /// <summary>It is to go.</summary>
        public bool Leaves;

        /// <summary>The driver has heard that it is not there.</summary>
        public bool IsTold;

        /// <summary>The driver has flushed it after that.</summary>
        public bool IsFlushed;

        /// <summary>It is larger, and the driver has not heard.</summary>
        public bool HasGrown;

        /// <summary>When a command came last.</summary>
        public ulong LastUse;

        public readonly bool IsPending => Leaves || HasGrown;
    }
}
