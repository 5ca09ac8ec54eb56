namespace Lamina.SoftCpu;

/// <summary>Is told of translated code, for profilers and for people who look for errors.</summary>
public interface ITranslationObserver
{
    /// <summary>A block was translated. Called on a vCPU's thread, for one block at a time; the guest waits.</summary>
    void Translated(in TranslatedBlock block);
}
