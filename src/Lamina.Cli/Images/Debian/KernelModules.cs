namespace Lamina.Cli.Images.Debian;

/// <summary>The modules of Debian's kernels that an image's first process loads, by what the machine has. Those that a kernel has built in are missing from its package.</summary>
internal static class KernelModules
{
    /// <summary>Lets the guest report a panic.</summary>
    private static readonly string[] Panic = ["drivers/misc/pvpanic/pvpanic", "drivers/misc/pvpanic/pvpanic-mmio"];

    /// <summary>Makes new random numbers when the machine goes on from a snapshot.</summary>
    private static readonly string[] Generation = ["drivers/virt/vmgenid"];

    private static readonly string[] Virtio =
    [
        "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci",
    ];

    private static readonly string[] Disks = ["drivers/block/virtio_blk"];
    private static readonly string[] FileSystems = ["lib/crc16", "crypto/crc32c_generic", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4"];
    private static readonly string[] Networks = ["net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"];
    private static readonly string[] ScsiDisks =
    [
        "crypto/crct10dif_common", "lib/crc-t10dif", "crypto/crct10dif_generic", "lib/crc64", "crypto/crc64_rocksoft_generic", "lib/crc64-rocksoft", "block/t10-pi", "drivers/scsi/scsi_common", "drivers/scsi/scsi_mod", "drivers/scsi/sd_mod",
    ];

    private static readonly string[] VMwareDisks = ["drivers/scsi/vmw_pvscsi"];

    /// <summary>The bus, and the services by which the guest is asked to stop.</summary>
    private static readonly string[] HyperV = ["drivers/hv/hv_vmbus", "drivers/hv/hv_utils"];

    private static readonly string[] HyperVDisks = ["drivers/scsi/scsi_transport_fc", "drivers/scsi/hv_storvsc"];
    private static readonly string[] HyperVNetworks = ["drivers/net/hyperv/hv_netvsc"];
    private static readonly string[] XenDisks = ["drivers/block/xen-blkfront"];
    private static readonly string[] XenNetworks = ["drivers/net/xen-netfront"];
    private static readonly string[] VMwareNetworks = ["drivers/net/vmxnet3/vmxnet3"];
    private static readonly string[] Shares = ["fs/fuse/fuse", "fs/fuse/virtiofs"];

    private static readonly string[] Sockets =
        ["net/vmw_vsock/vsock", "net/vmw_vsock/vmw_vsock_virtio_transport_common", "net/vmw_vsock/vmw_vsock_virtio_transport"];

    private static readonly string[] HyperVSockets = ["net/vmw_vsock/vsock", "net/vmw_vsock/hv_sock"];
    private static readonly string[] VMwareSockets = ["net/vmw_vsock/vsock", "drivers/misc/vmw_vmci/vmw_vmci", "net/vmw_vsock/vmw_vsock_vmci_transport"];

    /// <summary>Screen, keyboard and mouse, and what programs see these by. The cloud kernel has the older driver of the screen, and the generic one the newer.</summary>
    private static readonly string[] HyperVScreens =
    [
        "drivers/hid/hid", "drivers/hid/hid-hyperv", "drivers/input/serio/hyperv-keyboard", "drivers/input/evdev", "drivers/video/fbdev/hyperv_fb",
        "drivers/gpu/drm/drm", "drivers/gpu/drm/drm_kms_helper", "drivers/gpu/drm/drm_shmem_helper", "drivers/gpu/drm/hyperv/hyperv_drm",
    ];

    // The screen is built in, and the cloud kernel has no driver of the keyboard: it takes the PC's.
    private static readonly string[] XenScreens = ["drivers/input/misc/xen-kbdfront", "drivers/input/evdev"];
    private static readonly string[] Consoles = ["drivers/char/virtio_console"];
    private static readonly string[] Balloons = ["drivers/virtio/virtio_balloon"];
    private static readonly string[] HyperVBalloons = ["drivers/hv/hv_balloon"];

    // The cloud kernel has the other transport's driver, and the generic one has it, too; both find its devices by ACPI.
    private static readonly string[] Platform = ["drivers/virtio/virtio_mmio"];

    /// <summary>Those for any disk and its file system, each after what it needs.</summary>
    public static IReadOnlyList<string> AllDisks { get; } = [.. Disks, .. ScsiDisks, .. VMwareDisks, .. HyperV, .. HyperVDisks, .. XenDisks, .. FileSystems];

    /// <summary>All of them, as paths in the package's module directory without ".ko".</summary>
    public static IReadOnlyList<string> All { get; } = [.. Panic, .. Generation, .. Virtio, .. AllDisks, .. Networks, .. VMwareNetworks, .. HyperVNetworks, .. XenNetworks, .. Shares, .. Sockets, .. HyperVSockets.Except(Sockets), .. VMwareSockets.Except(Sockets), .. Consoles, .. Balloons, .. HyperVBalloons, .. HyperVScreens, .. XenScreens.Except(HyperVScreens), .. Platform];

    /// <summary>Those for a machine, each after what it needs.</summary>
    public static IReadOnlyList<string> Select(GuestHardware hardware)
    {
        return
        [
            .. Panic,
            .. Generation,
            .. hardware == GuestHardware.None ? [] : Virtio,
            .. hardware.HasFlag(GuestHardware.HyperV) ? HyperV : [],
            .. hardware.HasFlag(GuestHardware.Disk) ? SelectDisks(hardware) : [],
            .. hardware.HasFlag(GuestHardware.Network) ? SelectNetworks(hardware) : [],
            .. hardware.HasFlag(GuestHardware.Share) ? Shares : [],
            .. hardware.HasFlag(GuestHardware.Socket) ? SelectSockets(hardware) : [],
            .. hardware.HasFlag(GuestHardware.Console) ? Consoles : [],
            .. hardware.HasFlag(GuestHardware.Balloon) ? hardware.HasFlag(GuestHardware.HyperV) ? HyperVBalloons : Balloons : [],
            .. hardware.HasFlag(GuestHardware.Screen) ? hardware.HasFlag(GuestHardware.Xen) ? XenScreens : HyperVScreens : [],
            .. hardware.HasFlag(GuestHardware.MappedDevices) ? Platform : [],
        ];
    }

    private static string[] SelectNetworks(GuestHardware hardware)
    {
        return hardware.HasFlag(GuestHardware.VMware) ? VMwareNetworks
            : hardware.HasFlag(GuestHardware.Xen) ? XenNetworks
            : hardware.HasFlag(GuestHardware.HyperV) ? HyperVNetworks
            : Networks;
    }

    private static string[] SelectSockets(GuestHardware hardware)
    {
        return hardware.HasFlag(GuestHardware.VMware) ? VMwareSockets
            : hardware.HasFlag(GuestHardware.HyperV) ? HyperVSockets
            : Sockets;
    }

    private static string[] SelectDisks(GuestHardware hardware)
    {
        return hardware.HasFlag(GuestHardware.VMware) ? [.. ScsiDisks, .. VMwareDisks, .. FileSystems]
            : hardware.HasFlag(GuestHardware.Xen) ? [.. XenDisks, .. FileSystems]
            : hardware.HasFlag(GuestHardware.HyperV) ? [.. ScsiDisks, .. HyperVDisks, .. FileSystems]
            : [.. Disks, .. FileSystems];
    }

    /// <summary>Where the cache has a module.</summary>
    public static string GetStoredName(string module) => $"modules/{Path.GetFileName(module)}.ko";
}
