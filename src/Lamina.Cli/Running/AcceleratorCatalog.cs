using Lamina.Cli.Arguments;
using Lamina.Interop;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Cli.Running;

/// <summary>The accelerators by name, and the choice among them.</summary>
internal static class AcceleratorCatalog
{
    private const string Kvm = "kvm";
    private const string Translator = "translator";

    /// <summary>What <c>--accel</c> accepts.</summary>
    public static IReadOnlyList<string> Names { get; } = ["auto", Kvm, Translator, "interpreter"];

    /// <summary>Those that every host has.</summary>
    public static IReadOnlyList<string> Software { get; } = [Translator, "interpreter"];

    /// <summary>What <c>auto</c> picks here, which may take some milliseconds to find out.</summary>
    /// <param name="reason">Why, for a person.</param>
    public static string Choose(out string reason) => KvmHost.IsWorthIt(out reason) ? Kvm : Translator;

    /// <summary>Whether this host's KVM lets guests call a hypervisor of ours by VMCALL and VMMCALL.</summary>
    /// <exception cref="LaminaException">KVM cannot be used.</exception>
    public static bool HandsOverHypercalls()
    {
        IAccelerator accelerator = Create(Kvm);
        using IDisposable? owned = accelerator as IDisposable;
        return accelerator is KvmAccelerator { HandsOverHypercalls: true };
    }

    /// <summary>Checks a name given on the command line, and resolves <c>auto</c>.</summary>
    /// <exception cref="LaminaException">It is not known, or cannot be used on this host.</exception>
    public static string Check(string name)
    {
        if (!Names.Contains(name))
        {
            throw new LaminaException($"--accel '{name}' is not known. Accepted: {string.Join(", ", Names)}.{Suggestion.For(name, Names)}");
        }

        return name == "auto" ? Choose(out _)
            : name != Kvm || KvmHost.FindProblem() is not { } problem ? name
            : throw new LaminaException($"--accel kvm cannot be used: {problem}.");
    }

    /// <summary>Makes the accelerator.</summary>
    /// <exception cref="LaminaException">The host refuses.</exception>
    public static IAccelerator Create(string name, TranslatorOptions? translator = null, KvmOptions? kvm = null)
    {
        try
        {
            return name switch
            {
                "interpreter" => new InterpreterAccelerator(),
                Translator => new TranslatorAccelerator(translator),
                _ => new KvmAccelerator(kvm),
            };
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException)
        {
            throw new LaminaException($"--accel {name} cannot be used: {e.Message}", e);
        }
    }
}
