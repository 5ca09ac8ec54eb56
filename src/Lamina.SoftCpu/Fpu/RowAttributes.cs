namespace Lamina.SoftCpu.Fpu;

/// <summary>Attributes of a <see cref="VectorRow"/>; the texts are those of <see cref="VectorTable"/>.</summary>
[Flags]
internal enum RowAttributes
{
    None = 0,

    /// <summary>un</summary>
    Unaligned = 1,

    /// <summary>al</summary>
    Aligned = 2,

    /// <summary>mx</summary>
    Mxcsr = 4,

    /// <summary>ef</summary>
    FlagsOut = 8,

    /// <summary>fi</summary>
    FlagsIn = 16,

    /// <summary>o16</summary>
    Word = 32,

    /// <summary>w0</summary>
    W0 = 64,

    /// <summary>w1</summary>
    W1 = 128,

    /// <summary>x0</summary>
    ReadsXmm0 = 256,

    /// <summary>x0w</summary>
    WritesXmm0 = 512,

    /// <summary>ad</summary>
    ReadsLengths = 1024,

    /// <summary>dr</summary>
    ReadsRdx = 2048,

    /// <summary>cw</summary>
    WritesRcx = 4096,

    /// <summary>LIG: VEX.L is ignored.</summary>
    IgnoresLength = 8192,
}
