namespace Lamina.Vmm.Snapshots;

/// <summary>A memory balloon in a snapshot's manifest.</summary>
public sealed record SavedBalloon
{
    /// <summary>Bytes that the guest is to give back.</summary>
    public ulong Target { get; set; }

    /// <summary>Whether the guest may take memory back without being asked.</summary>
    public bool DeflatesOnOutOfMemory { get; set; }

    /// <summary>Whether the guest tells of memory that it does not use.</summary>
    public bool ReportsFreePages { get; set; }
}
