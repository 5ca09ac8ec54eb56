namespace Lamina.SoftCpu;

/// <summary>How the translator works.</summary>
public sealed record TranslatorOptions
{
    /// <summary>Is told of each translated block; null for nobody.</summary>
    public ITranslationObserver? Observer { get; init; }

    /// <summary>No page of translated code is writable and executable through one mapping. Costs 4 KiB pages instead of larger ones.</summary>
    public bool StrictCode { get; init; }

    /// <summary>Compares every block with the interpreter; null not to. Machines with one processor only.</summary>
    public LockstepMonitor? Lockstep { get; init; }

    /// <summary>Runs of a block after which its first, compact translation is replaced by a faster one. 0 to 2^30.</summary>
    public int HotThreshold { get; init; } = 256;

    /// <summary>Translates everything without regard for its address, as is done otherwise with what is met at a second one. For tests.</summary>
    internal bool SharesAll { get; init; }
}
