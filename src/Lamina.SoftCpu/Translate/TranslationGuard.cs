using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>Code that goes to a translation, if its page is mapped as it was when this was made, and says in which page it is if it does not know.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TranslationGuard
{
    /// <summary>For whom it is.</summary>
    public GuardKind Kind;

    /// <summary>Number of the mapping or place that it asks for; of a bridge, the linear page that it sets.</summary>
    public ulong Key;

    /// <summary>The code.</summary>
    public byte* Entry;

    /// <summary>Next guard of the same translation.</summary>
    public TranslationGuard* Next;
}
