namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>One opcode with a ModRM byte.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Opcode">Map in bits 11:8, opcode byte in bits 7:0.</param>
/// <param name="Digit">ModRM.reg, or -1 for a register.</param>
/// <param name="Undefined">Flags not to compare.</param>
/// <param name="Byte">8-bit operands.</param>
/// <param name="Immediate">'n' none, 'b' a byte, 'z' up to 32 bits.</param>
/// <param name="Lock">LOCK is permitted with a memory operand.</param>
/// <param name="Special">'b' bit offset in a register, 'c' count in CL, 'd' divides, 'l' forms an address only, 'm' memory only, 'r' register only.</param>
internal sealed record IntegerForm(
    string Name, int Opcode, int Digit = -1, UndefinedFlags Undefined = UndefinedFlags.None, bool Byte = false, char Immediate = 'n', bool Lock = false, char Special = ' ')
{
    public static IReadOnlyList<IntegerForm> All { get; } = Build();

    public override string ToString() => Name;

    private static List<IntegerForm> Build()
    {
        List<IntegerForm> all = [];
        string[] alu = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"];
        for (int n = 0; n < 8; n++)
        {
            UndefinedFlags undefined = n is 1 or 4 or 6 ? UndefinedFlags.Logic : UndefinedFlags.None;
            for (int form = 0; form < 4; form++)
            {
                all.Add(new(alu[n] + form, (n * 8) + form, -1, undefined, (form & 1) == 0, 'n', form < 2 && n != 7));
            }

            all.Add(new(alu[n] + "80", 0x80, n, undefined, true, 'b', n != 7));
            all.Add(new(alu[n] + "81", 0x81, n, undefined, false, 'z', n != 7));
            all.Add(new(alu[n] + "83", 0x83, n, undefined, false, 'b', n != 7));
        }

        string[] shifts = ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"];
        for (int n = 0; n < 8; n++)
        {
            UndefinedFlags undefined = n < 4 ? UndefinedFlags.Rotate : UndefinedFlags.Shift;
            for (int b = 0; b < 2; b++)
            {
                all.Add(new(shifts[n] + "c" + b, 0xc0 + b, n, undefined, b == 0, 'b'));
                all.Add(new(shifts[n] + "1" + b, 0xd0 + b, n, undefined, b == 0));
                all.Add(new(shifts[n] + "cl" + b, 0xd2 + b, n, undefined, b == 0, Special: 'c'));
            }
        }

        for (int b = 0; b < 2; b++)
        {
            all.Add(new("test8" + b, 0x84 + b, -1, UndefinedFlags.Logic, b == 0));
            all.Add(new("xchg" + b, 0x86 + b, -1, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("mov88" + b, 0x88 + b, -1, UndefinedFlags.None, b == 0));
            all.Add(new("mov8a" + b, 0x8a + b, -1, UndefinedFlags.None, b == 0));
            all.Add(new("movi" + b, 0xc6 + b, 0, UndefinedFlags.None, b == 0, b == 0 ? 'b' : 'z'));
            all.Add(new("testi" + b, 0xf6 + b, 0, UndefinedFlags.Logic, b == 0, b == 0 ? 'b' : 'z'));
            all.Add(new("testi1" + b, 0xf6 + b, 1, UndefinedFlags.Logic, b == 0, b == 0 ? 'b' : 'z'));
            all.Add(new("not" + b, 0xf6 + b, 2, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("neg" + b, 0xf6 + b, 3, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("mul" + b, 0xf6 + b, 4, UndefinedFlags.Multiply, b == 0));
            all.Add(new("imul" + b, 0xf6 + b, 5, UndefinedFlags.Multiply, b == 0));
            all.Add(new("div" + b, 0xf6 + b, 6, UndefinedFlags.All, b == 0, Special: 'd'));
            all.Add(new("idiv" + b, 0xf6 + b, 7, UndefinedFlags.All, b == 0, Special: 'd'));
            all.Add(new("inc" + b, 0xfe + b, 0, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("dec" + b, 0xfe + b, 1, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("cmpxchg" + b, 0x1b0 + b, -1, UndefinedFlags.None, b == 0, 'n', true));
            all.Add(new("xadd" + b, 0x1c0 + b, -1, UndefinedFlags.None, b == 0, 'n', true));
        }

        all.Add(new("imul2", 0x1af, -1, UndefinedFlags.Multiply));
        all.Add(new("imul3z", 0x69, -1, UndefinedFlags.Multiply, false, 'z'));
        all.Add(new("imul3b", 0x6b, -1, UndefinedFlags.Multiply, false, 'b'));
        all.Add(new("lea", 0x8d, Special: 'l'));
        all.Add(new("movsxd", 0x63));
        all.Add(new("movzx8", 0x1b6));
        all.Add(new("movzx16", 0x1b7));
        all.Add(new("movsx8", 0x1be));
        all.Add(new("movsx16", 0x1bf));
        all.Add(new("nop", 0x11f));
        for (int n = 0; n < 16; n++)
        {
            all.Add(new("cmov" + n.ToString("x"), 0x140 + n));
            all.Add(new("set" + n.ToString("x"), 0x190 + n, 0, Byte: true));
        }

        string[] bits = ["bt", "bts", "btr", "btc"];
        for (int n = 0; n < 4; n++)
        {
            all.Add(new(bits[n], 0x1a3 + (n * 8), -1, UndefinedFlags.BitTest, Lock: n != 0, Special: 'b'));
            all.Add(new(bits[n] + "i", 0x1ba, 4 + n, UndefinedFlags.BitTest, false, 'b', n != 0));
        }

        all.Add(new("shld", 0x1a4, -1, UndefinedFlags.DoubleShift, false, 'b'));
        all.Add(new("shldcl", 0x1a5, -1, UndefinedFlags.DoubleShift, Special: 'c'));
        all.Add(new("shrd", 0x1ac, -1, UndefinedFlags.DoubleShift, false, 'b'));
        all.Add(new("shrdcl", 0x1ad, -1, UndefinedFlags.DoubleShift, Special: 'c'));
        all.Add(new("bsf", 0x1bc, -1, UndefinedFlags.BitScan));
        all.Add(new("bsr", 0x1bd, -1, UndefinedFlags.BitScan));
        all.Add(new("cmpxchgxb", 0x1c7, 1, Lock: true, Special: 'm'));
        all.Add(new("push", 0xff, 6));
        all.Add(new("pop", 0x8f, 0));
        return all;
    }
}
