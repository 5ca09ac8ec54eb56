using Lamina.Kvm;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Conformance.Processors;

/// <summary>The accelerators that programs are run under. Without KVM the tests of it are skipped, with the reason.</summary>
public static class Accelerators
{
    public const string Kvm = "kvm";

    /// <summary>All that there could be.</summary>
    public static TheoryData<string> All => ["interpreter", "translator", Kvm];

    /// <summary>Makes one.</summary>
    internal static IAccelerator Create(string name)
    {
        if (name == Kvm && KvmHost.FindProblem() is { } problem)
        {
            Assert.Skip(problem);
        }

        return name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(),
            _ => new KvmAccelerator(new KvmOptions { Controllers = KvmControllers.Off }),
        };
    }

    /// <summary>Makes a machine with one that has the features of <see cref="ProcessorMachine.Features"/> less what <paramref name="limit"/> cannot give.</summary>
    internal static ProcessorMachine CreateMachine(string name, IAccelerator limit, int processors = 1)
    {
        IAccelerator accelerator = name == limit.Name ? limit : Create(name);
        return new ProcessorMachine(accelerator, limit.Restrict(ProcessorMachine.Features), limit.TscFrequency ?? 1_000_000_000, processors);
    }

    /// <summary>Makes a machine whose guest sees a hypervisor.</summary>
    internal static ProcessorMachine CreateMachine(string name, IPersonality personality, int processors = 1)
    {
        IAccelerator accelerator = Create(name);
        return new ProcessorMachine(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000, processors, personality);
    }

    /// <summary>Makes a machine.</summary>
    internal static ProcessorMachine CreateMachine(string name, int processors = 1) => CreateMachine(name, Create(name), processors);
}
