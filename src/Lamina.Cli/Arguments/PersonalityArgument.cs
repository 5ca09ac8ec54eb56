using Lamina.Cli.Running;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--personality</c>.</summary>
internal static class PersonalityArgument
{
    private static readonly (string Name, PersonalityKind Kind)[] Personalities = [("kvm", PersonalityKind.Kvm), ("vmware", PersonalityKind.VMware), ("hyperv", PersonalityKind.HyperV), ("xen", PersonalityKind.Xen)];

    /// <summary>The names that are accepted.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Personalities.Select(static p => p.Name)];

    /// <summary>Reads it; null is the default.</summary>
    /// <exception cref="LaminaException">It is not known.</exception>
    public static PersonalityKind Parse(string? name)
    {
        foreach ((string known, PersonalityKind kind) in Personalities)
        {
            if ((name ?? Personalities[0].Name) == known)
            {
                return kind;
            }
        }

        throw new LaminaException($"--personality '{name}' is not known. Accepted: {string.Join(", ", Names)}.{Suggestion.For(name!, Names)}");
    }

    /// <summary>The accelerator for a personality: KVM shows guests no other than its own.</summary>
    /// <exception cref="LaminaException">The accelerator cannot be used.</exception>
    public static string CheckAccelerator(PersonalityKind personality, string accelerator)
    {
        if (personality == PersonalityKind.Kvm)
        {
            return AcceleratorCatalog.Check(accelerator);
        }

        string chosen = AcceleratorCatalog.Check(accelerator == "auto" ? "translator" : accelerator);
        return chosen != "kvm"
            ? chosen
            : throw new LaminaException("--personality with another name than 'kvm' needs the software CPU. Add --accel translator.");
    }
}
