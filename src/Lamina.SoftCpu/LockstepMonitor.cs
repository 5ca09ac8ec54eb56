namespace Lamina.SoftCpu;

/// <summary>
/// Has blocks executed twice, by their translation and by the interpreter, and compared; with one processor only. The first difference ends the machine.
/// What a device writes to a page of RAM in the moment in which the processor's own writes to it are taken back is lost.
/// </summary>
public sealed class LockstepMonitor
{
    /// <summary>How many runs of a translation are compared, before it is only some.</summary>
    public int FirstRuns { get; init; } = 256;

    /// <summary>Of later ones, one in so many; 1 for all.</summary>
    public int Interval { get; init; } = 64;

    /// <summary>Pieces of blocks (up to an instruction that only the interpreter executes) that were compared.</summary>
    public long Compared { get; internal set; }

    /// <summary>Pieces that could not be: they change their own code, or an event came in between.</summary>
    public long Skipped { get; internal set; }

    /// <summary>Pieces that differed once, and not when they were tried again: a device wrote to memory meanwhile.</summary>
    public long Repeated { get; internal set; }

    /// <summary>Instructions in compared pieces.</summary>
    public long Instructions { get; internal set; }

    /// <summary>The first difference, or null.</summary>
    public LockstepDifference? Difference { get; internal set; }
}
