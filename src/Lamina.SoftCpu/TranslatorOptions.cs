namespace Lamina.SoftCpu;

/// <summary>How the translator works.</summary>
public sealed record TranslatorOptions
{
    /// <summary>Is told of each translated block; null for nobody.</summary>
    public ITranslationObserver? Observer { get; init; }

    /// <summary>Compares every block with the interpreter; null not to. Machines with one processor only.</summary>
    public LockstepMonitor? Lockstep { get; init; }
}
