using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Pci;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>
/// VMware's third paravirtual network card, in its first two revisions, as Linux's driver describes it (drivers/net/vmxnet3): several queues each way, checksums and segmentation, 802.1Q tags. Arriving packets go
/// to the queue that their hash names, with their checksums looked at, without their tags if the driver says so, of the addresses and networks that it wants, and as long as the wire has them if the driver takes such.
/// </summary>
public sealed partial class Vmxnet3Device : IDevice, IRegisterWindow, INetworkReceiver
{
    /// <summary>Most queues in each direction.</summary>
    public const int MaximumQueues = 8;

    private const ulong WindowLength = 0x1000;
    private const uint LinkUp = (10_000u << 16) | 1;
    private const uint LinkEvent = 1 << 2;
    private const uint DeviceId = 0x07b0;
    private const int LongestFrame = 68 << 10;
    private const uint ChecksumFeature = 1;
    private const uint ScalingFeature = 2;
    private const uint UntagFeature = 4;
    private const uint SegmentsFeature = 8;
    private const uint SecondRevision = 2;

    private readonly ILock _gate;
    private readonly GuestMemory _memory;
    private readonly INetworkBackend _backend;
    private readonly MsixTable _msix;
    private readonly InterruptVectors _interrupts;
    private readonly PacketSender _sender;
    private readonly ControlWindow _control;
    private readonly ReceiveScaling _scaling = new();
    private readonly VlanFilter _vlans = new();
    private readonly byte[] _untagged = new byte[LongestFrame];
    private readonly TxQueue[] _transmit = new TxQueue[MaximumQueues];
    private readonly RxQueue[] _receive = new RxQueue[MaximumQueues];
    private readonly ReceiveFilter _filter;
    private ulong _shared;
    private ulong _queues;
    private uint _answer;
    private int _transmitCount;
    private int _receiveCount;
    private byte _eventInterrupt;
    private uint _revision;
    private uint _features;
    private int _mostParts;
    private bool _active;
    private bool _stopped = true;
    private bool _linkUp = true;

    // What the driver knows of it.
    private bool _linkTold = true;
    private bool _receiverWaits;
    private int _waitingQueue;
    private int _resuming;

    /// <summary>Makes a card; the locks are its own.</summary>
    public Vmxnet3Device(
        string name, ILock gate, ILock functionLock, ILock tableLock, GuestMemory memory, IMessageInterruptSink messages, INetworkBackend backend, ReadOnlySpan<byte> address)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(address.Length, ReceiveFilter.AddressLength);
        Name = name;
        _gate = gate;
        _memory = memory;
        _backend = backend;
        _filter = new ReceiveFilter(address);
        Function = new PciFunction(functionLock, new PciIdentity(0x15ad, (ushort)DeviceId, 0x02_0000, 1, 0x15ad, (ushort)DeviceId, InterruptPin: 1));
        _msix = new MsixTable(tableLock, messages, InterruptVectors.Count);
        _control = new ControlWindow(this);
        Function.AddBar(0, PciBarKind.Memory32, WindowLength, this, $"{name} doorbells");
        Function.AddBar(1, PciBarKind.Memory32, WindowLength, _control, $"{name} registers");
        Function.AddMsix(2, _msix, $"{name} msix");
        _interrupts = new InterruptVectors(Function, _msix);
        _sender = new PacketSender(memory, backend);
        for (int i = 0; i < MaximumQueues; i++)
        {
            _transmit[i] = new TxQueue(memory, _sender);
            _receive[i] = new RxQueue(memory, i);
        }

        backend.SetReceiver(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    private bool TakesChecksums => _active && (_features & ChecksumFeature) != 0;

    private bool TakesSegments => TakesChecksums && (_features & SegmentsFeature) != 0 && _revision == SecondRevision;

    private bool IsRunning => _active && !_stopped && Function.IsBusMaster;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        bool resume = false;
        _gate.Enter();
        switch (offset)
        {
            case < Vmxnet3Register.TxProducer:
                _interrupts.SetMask((int)(offset >> 3), (LittleEndian.Get(data) & 1) != 0);

                // The driver has taken what there was, and filled up.
                resume = TakeWait();
                break;
            case < Vmxnet3Register.RxProducer:
                Transmit((int)(offset - Vmxnet3Register.TxProducer) >> 3);
                break;
            case < Vmxnet3Register.ProducersEnd:
                resume = TakeWait();
                break;
        }

        resume = resume && BeginResume();
        _gate.Exit();
        EndResume(resume);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        _gate.Enter();
        bool taken = !IsRunning || packet.Length <= INetworkBackend.HeaderLength || Deliver(packet[..INetworkBackend.HeaderLength], packet[INetworkBackend.HeaderLength..]);
        _gate.Exit();
        return taken;
    }

    /// <inheritdoc/>
    public void OnTransmitReady()
    {
        _gate.Enter();
        TransmitAll();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void OnLinkChanged(bool up)
    {
        _gate.Enter();
        _linkUp = up;
        TellLink();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _stopped = false;
        TellLink();
        TransmitAll();
        SetReceiveOffloads();
        _gate.Exit();
        _backend.Start();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _stopped = true;
        _gate.Exit();

        // A processor may be about to look after the wire, which is closed next when the card goes.
        SpinWait wait = default;
        while (Volatile.Read(ref _resuming) != 0)
        {
            wait.SpinOnce();
        }

        _backend.Stop();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        ResetDevice();
        _filter.Reset();
        _revision = 0;
        _shared = 0;
        _answer = 0;
        bool resume = BeginResume();
        _gate.Exit();
        Function.Reset();
        EndResume(resume);
    }

    // True: whoever has a packet may offer it again.
    private bool TakeWait()
    {
        bool waited = _receiverWaits;
        _receiverWaits = false;
        if (waited)
        {
            _receive[_waitingQueue].AskForUpdates(false);
        }

        return waited;
    }

    // With the lock held; false if the wire is to be left alone.
    private bool BeginResume()
    {
        if (_stopped)
        {
            return false;
        }

        Interlocked.Increment(ref _resuming);
        return true;
    }

    // Without the lock, which the wire's call takes.
    private void EndResume(bool begun)
    {
        if (begun)
        {
            try
            {
                _backend.ResumeReceive();
            }
            finally
            {
                Interlocked.Decrement(ref _resuming);
            }
        }
    }

    // Segments are left together for drivers that say so, and know completions that tell of it.
    private void SetReceiveOffloads()
    {
        NetworkOffloads taken = !TakesChecksums ? NetworkOffloads.None
            : !TakesSegments ? NetworkOffloads.Checksum
            : NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;
        if (!_stopped)
        {
            _backend.SetReceiveOffloads(_backend.Offloads & taken);
        }
    }

    private bool Deliver(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        bool tagged = VlanFilter.TryGetTag(frame, out ushort tag);
        int number = _scaling.Select(frame, out uint hash, out HashKinds kind);
        RxQueue queue = _receive[number];
        if (!_filter.Wants(frame) || (tagged && !_vlans.Wants(tag)) || !queue.IsActive)
        {
            return true;
        }

        ArrivedFrame arrived = ArrivedFrame.Read(header, frame);

        // What was sent on to a driver that has taken such is lost to one that does not any more.
        if (!ReceiveStatus.TryRead(arrived, frame, TakesChecksums, TakesSegments, out ReceiveStatus status))
        {
            return true;
        }

        status = status with { Hash = hash, HashKind = kind };
        if (tagged && (_features & UntagFeature) != 0 && frame.Length <= LongestFrame)
        {
            status = status with { Tag = tag };
            frame = Untag(frame);
            arrived = arrived.ChecksumPlace == 0 ? arrived : arrived with { ChecksumPlace = arrived.ChecksumPlace - VlanFilter.TagLength };
        }

        if (!queue.TryDeliver(frame, arrived, status, _mostParts, out bool tooLong))
        {
            // A driver that has added buffers since may not have seen the wish.
            queue.AskForUpdates(true);
            Interlocked.MemoryBarrier();
            if (tooLong || !queue.TryDeliver(frame, arrived, status, _mostParts, out tooLong))
            {
                (_receiverWaits, _waitingQueue) = (!tooLong, number);
                return tooLong;
            }

            queue.AskForUpdates(false);
        }

        _interrupts.Raise(queue.Interrupt);
        return true;
    }

    private ReadOnlySpan<byte> Untag(ReadOnlySpan<byte> frame)
    {
        frame[..VlanFilter.TagOffset].CopyTo(_untagged);
        frame[(VlanFilter.TagOffset + VlanFilter.TagLength)..].CopyTo(_untagged.AsSpan(VlanFilter.TagOffset));
        return _untagged.AsSpan(0, frame.Length - VlanFilter.TagLength);
    }

    private void ReadScaling()
    {
        _scaling.Reset();
        if ((_features & ScalingFeature) != 0 && _memory.TryRead(_shared + SharedArea.ScalingSettings, out ulong settings))
        {
            _scaling.Read(_memory, settings, _receiveCount);
        }
    }

    private void TransmitAll()
    {
        for (int i = 0; i < _transmitCount; i++)
        {
            Transmit(i);
        }
    }

    private void Transmit(int number)
    {
        if (!IsRunning || number >= _transmitCount)
        {
            return;
        }

        TxQueue queue = _transmit[number];
        bool before = queue.Error != 0;
        queue.Process(out bool completed);
        if (completed)
        {
            _interrupts.Raise(queue.Interrupt);
        }

        if (queue.Error != 0 && !before)
        {
            ReportError();
        }
    }

    // A driver that begins asks. While the machine stands still, nothing is told.
    private void TellLink()
    {
        if (!_stopped && _active && _linkTold != _linkUp && _memory.TryRead(_shared + SharedArea.EventCause, out uint events))
        {
            _linkTold = _linkUp;
            _memory.TryWrite(_shared + SharedArea.EventCause, events | LinkEvent);
            _interrupts.Raise(_eventInterrupt);
        }
    }

    // The driver asks for the state of queues, and resets the card.
    private void ReportError()
    {
        const uint TransmitQueueError = 1 << 1;
        if (_memory.TryRead(_shared + SharedArea.EventCause, out uint events))
        {
            _memory.TryWrite(_shared + SharedArea.EventCause, events | TransmitQueueError);
            _interrupts.Raise(_eventInterrupt);
        }
    }

    private void ResetDevice()
    {
        _active = false;
        _features = 0;
        SetReceiveOffloads();
        _receiverWaits = false;
        _transmitCount = _receiveCount = 0;
        _scaling.Reset();
        _sender.Reset();
        _interrupts.Reset();
        foreach (TxQueue queue in _transmit)
        {
            queue.Reset();
        }

        foreach (RxQueue queue in _receive)
        {
            queue.Reset();
        }
    }

    // Copies the shared area and the queues' descriptions, and looks at the copies alone.
    private bool TryActivate()
    {
        ResetDevice();
        Span<byte> shared = stackalloc byte[SharedArea.Length];
        Span<byte> description = stackalloc byte[SharedArea.QueueLength];
        if (!_memory.TryRead(_shared, shared) || BinaryPrimitives.ReadUInt32LittleEndian(shared[SharedArea.Magic..]) != SharedArea.MagicValue)
        {
            return false;
        }

        int transmit = shared[SharedArea.TxQueueCount];
        int receive = shared[SharedArea.RxQueueCount];
        _queues = BinaryPrimitives.ReadUInt64LittleEndian(shared[SharedArea.QueueDescriptions..]);
        _eventInterrupt = shared[SharedArea.EventInterrupt];
        _interrupts.AutoMask = shared[SharedArea.AutoMask] != 0;
        if (transmit is 0 or > MaximumQueues || receive is 0 or > MaximumQueues)
        {
            return false;
        }

        for (int i = 0; i < transmit + receive; i++)
        {
            ulong address = _queues + ((uint)i * SharedArea.QueueLength);
            bool valid = _memory.TryRead(address, description)
                && (i < transmit ? _transmit[i].TrySetUp(description) : _receive[i - transmit].TrySetUp(address, description, receive));
            if (!valid)
            {
                ResetDevice();
                return false;
            }
        }

        _mostParts = BinaryPrimitives.ReadUInt16LittleEndian(shared[SharedArea.MaximumReceiveParts..]) is not 0 and var parts ? parts : ushort.MaxValue;
        _features = BinaryPrimitives.ReadUInt32LittleEndian(shared[SharedArea.Features..]);
        (_transmitCount, _receiveCount, _active, _linkTold) = (transmit, receive, true, _linkUp);
        _filter.Read(_memory, _shared, withGroups: true);
        _vlans.Read(_memory, _shared);
        ReadScaling();
        SetReceiveOffloads();
        return true;
    }
}
