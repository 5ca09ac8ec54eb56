using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>The blocks that a <see cref="Translation"/> was made from, in the order in which it goes through them.</summary>
[InlineArray(Trace.MaximumParts)]
internal struct TranslationParts
{
    private TranslationPart _first;
}
