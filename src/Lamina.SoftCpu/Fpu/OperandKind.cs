namespace Lamina.SoftCpu.Fpu;

/// <summary>A register file.</summary>
internal enum OperandKind : byte
{
    /// <summary>No operand.</summary>
    None,

    /// <summary>XMM or YMM.</summary>
    Vector,

    /// <summary>MM0 to MM7.</summary>
    Mmx,

    /// <summary>General registers.</summary>
    General,
}
