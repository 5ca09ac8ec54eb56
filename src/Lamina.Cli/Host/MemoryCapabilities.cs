using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Interop.Probing;

namespace Lamina.Cli.Host;

/// <summary>What guest memory can be made of.</summary>
internal static class MemoryCapabilities
{
    private const string Group = "Memory";
    private const string HugePageDirectory = "/sys/kernel/mm/hugepages";

    /// <summary>Looks.</summary>
    public static IEnumerable<Capability> Collect()
    {
        ulong available = ulong.TryParse(HostFiles.ReadField("/proc/meminfo", "MemAvailable").Split(' ')[0], CultureInfo.InvariantCulture, out ulong kibibytes)
            ? kibibytes << 10
            : 0;
        yield return new Capability(Group, "RAM", CapabilityState.Yes, $"{MemorySize.Format(HostMemory.Total)}, {MemorySize.Format(available)} free", "--memory may ask for all of it");

        string huge = HostFiles.ReadChoice("/sys/kernel/mm/transparent_hugepage/enabled");
        yield return new Capability(
            Group,
            "transparent huge pages",
            huge is "always" or "madvise" ? CapabilityState.Yes : CapabilityState.No,
            huge.Length == 0 ? "not in this kernel" : huge,
            huge is "always" or "madvise" ? "guest memory uses 2 MiB pages" : "guest memory uses 4 KiB pages");
        yield return DescribeReserved();
        yield return DescribeSharing();
        yield return KernelProbe.HasUserFault(out int error)
            ? new Capability(Group, "userfaultfd", CapabilityState.Yes, "allowed", "guests can start before their memory has arrived")
            : new Capability(Group, "userfaultfd", CapabilityState.No, KernelProbe.Describe(error), "guest memory must be complete before a guest starts");
    }

    private static Capability DescribeReserved()
    {
        List<string> sizes = [];
        if (Directory.Exists(HugePageDirectory))
        {
            foreach (string directory in Directory.EnumerateDirectories(HugePageDirectory).Order(StringComparer.Ordinal))
            {
                string count = HostFiles.Read(Path.Combine(directory, "nr_hugepages"));
                if (count is not ("" or "0"))
                {
                    sizes.Add($"{count} of {Path.GetFileName(directory)["hugepages-".Length..]}");
                }
            }
        }

        return sizes.Count > 0
            ? new Capability(Group, "reserved huge pages", CapabilityState.Yes, string.Join(", ", sizes), "not used in this version")
            : new Capability(Group, "reserved huge pages", CapabilityState.No, "none reserved", "transparent huge pages serve where they are allowed");
    }

    private static Capability DescribeSharing()
    {
        return HostFiles.Read("/sys/kernel/mm/ksm/run") switch
        {
            "" => new Capability(Group, "same-page merging", CapabilityState.No, "not in this kernel", "equal pages of guests are kept twice"),
            "1" => new Capability(Group, "same-page merging", CapabilityState.Yes, "running", "not used in this version"),
            _ => new Capability(Group, "same-page merging", CapabilityState.Limited, "switched off", "equal pages of guests are kept twice"),
        };
    }
}
