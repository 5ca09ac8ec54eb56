namespace Lamina.SoftCpu;

/// <summary>How the translator works.</summary>
public sealed record TranslatorOptions
{
    /// <summary>Is told of each translated block; null for nobody.</summary>
    public ITranslationObserver? Observer { get; init; }
}
