namespace Lamina.SoftCpu.Segmentation;

/// <summary>An event on its way through the interrupt descriptor table.</summary>
internal readonly struct PendingEvent
{
    public byte Vector { get; init; }

    public EventKind Kind { get; init; }

    public bool HasCode { get; init; }

    public uint Code { get; init; }

    /// <summary>The return address to push.</summary>
    public ulong Rip { get; init; }

    /// <summary>RFLAGS to push.</summary>
    public uint Flags { get; init; }

    /// <summary>Error code for a fault that the gate itself causes, without EXT.</summary>
    public uint GateCode => (Vector * 8u) + 2;
}
