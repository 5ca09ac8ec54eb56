namespace Lamina.Vmm;

/// <summary>A machine's memory balloon, by which its host gets RAM back.</summary>
public sealed record BalloonSettings
{
    /// <summary>Bytes of <see cref="MachineSettings.MemorySize"/> that the guest is to give back from the start, in whole pages of 4 KiB.</summary>
    public ulong Target { get; init; }

    /// <summary>Whether the guest may take memory back without being asked, before it kills programs for want of it.</summary>
    public bool DeflatesOnOutOfMemory { get; init; } = true;

    /// <summary>Whether the guest tells of memory that it does not use, which the host then takes until the guest does.</summary>
    public bool ReportsFreePages { get; init; } = true;
}
