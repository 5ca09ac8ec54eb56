namespace Lamina.Personalities.HyperV;

/// <summary>The input value of a hypercall (Top-Level Functional Specification, section 3.7).</summary>
internal readonly struct HypercallControl(ulong value)
{
    private const ulong FastBit = 1 << 16;
    private const ulong Reserved = 0xf000_f000_f800_0000;
    private const int VariableHeaderShift = 17;
    private const int VariableHeaderMask = 0x3ff;
    private const int RepCountShift = 32;
    private const int RepStartShift = 48;
    private const int RepMask = 0xfff;

    internal HypercallCode Code => (HypercallCode)(ushort)value;

    /// <summary>The parameters are in registers.</summary>
    internal bool IsFast => (value & FastBit) != 0;

    /// <summary>Bytes of the header's variable part.</summary>
    internal int VariableLength => ((int)(value >> VariableHeaderShift) & VariableHeaderMask) * sizeof(ulong);

    /// <summary>Elements of the list; 0 for a simple call.</summary>
    internal int RepCount => (int)(value >> RepCountShift) & RepMask;

    /// <summary>Elements that have been dealt with.</summary>
    internal int RepStart => (int)(value >> RepStartShift) & RepMask;

    internal bool HasReserved => (value & Reserved) != 0;
}
