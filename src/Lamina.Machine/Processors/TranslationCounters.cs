namespace Lamina.Machine.Processors;

/// <summary>What an accelerator that translates guest code has made.</summary>
/// <param name="Blocks">Translations, also those that others have replaced.</param>
/// <param name="GuestBytes">Bytes of guest code in them.</param>
public readonly record struct TranslationCounters(ulong Blocks, ulong GuestBytes);
