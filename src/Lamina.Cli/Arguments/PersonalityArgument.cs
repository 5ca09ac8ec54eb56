using Lamina.Cli.Running;
using Lamina.Kvm;
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

    /// <summary>
    /// The accelerator for a personality. KVM carries all of them, but for guests of Xen that call by VMCALL, as Linux does today, only where the kernel's KVM knows Xen's guests: "auto" does not pick it without.
    /// </summary>
    /// <exception cref="LaminaException">The accelerator cannot be used.</exception>
    public static string CheckAccelerator(PersonalityKind personality, string accelerator)
    {
        string chosen = AcceleratorCatalog.Check(accelerator);
        return accelerator == "auto" && chosen == "kvm" && personality == PersonalityKind.Xen && !AcceleratorCatalog.HandsOverHypercalls() ? "translator" : chosen;
    }

    /// <summary>Checks what was said of KVM's interrupt controllers and clock against the personality.</summary>
    /// <param name="personality">The personality.</param>
    /// <param name="controllers">Which controllers KVM is to have.</param>
    /// <param name="clock">Whether guests are to have KVM's clock.</param>
    /// <returns>Which controllers it has.</returns>
    /// <exception cref="LaminaException">They do not go together.</exception>
    public static KvmControllers CheckControllers(PersonalityKind personality, KvmControllers controllers, bool clock)
    {
        if (personality == PersonalityKind.Kvm)
        {
            return controllers;
        }

        if (clock)
        {
            throw new LaminaException("--kvmclock is for guests that see KVM. Leave it or --personality out.");
        }

        if (personality == PersonalityKind.VMware || controllers == KvmControllers.Off)
        {
            return controllers;
        }

        return controllers == KvmControllers.Auto
            ? KvmControllers.Off
            : throw new LaminaException("--personality hyperv and xen need Lamina's own local APICs. Leave --kernel-irqchip out, or say --kernel-irqchip off.");
    }
}
