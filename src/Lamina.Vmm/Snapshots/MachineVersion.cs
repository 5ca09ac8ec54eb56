namespace Lamina.Vmm.Snapshots;

/// <summary>The versions of the machine that a guest sees: its devices, their places, and what ACPI tells of them. A version, once released, does not change.</summary>
public static class MachineVersion
{
    /// <summary>The PC of this version.</summary>
    public const string Current = "pc-1";

    /// <summary>Those that a snapshot may be of.</summary>
    public static IReadOnlyList<string> All { get; } = [Current];
}
