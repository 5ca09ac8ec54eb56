using System.Globalization;
using Lamina.Boot.Cpu;
using Lamina.Interop;
using Lamina.Interop.Probing;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Processors;

namespace Lamina.Cli.Host;

/// <summary>What can execute guests, and which processors they can be given.</summary>
internal static class ProcessorCapabilities
{
    private const string Accelerators = "Accelerators";
    private const string Processor = "Processor";
    private const string CpuInfo = "/proc/cpuinfo";

    // KVM_CAP_* numbers (Linux, include/uapi/linux/kvm.h) of what Lamina's KVM accelerator uses.
    private static readonly (string Name, int Number)[] KvmCapabilities =
    [
        ("user memory", 3), ("synchronized registers", 74), ("immediate exit", 136), ("MSR exits", 188), ("MSR filters", 189), ("emulation exits", 204), ("TSC scaling", 60),
        ("interrupt controllers", 0), ("split interrupt controllers", 121), ("run states", 14), ("PIT", 33), ("MSI", 77), ("interrupt routes", 25), ("irqfd", 32), ("ioeventfd", 36),
        ("gathered writes", 162), ("TSC deadline", 72), ("kvmclock", 39), ("dirty rings", 223),
    ];

    private static readonly string[] NotableFeatures =
        ["avx2", "fma", "bmi2", "adx", "aes", "pclmulqdq", "sha_ni", "fsgsbase", "rdrand", "rdseed", "erms", "fsrm", "avx512f", "constant_tsc", "nonstop_tsc"];

    /// <summary>Looks.</summary>
    public static IEnumerable<Capability> Collect()
    {
        string[] flags = HostFiles.ReadField(CpuInfo, "flags").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string? extension = flags.Contains("vmx") ? "Intel VT-x" : flags.Contains("svm") ? "AMD-V" : null;
        bool nested = flags.Contains("hypervisor");
        yield return DescribeSoftware(new InterpreterAccelerator(), "runs any guest, on any x86-64 host");
        yield return DescribeSoftware(new TranslatorAccelerator(), "runs 64-bit code many times faster than the interpreter, which it leaves 16- and 32-bit code to");
        yield return extension != null
            ? new Capability(Accelerators, "virtualization", CapabilityState.Yes, nested ? $"{extension}, nested" : extension, "KVM can run guests at full speed")
            : new Capability(Accelerators, "virtualization", CapabilityState.No, "no vmx or svm in /proc/cpuinfo", "only software can run guest kernels here");
        yield return DescribeKvm();
        if (KvmHost.FindProblem() == null)
        {
            yield return DescribeKvmFeatures();
        }

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

    // In the unit of KVM's own line.
    private static Capability DescribeSoftware(IAccelerator accelerator, string consequence)
    {
        try
        {
            string detail = string.Create(CultureInfo.InvariantCulture, $"part of Lamina, {AcceleratorSpeed.Measure(accelerator):F1} ns an instruction of a guest's kernel");
            return new Capability(Accelerators, accelerator.Name, CapabilityState.Yes, detail, consequence);
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException)
        {
            // A host may forbid code that is made at run time.
            return new Capability(Accelerators, accelerator.Name, CapabilityState.No, $"does not work here: {e.Message}", $"--accel {accelerator.Name} cannot be used");
        }
    }

    // What KVM keeps from guests of each CPU model, and who has the interrupt controllers.
    private static Capability DescribeKvmFeatures()
    {
        const string Name = "kvm guests";
        const ulong Gigahertz = 1_000_000_000;
        try
        {
            using KvmAccelerator accelerator = new();
            List<string> lines = [];
            foreach (string name in CpuModel.Names)
            {
                CpuModel model = CpuModel.Find(name)!;
                if (model.MissingHostFeatures.Count == 0)
                {
                    IReadOnlyList<CpuidEntry> wanted = model.CreateEntries(1, accelerator.TscFrequency ?? Gigahertz, Math.Min(46, accelerator.PhysicalAddressBits));
                    IReadOnlyList<string> withheld = CpuModel.FindWithheld(wanted, accelerator.Restrict(wanted));
                    lines.Add(withheld.Count == 0 ? $"{name} complete" : $"{name} without {string.Join(", ", withheld)}");
                }
            }

            string controllers = accelerator.Controllers == KvmControllers.Off ? "interrupt controllers are Lamina's" : "local APICs are KVM's";
            return new Capability(Accelerators, Name, lines.TrueForAll(static l => l.EndsWith(" complete", StringComparison.Ordinal)) ? CapabilityState.Yes : CapabilityState.Limited, string.Join("; ", lines), controllers);
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException)
        {
            return new Capability(Accelerators, Name, CapabilityState.No, e.Message, "software runs the guests");
        }
    }

    private static Capability DescribeKvm()
    {
        const string Name = "kvm";
        if (KvmHost.FindProblem() is { } problem)
        {
            return new Capability(Accelerators, Name, CapabilityState.No, problem, "software runs the guests");
        }

        try
        {
            using KvmProbe probe = KvmProbe.Open();
            string[] missing = [.. KvmCapabilities.Where(c => probe.GetCapability(c.Number) == 0).Select(c => c.Name)];
            string detail = $"API {probe.ApiVersion}{(missing.Length == 0 ? "" : $", without {string.Join(", ", missing)}")}";
            bool chosen = KvmHost.IsWorthIt(out string reason);
            return new Capability(Accelerators, Name, chosen ? CapabilityState.Yes : CapabilityState.Limited, detail, $"{reason}; auto picks {(chosen ? "it" : "the translator")}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Capability(Accelerators, Name, CapabilityState.No, e.Message, "software runs the guests");
        }
    }
}
