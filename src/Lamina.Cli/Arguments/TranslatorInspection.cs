namespace Lamina.Cli.Arguments;

/// <summary>How the translator works, and what it is to tell of it.</summary>
internal sealed record TranslatorInspection
{
    /// <summary>No page of its code is writable and executable through one mapping.</summary>
    public bool StrictCode { get; init; }

    /// <summary>Compare each block with the interpreter.</summary>
    public bool Lockstep { get; init; }

    /// <summary>Compare it each time.</summary>
    public bool LockstepAll { get; init; }

    /// <summary>Name blocks for <c>perf</c>.</summary>
    public bool PerfMap { get; init; }

    /// <summary>Where blocks are written, or null.</summary>
    public string? DumpFile { get; init; }
}
