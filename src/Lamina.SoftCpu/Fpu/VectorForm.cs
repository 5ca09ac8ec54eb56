namespace Lamina.SoftCpu.Fpu;

/// <summary>A row with everything chosen that is in the encoding, except register numbers and address.</summary>
internal readonly struct VectorForm
{
    /// <summary>The instruction.</summary>
    public required VectorRow Row { get; init; }

    /// <summary>VEX encoded.</summary>
    public bool Vex { get; init; }

    /// <summary>VEX.L.</summary>
    public bool Wide { get; init; }

    /// <summary>REX.W or VEX.W, where it means something.</summary>
    public bool W { get; init; }

    /// <summary>The r/m operand is memory, or a general register that is accessed as memory.</summary>
    public bool Memory { get; init; }

    /// <summary>16-bit operands, where <see cref="RowAttributes.Word"/> allows them.</summary>
    public bool Word { get; init; }

    /// <summary>The immediate byte.</summary>
    public byte Immediate { get; init; }
}
