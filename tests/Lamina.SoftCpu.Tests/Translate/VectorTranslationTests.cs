using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Every encoding of the vector table, in registers and in memory, under the translator and the interpreter.</summary>
public sealed class VectorTranslationTests
{
    private const int Iterations = 5;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void EveryRowDoesTheSame(int form)
    {
        using Comparison machines = new();
        int programs = 0;
        int seed = 0;
        foreach (VectorRow row in VectorRows.All)
        {
            ProcessorFeatures needed = form switch { 0 => row.Legacy, 1 => row.Vex128, _ => row.Vex256 };
            if (needed == ProcessorFeatures.None || (needed & HostFeatures.All) != needed)
            {
                continue;
            }

            foreach (bool memory in (bool[])[false, true])
            {
                if (!(memory ? row.AllowsMemory : row.AllowsRegister))
                {
                    continue;
                }

                for (int n = 0; n < 4; n++)
                {
                    Random random = new(seed++);
                    byte[] code = Program(random, row, form, memory, n, out ulong rip);
                    string? difference = machines.Run(code, Start(random, rip), seed);
                    Assert.True(difference == null, $"{row.Name} form {form}: {difference}");
                    programs++;
                }
            }
        }

        Assert.True(programs > 400, $"{programs}");
        new CodeLint(machines.Translator.Partition.Code!).Check();
        if (form == 0)
        {
            // What is left to the interpreter: MMX, misaligned and page-crossing operands.
            Assert.True(machines.Translator.Processors[0].Assisted < (ulong)programs * Iterations * 2, $"{machines.Translator.Processors[0].Assisted} of {programs}");
        }
    }

    [Theory]
    [InlineData(0xf8)]
    [InlineData(0xfc)]
    public void VectorsAreClearedAlike(int prefix)
    {
        Assert.SkipUnless((HostFeatures.All & ProcessorFeatures.Avx) != 0, "This host has no AVX.");
        using Comparison machines = new();

        // MOV ECX, 5; again: VADDPS YMM1, YMM2, YMM3; VZEROUPPER or VZEROALL; VADDPS YMM4, YMM1, YMM5; DEC ECX; JNE again; HLT
        byte[] code = [0xb9, Iterations, 0, 0, 0, 0xc5, 0xec, 0x58, 0xcb, 0xc5, (byte)prefix, 0x77, 0xc5, 0xf4, 0x58, 0xe5, 0xff, 0xc9, 0x75, 0xf1, 0xf4];
        Assert.Null(machines.Run(code, Start(new Random(prefix), Map.Code), prefix));
        new CodeLint(machines.Translator.Partition.Code!).Check();
        Assert.True(machines.Translator.Processors[0].Assisted < Iterations, "interpreted");
    }

    private static StartState Start(Random random, ulong rip)
    {
        StartState start = new() { Rip = rip, Flags = (uint)random.Next() & Flags.Status };
        for (int n = 0; n < 16; n++)
        {
            start.Registers[n] = (ulong)random.NextInt64();
        }

        start.Registers[6] = Map.Data + 0x1000 - (ulong)(16 * random.Next(4)) + (ulong)(random.Next(3) == 0 ? random.Next(32) : 0);
        start.Registers[4] = Map.Stack;
        random.NextBytes(start.Vectors);
        random.NextBytes(start.UpperVectors);
        return start;
    }

    // A loop, counted in memory, over six instructions of the row with random registers.
    private static byte[] Program(Random random, VectorRow row, int form, bool memory, int variant, out ulong rip)
    {
        ulong counter = Map.Data + 0x5000;
        CodeBuilder code = new(Map.Code + (ulong)(random.Next(64) * 16));
        rip = code.Origin;
        code.Op([0xc7], 4, 0, Rm.Absolute(counter), Iterations, 4);
        Place head = code.NewLabel();
        code.Bind(head);
        for (int n = 0; n < 6; n++)
        {
            Write(code, random, row, form, memory, (variant & 1) != 0);
            if (row.Has(RowAttributes.FlagsOut))
            {
                code.Bytes(0x0f, 0x92, 0x04, 0x25);
                code.Immediate((int)counter + 8 + n, 4);
            }
        }

        code.Op([0xff], 4, 1, Rm.Absolute(counter));
        code.Branch([0x0f, 0x85], head, 4);
        code.Bytes(0xf4);
        return code.ToArray();
    }

    private static void Write(CodeBuilder code, Random random, VectorRow row, int form, bool memory, bool wide)
    {
        // RSP and RSI stay what they are; MMX registers are eight.
        int Pick(OperandKind kind)
        {
            int register = random.Next(kind == OperandKind.Mmx ? 8 : 16);
            return kind == OperandKind.General && register is 4 or 6 ? 8 : register;
        }

        int reg = row.Digit >= 0 ? row.Digit : Pick(row.Reg);
        int rm = memory ? 6 : Pick(row.Rm);
        int vvvv = row.Vvvv == OperandKind.None ? 0 : Pick(row.Vvvv);
        bool w = row.Has(RowAttributes.W1) || (wide && !row.Has(RowAttributes.W0) && row.WidthByW);
        int map = row.Opcode >> 8;
        if (form == 0)
        {
            if (row.Prefix > 1)
            {
                code.Bytes(row.Prefix);
            }

            code.Bytes((byte)(0x40 | (w ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3)), 0x0f);
            if (map > 1)
            {
                code.Bytes((byte)(map == 2 ? 0x38 : 0x3a));
            }
        }
        else
        {
            int pp = row.Prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            code.Bytes(0xc4, (byte)((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | map), (byte)((w ? 0x80 : 0) | ((~vvvv & 15) << 3) | (form == 2 ? 4 : 0) | pp));
        }

        code.Bytes((byte)row.Opcode, (byte)((memory ? 0 : 0xc0) | ((reg & 7) << 3) | (rm & 7)));
        if (row.Immediate)
        {
            code.Bytes((byte)random.Next(256));
        }
    }
}
