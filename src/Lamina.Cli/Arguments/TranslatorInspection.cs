namespace Lamina.Cli.Arguments;

/// <summary>What the translator is to tell of its work.</summary>
internal sealed record TranslatorInspection
{
    /// <summary>Compare each block with the interpreter.</summary>
    public bool Lockstep { get; init; }

    /// <summary>Compare it each time.</summary>
    public bool LockstepAll { get; init; }

    /// <summary>Name blocks for <c>perf</c>.</summary>
    public bool PerfMap { get; init; }

    /// <summary>Where blocks are written, or null.</summary>
    public string? DumpFile { get; init; }
}
