namespace Lamina.Cli.Images;

/// <summary>What a machine has that its guest needs drivers for.</summary>
[Flags]
internal enum GuestHardware
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Disks.</summary>
    Disk = 1,

    /// <summary>Network cards.</summary>
    Network = 2,

    /// <summary>Shared folders.</summary>
    Share = 4,

    /// <summary>Sockets to the host.</summary>
    Socket = 8,

    /// <summary>A virtio console, or ports.</summary>
    Console = 16,

    /// <summary>A memory balloon.</summary>
    Balloon = 32,

    /// <summary>Virtio devices in memory, rather than on a PCI bus.</summary>
    MappedDevices = 64,

    /// <summary>Disks and network cards are VMware's.</summary>
    VMware = 128,

    /// <summary>Disks and network cards are Hyper-V's, and so is what asks the guest to stop.</summary>
    HyperV = 256,

    /// <summary>Disks and network cards are Xen's.</summary>
    Xen = 512,

    /// <summary>A screen, with a keyboard and a mouse.</summary>
    Screen = 1024,

    /// <summary>Memory that comes while it runs.</summary>
    HotAdd = 2048,
}
