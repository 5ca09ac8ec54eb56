using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio;

/// <summary>
/// What all devices have in common: status, feature negotiation, queues, reset. A transport shows it to the guest; a device adds what it does. One lock guards all of it; the
/// methods that a device overrides are called with it held, on the thread of whoever caused the call.
/// </summary>
public abstract class VirtioDevice
{
    private const ushort FirstQueueField = 32;
    private const ushort FieldsAQueue = 8;
    private const ushort FirstDeviceField = 1024;

    private readonly Virtqueue[] _queues;
    private IInterruptSink? _interrupts;
    private bool _resetPending;

    private protected VirtioDevice(string name, DeviceType type, ILock gate, GuestMemory memory, int queueCount, ushort queueSize)
    {
        Name = name;
        Type = type;
        Gate = gate;
        Memory = memory;
        _queues = new Virtqueue[queueCount];
        for (int i = 0; i < queueCount; i++)
        {
            _queues[i] = new Virtqueue(memory, queueSize);
        }
    }

    /// <summary>Unique in the machine.</summary>
    public string Name { get; }

    /// <summary>What it is.</summary>
    public DeviceType Type { get; }

    internal ReadOnlySpan<Virtqueue> Queues => _queues;

    /// <summary>Features that the driver and the device have agreed on; none before they have.</summary>
    internal ulong Features { get; private set; }

    internal DeviceStatus Status { get; private set; }

    /// <summary>Changes with the configuration.</summary>
    internal byte ConfigurationGeneration { get; private set; }

    /// <summary>What the device can do beyond <see cref="TransportFeatures"/>.</summary>
    internal abstract ulong DeviceFeatures { get; }

    private protected ILock Gate { get; }

    private protected GuestMemory Memory { get; }

    /// <summary>Whether the driver has said that it is ready, and nothing is broken.</summary>
    private protected bool IsRunning { get; private set; }

    /// <summary>Whether the host serves nobody: before <see cref="Start"/>, and from <see cref="Stop"/> on.</summary>
    private protected bool IsStopped { get; private set; } = true;

    /// <summary>Whether there is a driver, and the host serves it.</summary>
    private protected bool IsServing => IsRunning && !IsStopped;

    internal ulong OfferedFeatures => DeviceFeatures | TransportFeatures.All;

    /// <summary>What the driver has written so far.</summary>
    internal ulong DriverFeatures { get; private set; }

    internal void Connect(IInterruptSink interrupts) => _interrupts = interrupts;

    internal void Enter() => Gate.Enter();

    internal void Exit() => Gate.Exit();

    /// <summary>The driver writes half of its features. Afterwards they are as they were if they have been agreed on.</summary>
    internal void SetDriverFeatures(uint half, uint value)
    {
        if ((Status & DeviceStatus.FeaturesOk) == 0 && half < 2)
        {
            int shift = (int)half * 32;
            DriverFeatures = (DriverFeatures & ~(0xffff_ffffUL << shift)) | ((ulong)value << shift);
        }
    }

    /// <summary>The driver writes the status. Bits are only ever added; zero resets.</summary>
    internal void SetStatus(byte value)
    {
        if (value == 0)
        {
            Reset();
            return;
        }

        if (_resetPending)
        {
            return;
        }

        DeviceStatus added = (DeviceStatus)value & ~Status & (DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk | DeviceStatus.FeaturesOk | DeviceStatus.Failed);
        if ((added & DeviceStatus.FeaturesOk) != 0)
        {
            bool acceptable = (DriverFeatures & ~OfferedFeatures) == 0 && (DriverFeatures & TransportFeatures.Version1) != 0 && AcceptsFeatures(DriverFeatures);
            Features = acceptable ? DriverFeatures : 0;
            added &= acceptable ? ~DeviceStatus.None : ~(DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        }

        // Features come first (section 3.1.1): a driver that has none does not get to be one.
        added &= ((Status | added) & DeviceStatus.FeaturesOk) != 0 ? ~DeviceStatus.None : ~DeviceStatus.DriverOk;
        Status |= added;
        if ((added & DeviceStatus.DriverOk) != 0)
        {
            foreach (Virtqueue queue in _queues)
            {
                queue.Activate(Features);
            }

            IsRunning = true;
            CheckQueues();
            Serve();
        }
    }

    /// <summary>The driver says that a queue has something new.</summary>
    internal void Notify(int queue)
    {
        if (IsServing && (uint)queue < (uint)_queues.Length && _queues[queue].IsActive)
        {
            OnNotified(queue);
            CheckQueues();
        }
    }

    /// <summary>Resets the device. Work that the host is still at keeps the old status until it has ended.</summary>
    internal void Reset()
    {
        IsRunning = false;
        _resetPending = true;
        if (TryQuiesce())
        {
            FinishReset();
        }
    }

    internal void Save(IStateWriter state)
    {
        Enter();
        state.Write(1, (ulong)Status);
        state.Write(2, DriverFeatures);
        state.Write(3, Features);
        state.Write(4, (ulong)ConfigurationGeneration);
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i].Save(state, (ushort)(FirstQueueField + (i * FieldsAQueue)));
        }

        SaveDevice(state, FirstDeviceField);
        Exit();
    }

    internal bool Restore(IStateReader state)
    {
        byte status = 0;
        byte generation = 0;
        ulong driverFeatures = 0;
        ulong features = 0;
        Enter();
        bool valid = state.TryTake(1, ref status) & state.TryTake(2, ref driverFeatures) & state.TryTake(3, ref features) & state.TryTake(4, ref generation);
        DeviceStatus bits = (DeviceStatus)status;
        valid &= (features & ~OfferedFeatures) == 0;
        if ((bits & DeviceStatus.FeaturesOk) != 0)
        {
            valid &= (features & TransportFeatures.Version1) != 0 && AcceptsFeatures(features);
        }
        else
        {
            valid &= features == 0 && (bits & DeviceStatus.DriverOk) == 0;
        }

        for (int i = 0; i < _queues.Length && valid; i++)
        {
            valid = _queues[i].Restore(state, (ushort)(FirstQueueField + (i * FieldsAQueue)), features);
        }

        if (valid)
        {
            Status = bits;
            DriverFeatures = driverFeatures;
            Features = features;
            ConfigurationGeneration = generation;
            IsRunning = (bits & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) == DeviceStatus.DriverOk;
            valid = RestoreDevice(state, FirstDeviceField);
        }

        Exit();
        return valid;
    }

    /// <summary>Begins work with the host, also at what has come meanwhile.</summary>
    internal void Start()
    {
        Enter();
        IsStopped = false;
        Serve();
        Exit();
        StartBackend();
    }

    /// <summary>Ends it, and waits until nothing is under way. Without the lock.</summary>
    internal void Stop()
    {
        Enter();
        IsStopped = true;
        Exit();
        StopBackend();
    }

    /// <summary>Reads the device's configuration. What lies behind it is zero.</summary>
    internal abstract void ReadConfiguration(uint offset, Span<byte> data);

    /// <summary>Writes it, as far as a driver may.</summary>
    internal abstract void WriteConfiguration(uint offset, ReadOnlySpan<byte> data);

    /// <summary>Whether a set of features, all of them offered, makes sense.</summary>
    private protected abstract bool AcceptsFeatures(ulong features);

    /// <summary>Has what serves the device begin. Without the lock.</summary>
    private protected virtual void StartBackend()
    {
    }

    /// <summary>Has it end, and waits until nothing is under way. Without the lock.</summary>
    private protected virtual void StopBackend()
    {
    }

    /// <summary>The driver is ready, and the host serves it: whatever the queues hold is new.</summary>
    private protected abstract void OnRunning();

    /// <summary>A queue that is active has something new, and the host serves it.</summary>
    private protected abstract void OnNotified(int queue);

    /// <summary>Gives up all work, because the device is being reset.</summary>
    /// <returns><c>false</c> if the host is still at some; the device calls <see cref="OnQuiescent"/> when that has ended.</returns>
    private protected abstract bool TryQuiesce();

    /// <summary>Writes the device's own state.</summary>
    private protected abstract void SaveDevice(IStateWriter state, ushort firstField);

    /// <summary>Takes it back.</summary>
    private protected abstract bool RestoreDevice(IStateReader state, ushort firstField);

    /// <summary>The work that a reset waited for has ended.</summary>
    private protected void OnQuiescent()
    {
        if (_resetPending)
        {
            FinishReset();
        }
    }

    /// <summary>Whether both sides have agreed on a feature.</summary>
    private protected bool Has(ulong feature) => (Features & feature) != 0;

    /// <summary>Lets the driver see what was pushed to a queue.</summary>
    private protected void Publish(Virtqueue queue)
    {
        if (queue.Publish())
        {
            _interrupts?.RaiseQueue(queue.Vector);
        }
    }

    /// <summary>The configuration has changed.</summary>
    private protected void ChangeConfiguration()
    {
        ConfigurationGeneration++;
        if ((Status & DeviceStatus.DriverOk) != 0)
        {
            _interrupts?.RaiseConfiguration();
        }
    }

    /// <summary>Stops the device and tells the driver, if a queue is broken.</summary>
    private protected void CheckQueues()
    {
        foreach (Virtqueue queue in _queues)
        {
            if (queue.IsBroken && (Status & DeviceStatus.NeedsReset) == 0)
            {
                Status |= DeviceStatus.NeedsReset;
                IsRunning = false;
                _interrupts?.RaiseConfiguration();
            }
        }
    }

    private void Serve()
    {
        if (IsServing)
        {
            OnRunning();
            CheckQueues();
        }
    }

    private void FinishReset()
    {
        _resetPending = false;
        Status = DeviceStatus.None;
        DriverFeatures = 0;
        Features = 0;
        foreach (Virtqueue queue in _queues)
        {
            queue.Reset();
        }
    }
}
