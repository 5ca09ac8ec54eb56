namespace Lamina.SoftCpu.Fpu;

/// <summary>The x87 escape opcodes D8 to DF (Intel SDM volume 2, appendix A.5).</summary>
internal static class X87Table
{
    // A letter and size in bytes for each ModRM.reg of the memory forms: r reads, w writes, - is another instruction or none.
    private static readonly string[] Memory =
    [
        "r4 r4 r4 r4 r4 r4 r4 r4",
        "r4 -- w4 w4 -- -- -- --",
        "r4 r4 r4 r4 r4 r4 r4 r4",
        "r4 w4 w4 w4 -- rA -- wA",
        "r8 r8 r8 r8 r8 r8 r8 r8",
        "r8 w8 w8 w8 -- -- -- --",
        "r2 r2 r2 r2 r2 r2 r2 r2",
        "r2 w2 w2 w2 rA r8 wA w8",
    ];

    // For ModRM C0 to FF, eight registers a group: x all are defined, - none, a binary mask from register 7 down to 0 which.
    private static readonly string[] Registers =
    [
        "x x x x x x x x",
        "x x 00000001 x 00110011 01111111 x x",
        "x x x x - 00000010 - -",
        "x x x x - x x -",
        "x x x x x x x x",
        "x x x x x x - -",
        "x x x 00000010 x x x x",
        "x x x x - x x -",
    ];

    /// <summary>Size of the memory operand of a memory form; 0: not an instruction that executes as itself.</summary>
    public static int MemorySize(byte opcode, byte modRm, out bool writes)
    {
        ReadOnlySpan<char> cell = Memory[opcode & 7].AsSpan(((modRm >> 3) & 7) * 3, 2);
        writes = cell[0] == 'w';
        return cell[1] switch { '-' => 0, 'A' => 10, char c => c - '0' };
    }

    /// <summary>A register form is defined and executes as itself.</summary>
    public static bool IsRegisterForm(byte opcode, byte modRm)
    {
        int group = (modRm >> 3) & 7;
        ReadOnlySpan<char> row = Registers[opcode & 7];
        foreach (Range range in row.Split(' '))
        {
            if (group-- == 0)
            {
                ReadOnlySpan<char> cell = row[range];
                return cell.Length == 8 ? cell[7 - (modRm & 7)] == '1' : cell[0] == 'x';
            }
        }

        return false;
    }

    /// <summary>FCMOVcc.</summary>
    public static bool ReadsFlags(byte opcode, byte modRm) => opcode is 0xda or 0xdb && modRm is >= 0xc0 and < 0xe0;

    /// <summary>FCOMI, FUCOMI, FCOMIP, FUCOMIP.</summary>
    public static bool WritesFlags(byte opcode, byte modRm) => opcode is 0xdb or 0xdf && modRm is >= 0xe8 and < 0xf8;

    /// <summary>FISTTP.</summary>
    public static bool IsFisttp(byte opcode, byte modRm) => opcode is 0xdb or 0xdd or 0xdf && modRm < 0xc0 && ((modRm >> 3) & 7) == 1;
}
