using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>A place in a <see cref="Translation"/> that calls a routine which may leave for the interpreter. Offsets are from the translation's beginning.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TranslationSite
{
    /// <summary>Where the call returns to.</summary>
    public ushort Return;

    /// <summary>Where translated code goes on once the instruction has been interpreted.</summary>
    public ushort Resume;

    /// <summary>The instruction's position in the translation.</summary>
    public ushort Index;
}
