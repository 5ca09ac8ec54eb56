using System.Globalization;
using Lamina.Boot.Cpu;
using Lamina.Cli.Running;
using Lamina.Interop.Probing;

namespace Lamina.Cli.Host;

/// <summary>What can execute guests, and which processors they can be given.</summary>
internal static class ProcessorCapabilities
{
    private const string Accelerators = "Accelerators";
    private const string Processor = "Processor";
    private const string CpuInfo = "/proc/cpuinfo";
    private const int ExpectedApiVersion = 12;

    // KVM_CAP_* numbers (Linux, include/uapi/linux/kvm.h) of what Lamina's KVM accelerator will use.
    private static readonly (string Name, int Number)[] KvmCapabilities =
        [("irqchip", 0), ("user memory", 3), ("ioeventfd", 36), ("irqfd", 32), ("TSC deadline timer", 72), ("dirty ring", 192), ("split irqchip", 121), ("Hyper-V", 44)];

    private static readonly string[] NotableFeatures =
        ["avx2", "fma", "bmi2", "adx", "aes", "pclmulqdq", "sha_ni", "fsgsbase", "rdrand", "rdseed", "erms", "fsrm", "avx512f", "constant_tsc", "nonstop_tsc"];

    /// <summary>Looks.</summary>
    public static IEnumerable<Capability> Collect()
    {
        string[] flags = HostFiles.ReadField(CpuInfo, "flags").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string? extension = flags.Contains("vmx") ? "Intel VT-x" : flags.Contains("svm") ? "AMD-V" : null;
        bool nested = flags.Contains("hypervisor");
        yield return new Capability(Accelerators, "interpreter", CapabilityState.Yes, "part of Lamina", "runs any guest, on any x86-64 host");
        yield return new Capability(Accelerators, "translator", CapabilityState.Yes, "part of Lamina", "runs 64-bit guests several times faster than the interpreter; auto picks it");
        yield return extension != null
            ? new Capability(Accelerators, "virtualization", CapabilityState.Yes, nested ? $"{extension}, nested" : extension, "KVM can run guests at full speed")
            : new Capability(Accelerators, "virtualization", CapabilityState.No, "no vmx or svm in /proc/cpuinfo", "only software can run guest kernels here");
        yield return DescribeKvm(extension != null);
        yield return new Capability(
            Processor,
            "model",
            CapabilityState.Yes,
            HostFiles.ReadField(CpuInfo, "model name"),
            string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} host threads; more virtual processors than that share them"));
        foreach (string name in CpuModel.Names)
        {
            IReadOnlyList<string> missing = CpuModel.Find(name)!.MissingHostFeatures;
            yield return missing.Count == 0
                ? new Capability(Processor, $"--cpu {name}", CapabilityState.Yes, "all features", name == "max" ? "the default" : "guests can move between hosts that have it")
                : new Capability(Processor, $"--cpu {name}", CapabilityState.No, $"lacks {string.Join(", ", missing)}", $"--cpu {name} is refused");
        }

        string[] notable = Array.FindAll(NotableFeatures, flags.Contains);
        yield return new Capability(Processor, "features", CapabilityState.Yes, string.Join(' ', notable), "what Lamina itself gains speed from");
    }

    private static Capability DescribeKvm(bool hasExtension)
    {
        const string Name = "kvm";
        string unused = $"not used in this version, which has {string.Join(", ", AcceleratorCatalog.Available)}";
        try
        {
            using KvmProbe probe = KvmProbe.Open();
            if (probe.ApiVersion != ExpectedApiVersion)
            {
                return new Capability(Accelerators, Name, CapabilityState.No, $"/dev/kvm answers version {probe.ApiVersion}", "not KVM as Lamina knows it");
            }

            string[] missing = [.. KvmCapabilities.Where(c => probe.GetCapability(c.Number) == 0).Select(c => c.Name)];
            string detail = $"API {probe.ApiVersion}{(missing.Length == 0 ? "" : $", without {string.Join(", ", missing)}")}";
            return hasExtension
                ? new Capability(Accelerators, Name, missing.Length == 0 ? CapabilityState.Yes : CapabilityState.Limited, detail, unused)
                : new Capability(Accelerators, Name, CapabilityState.Limited, detail, "no hardware behind it: guest kernels are emulated and slow; " + unused);
        }
        catch (UnauthorizedAccessException)
        {
            return new Capability(Accelerators, Name, CapabilityState.No, "/dev/kvm: permission denied", "join the group that owns it (usually kvm)");
        }
        catch (IOException e)
        {
            string detail = e is FileNotFoundException or DirectoryNotFoundException ? "no /dev/kvm" : e.Message;
            return new Capability(Accelerators, Name, CapabilityState.No, detail, hasExtension ? "load kvm_intel or kvm_amd to have it" : "software runs the guests");
        }
    }
}
