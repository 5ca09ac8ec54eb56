using Lamina.Cli.Arguments;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Cli.Running;

/// <summary>The accelerators by name: those that exist, and those that are planned and refused.</summary>
internal static class AcceleratorCatalog
{
    /// <summary>What <c>--accel</c> accepts.</summary>
    public static IReadOnlyList<string> Names { get; } = ["auto", "kvm", "translator", "interpreter"];

    /// <summary>What exists.</summary>
    public static IReadOnlyList<string> Available { get; } = ["translator", "interpreter"];

    /// <summary>What <c>auto</c> picks.</summary>
    public static string Automatic => Available[0];

    /// <summary>Checks a name given on the command line, and resolves <c>auto</c>.</summary>
    /// <exception cref="LaminaException">It is not known, or does not exist yet.</exception>
    public static string Check(string name)
    {
        if (!Names.Contains(name))
        {
            throw new LaminaException($"--accel '{name}' is not known. Accepted: {string.Join(", ", Names)}.{Suggestion.For(name, Names)}");
        }

        return name == "auto" ? Automatic
            : Available.Contains(name) ? name
            : throw new LaminaException($"--accel '{name}' does not exist in this version. It has: {string.Join(", ", Available)}; auto picks the {Automatic}.");
    }

    /// <summary>Makes the accelerator.</summary>
    public static IAccelerator Create(string name, TranslatorOptions? translator = null)
    {
        return name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(translator),
            _ => throw new LaminaException($"the {name} is not part of this build."),
        };
    }
}
