namespace Lamina.Virtio.Transport;

/// <summary>Offsets in the common configuration structure (virtio 1.2, section 4.1.4.3).</summary>
internal enum CommonRegister : uint
{
    DeviceFeatureSelect = 0x00,
    DeviceFeature = 0x04,
    DriverFeatureSelect = 0x08,
    DriverFeature = 0x0c,
    ConfigurationVector = 0x10,
    QueueCount = 0x12,
    Status = 0x14,
    ConfigurationGeneration = 0x15,
    QueueSelect = 0x16,
    QueueSize = 0x18,
    QueueVector = 0x1a,
    QueueEnable = 0x1c,
    QueueNotifyOffset = 0x1e,
    QueueDescriptors = 0x20,
    QueueDescriptorsHigh = 0x24,
    QueueDriver = 0x28,
    QueueDriverHigh = 0x2c,
    QueueDevice = 0x30,
    QueueDeviceHigh = 0x34,
}
