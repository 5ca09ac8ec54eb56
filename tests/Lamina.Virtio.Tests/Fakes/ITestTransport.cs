using Lamina.Machine.Devices;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>A device behind one of the transports, as far as a driver sees them alike.</summary>
internal interface ITestTransport
{
    /// <summary>The transport.</summary>
    IDevice Lifecycle { get; }

    /// <summary>The status register.</summary>
    byte Status { get; set; }

    /// <summary>What the device offers.</summary>
    ulong OfferedFeatures { get; }

    /// <summary>Writes the driver's features.</summary>
    void Choose(ulong features);

    /// <summary>Resets the device, agrees on features, and sets queues up.</summary>
    void Begin(ulong features, params DriverQueue[] queues);

    /// <summary>Says that a queue has something new.</summary>
    void Kick(int queue);

    /// <summary>Whether the driver was interrupted for buffers, and for the configuration, since it last asked.</summary>
    (bool Queue, bool Configuration) TakeInterrupts();

    /// <summary>Reads the device's configuration.</summary>
    ulong ReadDevice(uint offset, int length);
}
