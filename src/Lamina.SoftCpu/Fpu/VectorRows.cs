using System.Globalization;

namespace Lamina.SoftCpu.Fpu;

/// <summary><see cref="VectorTable"/> parsed and indexed by opcode, once a process.</summary>
internal static class VectorRows
{
    private const string ReadOnly = "ro";
    private const string WritesSecond = "vw";

    // The words of the table, by column.
    private static readonly (string Word, int Map)[] Maps = [("0F", 1), ("0F38", 2), ("0F3A", 3)];
    private static readonly (string Word, byte Prefix)[] Prefixes = [("NP", 0), ("OS", 1), ("66", 0x66), ("F3", 0xf3), ("F2", 0xf2)];
    private static readonly (string Word, OperandWidth Width)[] Widths =
    [
        ("", OperandWidth.Vector), ("h", OperandWidth.Half), ("q", OperandWidth.Quarter), ("e", OperandWidth.Eighth), ("d", OperandWidth.Duplicate), ("y", OperandWidth.ByW),
        ("v", OperandWidth.ByOperandSize), ("8", OperandWidth.Bits8), ("16", OperandWidth.Bits16), ("32", OperandWidth.Bits32), ("64", OperandWidth.Bits64), ("128", OperandWidth.Bits128),
    ];

    private static readonly (string Word, ProcessorFeatures Feature)[] FeatureWords =
    [
        ("-", ProcessorFeatures.None), ("MMX", ProcessorFeatures.Mmx), ("SSE", ProcessorFeatures.Sse), ("SSE2", ProcessorFeatures.Sse2), ("SSE3", ProcessorFeatures.Sse3),
        ("SSSE3", ProcessorFeatures.Ssse3), ("SSE41", ProcessorFeatures.Sse41), ("SSE42", ProcessorFeatures.Sse42), ("AES", ProcessorFeatures.Aes),
        ("PCLMUL", ProcessorFeatures.Pclmulqdq), ("SHA", ProcessorFeatures.Sha), ("AVX", ProcessorFeatures.Avx), ("AVX2", ProcessorFeatures.Avx2),
        ("FMA", ProcessorFeatures.Fma), ("F16C", ProcessorFeatures.F16C), ("POPCNT", ProcessorFeatures.Popcnt), ("LZCNT", ProcessorFeatures.Lzcnt),
        ("BMI1", ProcessorFeatures.Bmi1), ("BMI2", ProcessorFeatures.Bmi2), ("ADX", ProcessorFeatures.Adx), ("MOVBE", ProcessorFeatures.Movbe),
    ];

    private static readonly (string Word, RowAttributes Attribute)[] AttributeWords =
    [
        (ReadOnly, RowAttributes.None), (WritesSecond, RowAttributes.None), ("un", RowAttributes.Unaligned), ("al", RowAttributes.Aligned), ("mx", RowAttributes.Mxcsr),
        ("ef", RowAttributes.FlagsOut), ("fi", RowAttributes.FlagsIn), ("o16", RowAttributes.Word), ("w0", RowAttributes.W0), ("w1", RowAttributes.W1),
        ("x0", RowAttributes.ReadsXmm0), ("x0w", RowAttributes.WritesXmm0), ("ad", RowAttributes.ReadsLengths), ("dr", RowAttributes.ReadsRdx), ("cw", RowAttributes.WritesRcx),
    ];

    private static readonly VectorRow[][] ByOpcode = Parse(VectorTable.Text);

    /// <summary>All rows.</summary>
    public static IEnumerable<VectorRow> All => ByOpcode.SelectMany(rows => rows);

    /// <summary>The rows of one opcode (map in bits 9:8).</summary>
    public static ReadOnlySpan<VectorRow> Find(int opcode) => ByOpcode[opcode];

    /// <summary>Takes a table apart.</summary>
    /// <exception cref="InvalidOperationException">A row has a word that its column does not know; the message names the row.</exception>
    internal static VectorRow[][] Parse(string table)
    {
        VectorRow[][] index = new VectorRow[1024][];
        Array.Fill(index, []);
        foreach (ReadOnlySpan<char> line in table.AsSpan().EnumerateLines())
        {
            if (line[0] == '#')
            {
                continue;
            }

            VectorRow row = ParseRow(line);
            VectorRow[] others = index[row.Opcode];
            Array.Resize(ref others, others.Length + 1);
            others[^1] = row;
            index[row.Opcode] = others;
        }

        return index;
    }

    private static VectorRow ParseRow(ReadOnlySpan<char> line)
    {
        ReadOnlySpan<char> code = Word(ref line);
        ReadOnlySpan<char> name = Word(ref line);
        ReadOnlySpan<char> operands = Word(ref line);
        ReadOnlySpan<char> features = Word(ref line);
        int first = code.IndexOf('.');
        int last = code.LastIndexOf('.');
        ReadOnlySpan<char> opcode = code[(last + 1)..];
        VectorRow row = new()
        {
            Name = name.ToString(),
            Prefix = Find(Prefixes, code[..first], name),
            Opcode = (ushort)((Find(Maps, code[(first + 1)..last], name) << 8) | byte.Parse(opcode[..2], NumberStyles.HexNumber, CultureInfo.InvariantCulture)),
            Digit = (sbyte)(opcode.Length > 2 ? opcode[3] - '0' : -1),
        };
        bool readOnly = false;
        bool writesSecond = false;
        while (!line.IsEmpty)
        {
            ReadOnlySpan<char> attribute = Word(ref line);
            readOnly |= attribute.SequenceEqual(ReadOnly);
            writesSecond |= attribute.SequenceEqual(WritesSecond);
            row.Attributes |= Find(AttributeWords, attribute, name);
        }

        for (int n = 0; !operands.IsEmpty; n++)
        {
            int comma = operands.IndexOf(',');
            ReadOnlySpan<char> operand = comma < 0 ? operands : operands[..comma];
            operands = comma < 0 ? default : operands[(comma + 1)..];
            Destination place = AddOperand(row, operand);
            if ((n == 0 && !readOnly) || (n == 1 && writesSecond))
            {
                row.Destination |= place;
            }
        }

        AddFeatures(row, features);
        return row;
    }

    private static Destination AddOperand(VectorRow row, ReadOnlySpan<char> operand)
    {
        char letter = operand[0];
        switch (letter)
        {
            case 'I':
                row.Immediate = true;
                return Destination.None;
            case 'L':
                row.Immediate = true;
                row.ImmediateRegister = true;
                return Destination.None;
            case 'V' or 'P' or 'G':
                row.Reg = letter == 'V' ? OperandKind.Vector : letter == 'P' ? OperandKind.Mmx : OperandKind.General;
                return Destination.Reg;
            case 'H' or 'B':
                row.Vvvv = letter == 'H' ? OperandKind.Vector : OperandKind.General;
                return Destination.Vvvv;
            default:
                row.Rm = letter switch
                {
                    'U' or 'W' => OperandKind.Vector,
                    'N' or 'Q' => OperandKind.Mmx,
                    'E' => OperandKind.General,
                    'M' => OperandKind.None,
                    _ => throw Bad(row.Name),
                };
                row.AllowsRegister = letter != 'M';
                row.AllowsMemory = letter is not ('U' or 'N');
                row.Width = letter == 'Q' && operand.Length == 1 ? OperandWidth.Bits64 : row.AllowsMemory ? Find(Widths, operand[1..], row.Name) : OperandWidth.None;
                return Destination.Rm;
        }
    }

    private static void AddFeatures(VectorRow row, ReadOnlySpan<char> features)
    {
        int first = features.IndexOf('/');
        int last = features.LastIndexOf('/');
        row.Legacy = Features(features[..first], row.Name);
        row.Vex128 = Features(features[(first + 1)..last], row.Name);
        ReadOnlySpan<char> wide = features[(last + 1)..];
        if (wide.SequenceEqual("LIG"))
        {
            row.Vex256 = row.Vex128;
            row.Attributes |= RowAttributes.IgnoresLength;
        }
        else
        {
            row.Vex256 = Features(wide, row.Name);
        }
    }

    private static ProcessorFeatures Features(ReadOnlySpan<char> text, ReadOnlySpan<char> name)
    {
        int plus = text.IndexOf('+');
        if (plus >= 0)
        {
            return Features(text[..plus], name) | Features(text[(plus + 1)..], name);
        }

        return Find(FeatureWords, text, name);
    }

    private static ReadOnlySpan<char> Word(ref ReadOnlySpan<char> line)
    {
        line = line.TrimStart(' ');
        int end = line.IndexOf(' ');
        ReadOnlySpan<char> word = end < 0 ? line : line[..end];
        line = end < 0 ? default : line[end..].TrimStart(' ');
        return word;
    }

    // What a word stands for; the rows are few, and read once.
    private static T Find<T>((string Word, T Value)[] words, ReadOnlySpan<char> word, ReadOnlySpan<char> name)
    {
        foreach ((string known, T value) in words)
        {
            if (word.SequenceEqual(known))
            {
                return value;
            }
        }

        throw Bad(name);
    }

    private static InvalidOperationException Bad(ReadOnlySpan<char> name) => new($"Bad row in the instruction table: {name}");
}
