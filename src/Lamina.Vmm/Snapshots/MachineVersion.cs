namespace Lamina.Vmm.Snapshots;

/// <summary>The versions of the machines that a guest sees: their devices, the places of these, and what ACPI tells of them. A version, once released, does not change.</summary>
public static class MachineVersion
{
    /// <summary>The PC of this version.</summary>
    public const string Current = "pc-1";

    /// <summary>The machine of Hyper-V's generation 2 of this version.</summary>
    public const string Generation2 = "generation2-1";

    /// <summary>Those that a snapshot may be of.</summary>
    public static IReadOnlyList<string> All { get; } = [Current, Generation2];

    /// <summary>The version with which a machine of a generation is made now.</summary>
    internal static string GetCurrent(int generation) => generation == 2 ? Generation2 : Current;

    /// <summary>The generation of a machine of one of <see cref="All"/>.</summary>
    internal static int GetGeneration(string version) => version == Generation2 ? 2 : 1;
}
