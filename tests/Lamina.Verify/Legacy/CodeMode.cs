namespace Lamina.Verify.Legacy;

/// <summary>Mode that 16-bit code runs in.</summary>
internal enum CodeMode
{
    /// <summary>Protected mode at CPL 3.</summary>
    Protected,

    /// <summary>Real-address mode.</summary>
    Real,

    /// <summary>Virtual-8086 mode.</summary>
    V86,
}
