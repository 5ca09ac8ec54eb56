using Lamina.Cli.Tools;
using Lamina.Interop.Probing;

namespace Lamina.Cli.Host;

/// <summary>What devices of a guest can stand on.</summary>
internal static class DeviceCapabilities
{
    private const string Group = "Devices";
    private const string Later = "not used in this version";

    /// <summary>Looks.</summary>
    public static IEnumerable<Capability> Collect()
    {
        ToolRunner tools = new();
        yield return KernelProbe.HasRing(out int error)
            ? new Capability(Group, "io_uring", CapabilityState.Yes, "allowed", "disks read and write through it")
            : new Capability(Group, "io_uring", CapabilityState.No, KernelProbe.Describe(error), "disks use threads");
        yield return DescribeNode("tap", "/dev/net/tun", "--net tap= and --net bridge= give guests network cards of the host", "guests need user-mode networking");
        yield return DescribeNode("vhost-net", "/dev/vhost-net", Later, "packets go through the VM's process");
        yield return DescribeNode("vhost-vsock", "/dev/vhost-vsock", Later, "sockets to guests go through the VM's process");
        yield return DescribeNode("VFIO", "/dev/vfio/vfio", Later, "host devices cannot be given to guests");
        yield return tools.Exists("passt")
            ? new Capability(Group, "passt", CapabilityState.Yes, "installed", "--net user gives guests the host's network")
            : new Capability(Group, "passt", CapabilityState.No, "not installed", "the package passt brings user-mode networking");
        yield return tools.Exists("apt-get") && tools.Exists("dpkg-deb")
            ? new Capability(Group, "Debian packages", CapabilityState.Yes, "apt-get and dpkg-deb", "'lamina run debian' can fetch its image")
            : new Capability(Group, "Debian packages", CapabilityState.No, "no apt-get or dpkg-deb", "'lamina run debian' cannot fetch its image; use --kernel");
    }

    private static Capability DescribeNode(string name, string path, string consequence, string otherwise)
    {
        return HostFiles.CanOpen(path, out string problem)
            ? new Capability(Group, name, CapabilityState.Yes, path, consequence)
            : new Capability(Group, name, CapabilityState.No, $"{path}: {problem}", otherwise);
    }
}
