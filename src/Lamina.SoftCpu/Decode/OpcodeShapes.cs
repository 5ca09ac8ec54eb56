using static Lamina.SoftCpu.Decode.OpcodeShape;

namespace Lamina.SoftCpu.Decode;

/// <summary>Shapes of the one-byte and 0F opcode maps (Intel SDM volume 2, appendix A). The 0F38 and 0F3A maps are regular: ModRM, and ModRM with a byte.</summary>
internal static class OpcodeShapes
{
    /// <summary>The one-byte map.</summary>
    public static ReadOnlySpan<OpcodeShape> OneByte => OneByteTable;

    /// <summary>The 0F map.</summary>
    public static ReadOnlySpan<OpcodeShape> TwoByte => TwoByteTable;

    private static readonly OpcodeShape[] OneByteTable = BuildOneByte();
    private static readonly OpcodeShape[] TwoByteTable = BuildTwoByte();

    private static OpcodeShape[] BuildOneByte()
    {
        OpcodeShape[] t = new OpcodeShape[256];
        for (int op = 0; op < 0x40; op += 8)
        {
            Set(t, op, op + 3, ModRm);
            t[op + 4] = Immediate8;
            t[op + 5] = ImmediateZ;
            t[op + 6] = t[op + 7] = Legacy;
        }

        Set(t, 0x40, 0x4f, Register);
        Set(t, 0x50, 0x5f, Register | Stack);
        Set(t, 0x60, 0x61, Legacy);
        t[0x62] = ModRm | Legacy;
        t[0x63] = ModRm;
        t[0x68] = ImmediateZ | Stack;
        t[0x69] = ModRm | ImmediateZ;
        t[0x6a] = Immediate8 | Stack;
        t[0x6b] = ModRm | Immediate8;
        Set(t, 0x70, 0x7f, Immediate8 | Branch);
        t[0x80] = ModRm | Immediate8;
        t[0x81] = ModRm | ImmediateZ;
        t[0x82] = ModRm | Immediate8 | Legacy;
        t[0x83] = ModRm | Immediate8;
        Set(t, 0x84, 0x8e, ModRm);
        t[0x8f] = ModRm | Stack;
        Set(t, 0x90, 0x97, Register);
        t[0x9a] = Other | Legacy;
        t[0x9c] = t[0x9d] = Stack;
        Set(t, 0xa0, 0xa3, Other);
        t[0xa8] = Immediate8;
        t[0xa9] = ImmediateZ;
        Set(t, 0xb0, 0xb7, Register | Immediate8);
        Set(t, 0xb8, 0xbf, Register | Other);
        t[0xc0] = t[0xc1] = ModRm | Immediate8;
        t[0xc2] = Other | Branch;
        t[0xc3] = Branch;
        t[0xc4] = t[0xc5] = ModRm | Legacy;
        t[0xc6] = ModRm | Immediate8;
        t[0xc7] = ModRm | ImmediateZ;
        t[0xc8] = Other | Stack;
        t[0xc9] = Stack;
        t[0xca] = Other;
        t[0xcd] = Immediate8;
        t[0xce] = Legacy;
        Set(t, 0xd0, 0xd3, ModRm);
        t[0xd4] = t[0xd5] = Immediate8 | Legacy;
        t[0xd6] = Legacy;
        Set(t, 0xd8, 0xdf, ModRm);
        Set(t, 0xe0, 0xe3, Immediate8 | Branch);
        Set(t, 0xe4, 0xe7, Immediate8);
        t[0xe8] = t[0xe9] = ImmediateZ | Branch;
        t[0xea] = Other | Legacy;
        t[0xeb] = Immediate8 | Branch;
        t[0xf6] = t[0xf7] = ModRm | Other;
        t[0xfe] = t[0xff] = ModRm;
        return t;
    }

    private static OpcodeShape[] BuildTwoByte()
    {
        OpcodeShape[] t = new OpcodeShape[256];
        Set(t, 0x00, 0xff, ModRm);
        Set(t, 0x04, 0x0c, None);
        t[0x0d] = ModRm;
        t[0x0e] = None;
        t[0x0f] = ModRm | Immediate8;
        Set(t, 0x30, 0x37, None);
        Set(t, 0x70, 0x73, ModRm | Immediate8);
        t[0x77] = None;
        Set(t, 0x80, 0x8f, ImmediateZ | Branch);
        t[0xa0] = t[0xa1] = t[0xa8] = t[0xa9] = Stack;
        t[0xa2] = t[0xaa] = None;
        t[0xa4] = t[0xac] = t[0xba] = ModRm | Immediate8;
        t[0xc2] = t[0xc4] = t[0xc5] = t[0xc6] = ModRm | Immediate8;
        Set(t, 0xc8, 0xcf, Register);
        Set(t, 0x20, 0x23, ModRm | Branch);
        return t;
    }

    private static void Set(OpcodeShape[] table, int first, int last, OpcodeShape shape)
    {
        for (int i = first; i <= last; i++)
        {
            table[i] = shape;
        }
    }
}
