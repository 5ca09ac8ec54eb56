namespace Lamina.Vmm.Snapshots;

/// <summary>What a <see cref="HostResource"/> is.</summary>
public enum HostResourceKind
{
    /// <summary>A disk image or block device, which is opened for reading: a disk, or what one rests on.</summary>
    Disk,

    /// <summary>A tap interface or a bridge.</summary>
    Network,

    /// <summary>A place for the guest's sockets, where files are made.</summary>
    Socket,

    /// <summary>A directory that is shared with the guest.</summary>
    Share,
}
