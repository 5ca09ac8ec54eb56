namespace Lamina.Virtio.Transport;

/// <summary>Offsets of the registers of a memory-mapped device (virtio 1.2, section 4.2.2).</summary>
internal enum MmioRegister : uint
{
    Magic = 0x000,
    Version = 0x004,
    DeviceId = 0x008,
    VendorId = 0x00c,
    DeviceFeatures = 0x010,
    DeviceFeaturesSelect = 0x014,
    DriverFeatures = 0x020,
    DriverFeaturesSelect = 0x024,
    QueueSelect = 0x030,
    QueueSizeMaximum = 0x034,
    QueueSize = 0x038,
    QueueReady = 0x044,
    QueueNotify = 0x050,
    InterruptStatus = 0x060,
    InterruptAcknowledge = 0x064,
    Status = 0x070,
    QueueDescriptors = 0x080,
    QueueDescriptorsHigh = 0x084,
    QueueDriver = 0x090,
    QueueDriverHigh = 0x094,
    QueueDevice = 0x0a0,
    QueueDeviceHigh = 0x0a4,
    SharedMemoryLength = 0x0b0,
    SharedMemoryLengthHigh = 0x0b4,
    SharedMemoryBase = 0x0b8,
    SharedMemoryBaseHigh = 0x0bc,
    ConfigurationGeneration = 0x0fc,
    Configuration = 0x100,
}
