using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>Code that goes to a translation if its page is mapped as it was when this was made. Jumps between pages lead to it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TranslationGuard
{
    /// <summary>Number of that mapping.</summary>
    public uint Mapping;

    /// <summary>The code.</summary>
    public byte* Entry;

    /// <summary>Next guard of the same translation.</summary>
    public TranslationGuard* Next;
}
