using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Pci;

namespace Lamina.Virtio.Transport;

/// <summary>
/// A device on a PCI bus (virtio 1.2, section 4.1), modern interface only. Base address register 0 holds all registers, register 1 the MSI-X table: one
/// vector for the configuration and one a queue. Without MSI-X it uses INTA.
/// </summary>
public sealed class PciTransport : IDevice, IDoorbellWindow, IDoorbellTarget, IInterruptSink
{
    private const ushort VendorId = 0x1af4;
    private const ushort FirstDeviceId = 0x1040;
    private const byte VendorCapability = 0x09;
    private const ulong WindowLength = 0x4000;
    private const uint InterruptStatus = 0x1000;
    private const uint DeviceConfiguration = 0x2000;
    private const uint Notification = 0x3000;
    private const uint SectionLength = 0x1000;
    private const uint CommonLength = 0x38;
    private const uint NotificationMultiplier = 4;
    private const byte QueueInterrupt = 1;
    private const byte ConfigurationInterrupt = 2;

    private readonly VirtioDevice _device;
    private readonly MsixTable _msix;
    private readonly Doorbell[] _doorbells;
    private readonly PciConfigurationAccess _access;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private ushort _queueSelect;
    private ushort _configurationVector = Queue.Virtqueue.NoVector;
    private byte _interruptStatus;
    private bool _started;
    private bool _stopped;
    private ulong _heldRings;

    /// <summary>Makes the function for a device; <paramref name="functionLock"/> and <paramref name="tableLock"/> are its own.</summary>
    public PciTransport(VirtioDevice device, ILock functionLock, ILock tableLock, IMessageInterruptSink messages)
    {
        _device = device;
        ushort id = (ushort)(FirstDeviceId + (int)device.Type);
        Function = new PciFunction(functionLock, new PciIdentity(VendorId, id, ClassCode(device.Type), 1, VendorId, id, InterruptPin: 1));
        _msix = new MsixTable(tableLock, messages, device.Queues.Length + 1);
        Function.AddBar(0, PciBarKind.Memory32, WindowLength, this, $"{device.Name} registers");
        Function.AddMsix(1, _msix, $"{device.Name} msix");
        AddCapability(1, 0, CommonLength, []);
        AddCapability(2, Notification, SectionLength, [(byte)NotificationMultiplier, 0, 0, 0]);
        AddCapability(3, InterruptStatus, 4, []);
        AddCapability(4, DeviceConfiguration, SectionLength, []);
        int access = AddCapability(5, 0, 0, [0, 0, 0, 0]);
        _access = new PciConfigurationAccess(Function, access, this, _msix);
        Function.SetTrap(access + PciConfigurationAccess.DataOffset, 4, _access);
        _doorbells = new Doorbell[device.Queues.Length];
        for (int i = 0; i < _doorbells.Length; i++)
        {
            _doorbells[i] = new Doorbell(Notification + ((uint)i * NotificationMultiplier), 2, this, i);
        }

        device.Connect(this);
    }

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    /// <inheritdoc/>
    public string Name => _device.Name;

    /// <inheritdoc/>
    public ReadOnlySpan<Doorbell> Doorbells => _doorbells;

    /// <inheritdoc/>
    public void Ring(int number)
    {
        if (!Function.IsBusMaster)
        {
            return;
        }

        _device.Enter();
        if (_stopped)
        {
            // An accelerator that rings on a thread of its own may come after the stop.
            _heldRings |= 1UL << number;
        }
        else
        {
            _device.Notify(number);
        }

        _device.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        if (!_started)
        {
            _started = true;
            _device.Enter();
            _stopped = false;
            ulong rings = _heldRings;
            _heldRings = 0;
            _device.Exit();
            _device.Start();
            for (int i = 0; rings != 0; i++, rings >>= 1)
            {
                if ((rings & 1) != 0)
                {
                    Ring(i);
                }
            }
        }
    }

    /// <inheritdoc/>
    public void Stop()
    {
        if (_started)
        {
            _started = false;
            _device.Enter();
            _stopped = true;
            _device.Exit();
            _device.Stop();
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        // Nothing may be under way any more: the memory is about to be somebody else's.
        bool started = _started;
        Stop();
        _device.Enter();
        _device.Reset();
        _heldRings = 0;
        ResetRegisters();
        _device.Exit();
        Function.Reset();
        if (started)
        {
            Start();
        }
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        _device.Save(state);
        state.Write(8, _deviceFeatureSelect);
        state.Write(9, _driverFeatureSelect);
        state.Write(10, (ulong)_queueSelect);
        state.Write(11, (ulong)_configurationVector);
        state.Write(12, (ulong)_interruptStatus);
        Function.Save(state, 13);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(8, ref _deviceFeatureSelect) & state.TryTake(9, ref _driverFeatureSelect) & state.TryTake(10, ref _queueSelect)
            & state.TryTake(11, ref _configurationVector) & state.TryTake(12, QueueInterrupt | ConfigurationInterrupt, ref _interruptStatus);
        return valid && Function.Restore(state, 13) && _device.Restore(state);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        uint section = (uint)offset & ~(SectionLength - 1);
        uint at = (uint)offset & (SectionLength - 1);
        _device.Enter();
        switch (section)
        {
            case 0:
                ReadCommon(at, data);
                break;
            case InterruptStatus when at == 0:
                data[0] = _interruptStatus;
                _interruptStatus = 0;
                Function.SetInterrupt(false);
                break;
            case DeviceConfiguration:
                _device.ReadConfiguration(at, data);
                break;
        }

        _device.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        uint section = (uint)offset & ~(SectionLength - 1);
        uint at = (uint)offset & (SectionLength - 1);
        if (section == Notification)
        {
            Ring((int)(at / NotificationMultiplier));
            return AccessResult.Done;
        }

        _device.Enter();
        if (section == 0)
        {
            WriteCommon(at, data);
        }
        else if (section == DeviceConfiguration)
        {
            _device.WriteConfiguration(at, data);
        }

        _device.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    void IInterruptSink.RaiseQueue(ushort vector) => Raise(vector, QueueInterrupt);

    /// <inheritdoc/>
    void IInterruptSink.RaiseConfiguration() => Raise(_configurationVector, ConfigurationInterrupt);

    private static uint ClassCode(DeviceType type) => type switch
    {
        DeviceType.Network => 0x02_0000,
        DeviceType.Block => 0x01_8000,
        DeviceType.Console => 0x07_8000,
        DeviceType.FileSystem => 0x01_8000,
        _ => 0xff_0000,
    };

    private int AddCapability(byte type, uint offset, uint length, ReadOnlySpan<byte> more)
    {
        Span<byte> body = stackalloc byte[14 + more.Length];
        Span<byte> writable = stackalloc byte[body.Length];
        body.Clear();
        writable.Clear();
        body[0] = (byte)(body.Length + 2);
        body[1] = type;
        LittleEndian.Put(body.Slice(6, 4), offset);
        LittleEndian.Put(body.Slice(10, 4), length);
        more.CopyTo(body[14..]);
        if (type == 5)
        {
            // Which bytes of which register the window in the configuration space shows.
            writable[2] = 0xff;
            writable.Slice(6, 8).Fill(0xff);
        }

        return Function.AddCapability(VendorCapability, body, writable);
    }

    private void Raise(ushort vector, byte cause)
    {
        if (_msix.IsEnabled)
        {
            _msix.Raise(vector);
        }
        else
        {
            _interruptStatus |= cause;
            Function.SetInterrupt(true);
        }
    }

    private void ResetRegisters()
    {
        _deviceFeatureSelect = 0;
        _driverFeatureSelect = 0;
        _queueSelect = 0;
        _configurationVector = Queue.Virtqueue.NoVector;
        _interruptStatus = 0;
    }

    private ushort CheckVector(ushort vector) => vector < _msix.VectorCount ? vector : Queue.Virtqueue.NoVector;

    private void ReadCommon(uint offset, Span<byte> data)
    {
        Queue.Virtqueue? queue = _queueSelect < _device.Queues.Length ? _device.Queues[_queueSelect] : null;
        ulong value = (CommonRegister)offset switch
        {
            CommonRegister.DeviceFeatureSelect => _deviceFeatureSelect,
            CommonRegister.DeviceFeature => _deviceFeatureSelect < 2 ? (uint)(_device.OfferedFeatures >> ((int)_deviceFeatureSelect * 32)) : 0,
            CommonRegister.DriverFeatureSelect => _driverFeatureSelect,
            CommonRegister.DriverFeature => _driverFeatureSelect < 2 ? (uint)(_device.DriverFeatures >> ((int)_driverFeatureSelect * 32)) : 0,
            CommonRegister.ConfigurationVector => _configurationVector,
            CommonRegister.QueueCount => (ulong)_device.Queues.Length,
            CommonRegister.Status => (ulong)_device.Status,
            CommonRegister.ConfigurationGeneration => _device.ConfigurationGeneration,
            CommonRegister.QueueSelect => _queueSelect,
            CommonRegister.QueueSize => queue?.Size ?? 0UL,
            CommonRegister.QueueVector => queue?.Vector ?? Queue.Virtqueue.NoVector,
            CommonRegister.QueueEnable => queue is { Enabled: true } ? 1UL : 0,
            CommonRegister.QueueNotifyOffset => _queueSelect,
            CommonRegister.QueueDescriptors => queue?.Addresses.Descriptors ?? 0,
            CommonRegister.QueueDescriptorsHigh => (queue?.Addresses.Descriptors ?? 0) >> 32,
            CommonRegister.QueueDriver => queue?.Addresses.Driver ?? 0,
            CommonRegister.QueueDriverHigh => (queue?.Addresses.Driver ?? 0) >> 32,
            CommonRegister.QueueDevice => queue?.Addresses.Device ?? 0,
            CommonRegister.QueueDeviceHigh => (queue?.Addresses.Device ?? 0) >> 32,
            _ => 0,
        };
        LittleEndian.Put(data, value);
    }

    private void WriteCommon(uint offset, ReadOnlySpan<byte> data)
    {
        uint value = (uint)LittleEndian.Get(data);
        switch ((CommonRegister)offset)
        {
            case CommonRegister.DeviceFeatureSelect:
                _deviceFeatureSelect = value;
                break;
            case CommonRegister.DriverFeatureSelect:
                _driverFeatureSelect = value;
                break;
            case CommonRegister.DriverFeature:
                _device.SetDriverFeatures(_driverFeatureSelect, value);
                break;
            case CommonRegister.ConfigurationVector:
                _configurationVector = CheckVector((ushort)value);
                break;
            case CommonRegister.Status:
                _device.SetStatus((byte)value);
                if ((byte)value == 0)
                {
                    ResetRegisters();
                    Function.SetInterrupt(false);
                }

                break;
            case CommonRegister.QueueSelect:
                _queueSelect = (ushort)value;
                break;
            default:
                if (_queueSelect < _device.Queues.Length)
                {
                    WriteQueue(_device.Queues[_queueSelect], (CommonRegister)offset, data, value);
                }

                break;
        }
    }

    private void WriteQueue(Queue.Virtqueue queue, CommonRegister register, ReadOnlySpan<byte> data, uint value)
    {
        if (register == CommonRegister.QueueVector)
        {
            queue.Vector = CheckVector((ushort)value);
            return;
        }

        if (queue.Enabled)
        {
            // Only a reset takes a queue out of use again.
            return;
        }

        Queue.QueueAddresses addresses = queue.Addresses;
        switch (register)
        {
            case CommonRegister.QueueSize when value is > 0 && value <= queue.MaximumSize:
                queue.Size = (ushort)value;
                break;
            case CommonRegister.QueueEnable:
                queue.Enabled = value == 1;
                break;
            case CommonRegister.QueueDescriptors or CommonRegister.QueueDescriptorsHigh:
                queue.Addresses = addresses with { Descriptors = Replace(addresses.Descriptors, register == CommonRegister.QueueDescriptorsHigh, data, value) };
                break;
            case CommonRegister.QueueDriver or CommonRegister.QueueDriverHigh:
                queue.Addresses = addresses with { Driver = Replace(addresses.Driver, register == CommonRegister.QueueDriverHigh, data, value) };
                break;
            case CommonRegister.QueueDevice or CommonRegister.QueueDeviceHigh:
                queue.Addresses = addresses with { Device = Replace(addresses.Device, register == CommonRegister.QueueDeviceHigh, data, value) };
                break;
        }
    }

    private static ulong Replace(ulong address, bool high, ReadOnlySpan<byte> data, uint value)
    {
        return high ? (uint)address | ((ulong)value << 32) : data.Length == 8 ? LittleEndian.Get(data) : (address & 0xffff_ffff_0000_0000) | value;
    }
}
