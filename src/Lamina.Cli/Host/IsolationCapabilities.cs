using System.Globalization;
using Lamina.Interop.Probing;

namespace Lamina.Cli.Host;

/// <summary>What can confine a VM's process and share the host among several.</summary>
internal static class IsolationCapabilities
{
    private const string Group = "Isolation";
    private const string Later = "not used in this version";

    /// <summary>Looks.</summary>
    public static IEnumerable<Capability> Collect()
    {
        yield return DescribeControlGroups();
        yield return HostFiles.ReadField("/proc/self/status", "Seccomp").Length > 0
            ? new Capability(Group, "seccomp", CapabilityState.Yes, "filters allowed", "machines' processes make the system calls that they need, and no others")
            : new Capability(Group, "seccomp", CapabilityState.No, "not in this kernel", "system calls cannot be filtered");
        int landlock = KernelProbe.GetLandlockVersion();
        yield return landlock > 0
            ? new Capability(Group, "Landlock", CapabilityState.Yes, $"version {landlock}", "machines' processes open the files that they need, and no others")
            : new Capability(Group, "Landlock", CapabilityState.No, "not in this kernel", "files cannot be fenced without privilege");
        yield return HasPrivilege()
            ? new Capability(Group, "namespaces", CapabilityState.Yes, "may be made", "machines' processes have a root and messages of their own, and, with --vsock, a network")
            : new Capability(Group, "namespaces", CapabilityState.No, "may not be made by this user", "the rest confines machines' processes");
    }

    // CAP_SYS_ADMIN.
    private static bool HasPrivilege() =>
        File.Exists("/proc/self/ns/mnt") && ulong.TryParse(HostFiles.ReadField("/proc/self/status", "CapEff"), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong effective) && (effective & (1UL << 21)) != 0;

    private static Capability DescribeControlGroups()
    {
        string unified = HostFiles.Read("/sys/fs/cgroup/cgroup.controllers");
        if (unified.Length > 0)
        {
            return new Capability(Group, "control groups", CapabilityState.Yes, $"version 2: {unified}", Later);
        }

        string[] old = [.. HostFiles.Read("/proc/cgroups").Split('\n').Skip(1).Select(l => l.Split('\t')[0]).Where(n => n.Length > 0)];
        return old.Length > 0
            ? new Capability(Group, "control groups", CapabilityState.Limited, $"version 1: {string.Join(' ', old)}", "limits will need version 2")
            : new Capability(Group, "control groups", CapabilityState.No, "none", "VMs share the host without limits");
    }
}
