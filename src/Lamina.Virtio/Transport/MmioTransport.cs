using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Transport;

/// <summary>
/// A device whose registers are somewhere in memory (virtio 1.2, section 4.2), of version 2. It has one interrupt line, asserted until the driver has acknowledged everything, and
/// shares it as functions of PCI share theirs.
/// </summary>
public sealed class MmioTransport : IDevice, IRegisterWindow, IInterruptSink
{
    /// <summary>Bytes of the registers.</summary>
    public const int WindowLength = 0x1000;

    private const uint Magic = 0x7472_6976;
    private const uint Version = 2;
    private const uint VendorId = 0x1af4;
    private const uint QueueInterrupt = 1;
    private const uint ConfigurationInterrupt = 2;

    private readonly VirtioDevice _device;
    private readonly IPciPins _pins;
    private readonly int _line;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private uint _queueSelect;
    private uint _interruptStatus;
    private bool _asserted;
    private bool _started;

    /// <summary>Makes the registers of a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="pins">What its interrupt is wired to.</param>
    /// <param name="line">Which device it is there.</param>
    public MmioTransport(VirtioDevice device, IPciPins pins, int line)
    {
        _device = device;
        _pins = pins;
        _line = line;
        device.Connect(this);
    }

    /// <inheritdoc/>
    public string Name => _device.Name;

    /// <inheritdoc/>
    public void Start()
    {
        if (!_started)
        {
            _started = true;
            _device.Start();
        }
    }

    /// <inheritdoc/>
    public void Stop()
    {
        if (_started)
        {
            _started = false;
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
        ResetRegisters();
        _device.Exit();
        if (started)
        {
            Start();
        }
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        _device.Save(state);
        state.Write(8, (ulong)_deviceFeatureSelect);
        state.Write(9, (ulong)_driverFeatureSelect);
        state.Write(10, (ulong)_queueSelect);
        state.Write(11, (ulong)_interruptStatus);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(8, ref _deviceFeatureSelect) & state.TryTake(9, ref _driverFeatureSelect) & state.TryTake(10, ref _queueSelect)
            & state.TryTake(11, ref _interruptStatus);
        _interruptStatus &= QueueInterrupt | ConfigurationInterrupt;
        bool asserted = _interruptStatus != 0;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _pins.RestorePin(_line, 0, asserted);
        }

        return valid && _device.Restore(state);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        if (offset >= (uint)MmioRegister.Configuration)
        {
            _device.Enter();
            _device.ReadConfiguration((uint)offset - (uint)MmioRegister.Configuration, data);
            _device.Exit();
            return AccessResult.Done;
        }

        // A driver reads registers whole.
        if (data.Length != sizeof(uint) || offset % sizeof(uint) != 0)
        {
            return AccessResult.BadWidth;
        }

        _device.Enter();
        LittleEndian.Put(data, ReadRegister((MmioRegister)offset));
        _device.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset < (uint)MmioRegister.Configuration && (data.Length != sizeof(uint) || offset % sizeof(uint) != 0))
        {
            return AccessResult.BadWidth;
        }

        _device.Enter();
        if (offset >= (uint)MmioRegister.Configuration)
        {
            _device.WriteConfiguration((uint)offset - (uint)MmioRegister.Configuration, data);
        }
        else
        {
            WriteRegister((MmioRegister)offset, (uint)LittleEndian.Get(data));
        }

        _device.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    void IInterruptSink.RaiseQueue(ushort vector) => SetInterrupts(_interruptStatus | QueueInterrupt);

    /// <inheritdoc/>
    void IInterruptSink.RaiseConfiguration() => SetInterrupts(_interruptStatus | ConfigurationInterrupt);

    private Virtqueue? SelectedQueue => _queueSelect < (uint)_device.Queues.Length ? _device.Queues[(int)_queueSelect] : null;

    // With the device's lock held, as everything here that changes registers.
    private void SetInterrupts(uint status)
    {
        _interruptStatus = status;
        bool asserted = status != 0;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _pins.SetPin(_line, 0, asserted);
        }
    }

    private void ResetRegisters()
    {
        _deviceFeatureSelect = 0;
        _driverFeatureSelect = 0;
        _queueSelect = 0;
        SetInterrupts(0);
    }

    private ulong ReadRegister(MmioRegister register) => register switch
    {
        MmioRegister.Magic => Magic,
        MmioRegister.Version => Version,
        MmioRegister.DeviceId => (ulong)_device.Type,
        MmioRegister.VendorId => VendorId,
        MmioRegister.DeviceFeatures => _deviceFeatureSelect < 2 ? (uint)(_device.OfferedFeatures >> ((int)_deviceFeatureSelect * 32)) : 0,
        MmioRegister.QueueSizeMaximum => SelectedQueue?.MaximumSize ?? 0UL,
        MmioRegister.QueueReady => SelectedQueue is { Enabled: true } ? 1UL : 0,
        MmioRegister.InterruptStatus => _interruptStatus,
        MmioRegister.Status => (ulong)_device.Status,
        MmioRegister.ConfigurationGeneration => _device.ConfigurationGeneration,

        // There is no shared memory: all its regions have the length -1.
        MmioRegister.SharedMemoryLength or MmioRegister.SharedMemoryLengthHigh or MmioRegister.SharedMemoryBase or MmioRegister.SharedMemoryBaseHigh => uint.MaxValue,
        _ => 0,
    };

    private void WriteRegister(MmioRegister register, uint value)
    {
        switch (register)
        {
            case MmioRegister.DeviceFeaturesSelect:
                _deviceFeatureSelect = value;
                break;
            case MmioRegister.DriverFeatures:
                _device.SetDriverFeatures(_driverFeatureSelect, value);
                break;
            case MmioRegister.DriverFeaturesSelect:
                _driverFeatureSelect = value;
                break;
            case MmioRegister.QueueSelect:
                _queueSelect = value;
                break;
            case MmioRegister.QueueNotify:
                // The lower half; the upper one has more for drivers that agreed on that.
                _device.Notify((int)(value & 0xffff));
                break;
            case MmioRegister.InterruptAcknowledge:
                SetInterrupts(_interruptStatus & ~value);
                break;
            case MmioRegister.Status:
                _device.SetStatus((byte)value);
                if ((byte)value == 0)
                {
                    ResetRegisters();
                }

                break;
            default:
                if (SelectedQueue is { } queue)
                {
                    WriteQueue(queue, register, value);
                }

                break;
        }
    }

    private static void WriteQueue(Virtqueue queue, MmioRegister register, uint value)
    {
        if (queue.Enabled)
        {
            // Only a reset takes a queue out of use again.
            return;
        }

        QueueAddresses addresses = queue.Addresses;
        switch (register)
        {
            case MmioRegister.QueueSize when value is > 0 && value <= queue.MaximumSize:
                queue.Size = (ushort)value;
                break;
            case MmioRegister.QueueReady:
                queue.Enabled = value == 1;
                break;
            case MmioRegister.QueueDescriptors or MmioRegister.QueueDescriptorsHigh:
                queue.Addresses = addresses with { Descriptors = Replace(addresses.Descriptors, register == MmioRegister.QueueDescriptorsHigh, value) };
                break;
            case MmioRegister.QueueDriver or MmioRegister.QueueDriverHigh:
                queue.Addresses = addresses with { Driver = Replace(addresses.Driver, register == MmioRegister.QueueDriverHigh, value) };
                break;
            case MmioRegister.QueueDevice or MmioRegister.QueueDeviceHigh:
                queue.Addresses = addresses with { Device = Replace(addresses.Device, register == MmioRegister.QueueDeviceHigh, value) };
                break;
        }
    }

    private static ulong Replace(ulong address, bool high, uint value) => high ? (uint)address | ((ulong)value << 32) : (address & 0xffff_ffff_0000_0000) | value;
}
