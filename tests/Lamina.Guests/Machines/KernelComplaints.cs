using System.Text.RegularExpressions;

namespace Lamina.Guests.Machines;

/// <summary>Finds lines in which a Linux kernel complains about its machine.</summary>
internal static partial class KernelComplaints
{
    /// <summary>Lines that look like complaints and are none of this machine's fault, each with the reason.</summary>
    private static readonly (string Pattern, string Reason)[] Tolerated =
    [
        (@"^PCI: Using host bridge windows from ACPI; if necessary, use ""pci=nocrs"" and report a bug$", "every machine with ACPI gets this advice"),
        (@"^Performance Events: .*no PMU driver, software events only\.$", "the models have no performance counters"),
        (@"^DMI not present or invalid\.$", "there are no SMBIOS tables yet"),
        (@"^AMD-Vi: .* - This is not a bug\.$", "there is no IOMMU"),
        (@"^intel_pstate: CPU model not supported$", "the models cannot change their frequency"),
        (@"^hpet: Lost \d+ RTC interrupts$", "a guest that runs late because its host is busy says so"),
        (@"^sd \S+: \[sd[ab]\] Write cache: enabled, read cache: enabled, doesn't support DPO or FUA$", "the disk's cache is flushed by command"),
        (@"^x2apic: IRQ remapping doesn't support X2APIC mode$", "there is no IOMMU, and none is needed below 256 processors"),
        ("^HVMOP_pagetable_dying not supported$", "it is a hint for page tables that a hypervisor shadows, and none is here"),
        (@"^installing Xen timer for CPU \d+$", "the word has another one in it"),
        (@"^Invalid max_queues \(4\), will use default max: \d+\.$", "the disk driver's own default is more than there are processors"),
    ];

    /// <summary>The complaints in the output of dmesg.</summary>
    public static IReadOnlyList<string> Find(string messages)
    {
        return
        [
            .. messages.Split('\n')
                .Select(line => TimeStamp().Replace(line.Trim(), ""))
                .Where(line => Suspicious().IsMatch(line) && !Array.Exists(Tolerated, t => Regex.IsMatch(line, t.Pattern))),
        ];
    }

    [GeneratedRegex(@"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")]
    private static partial Regex TimeStamp();

    [GeneratedRegex(
        @"\bbug\b|warning|oops|call trace|unstable|unexpected|spurious|fail|error|\binvalid\b|time-?out|timed out|not supported|unsupported|doesn't support|broken|corrupt|\blost\b"
        + @"|can't|cannot|unable|unknown|missing|malfunction|nobody cared|stuck|lockup|stall|overlap|conflict|bogus|illegal|not responding|skipping|misaligned",
        RegexOptions.IgnoreCase)]
    private static partial Regex Suspicious();
}
