using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>x87 instructions under the translator and the interpreter, in random order on random data.</summary>
public sealed class X87TranslationTests
{
    private const int Iterations = 6;
    private const ulong Counter = Map.Data + 0x5000;
    private const ulong ControlWords = Map.Data + 0x5100;
    private const ulong Words = Map.Data + 0x5200;

    private static readonly ushort[] Controls = [0x37f, 0x27f, 0x7f, 0xf7f, 0xb7f, 0x77f];

    [Fact]
    public void RandomInstructionsDoTheSame()
    {
        using Comparison machines = new();
        const int programs = 1500;
        for (int seed = 0; seed < programs; seed++)
        {
            Random random = new(seed);
            byte[] code = Program(random, out ulong rip);
            StartState start = new() { Rip = rip, Flags = (uint)random.Next() & Flags.Status };
            start.Registers[4] = Map.Stack;
            start.Registers[6] = Map.Data + 0x1000;
            string? difference = machines.Run(code, start, seed);
            Assert.True(difference == null, difference);
        }

        new CodeLint(machines.Translator.Partition.Code!).Check();
        ulong assisted = machines.Translator.Processors[0].Assisted;
        Assert.True(assisted < (ulong)programs * 60, $"{assisted} of {programs * 15 * Iterations} interpreted");
    }

    [Fact]
    public void AnUnmaskedExceptionIsRaised()
    {
        // 1 / 0 with everything masked, then with division by zero unmasked: it shows at FWAIT, in a loop that is translated.
        using Comparison machines = new();
        CodeBuilder code = new(Map.Code);
        code.Op([0xc7], 4, 0, Rm.Absolute(Counter), Iterations, 4);
        code.Op([0xc7], 4, 0, Rm.Absolute(ControlWords), 0x037b_037f, 4);
        Place head = code.NewLabel();
        code.Bind(head);
        code.Bytes(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9);
        code.Op([0xff], 4, 1, Rm.Absolute(Counter));
        code.Branch([0x0f, 0x85], head, 4);
        code.Op([0xd9], 4, 5, Rm.Absolute(ControlWords + 2));
        code.Bytes(0x9b, 0xf4);
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.Write(Map.Code, code.ToArray());
            machine.Write(FaultHandlers.Count, 0UL);
            StartState start = new() { Rip = Map.Code };
            start.Registers[4] = Map.Stack;
            machine.Start(start);
            machine.Run();
            Assert.NotEqual(0UL, machine.Read<ulong>(FaultHandlers.Count));
        }

        Assert.Null(machines.Difference(0));
    }

    private static byte[] Program(Random random, out ulong rip)
    {
        CodeBuilder code = new(Map.Code + (ulong)(random.Next(64) * 16));
        rip = code.Origin;
        code.Op([0xc7], 4, 0, Rm.Absolute(Counter), Iterations, 4);
        for (int n = 0; n < Controls.Length; n++)
        {
            code.Op([0xc7], 4, 0, Rm.Absolute(ControlWords + (ulong)(4 * n)), Controls[n], 4);
        }

        code.Bytes(0xdb, 0xe3);
        Place head = code.NewLabel();
        code.Bind(head);
        for (int n = 0; n < 15; n++)
        {
            Write(code, random);
        }

        code.Op([0xff], 4, 1, Rm.Absolute(Counter));
        code.Branch([0x0f, 0x85], head, 4);
        code.Bytes(0xf4);
        return code.ToArray();
    }

    private static void Write(CodeBuilder code, Random random)
    {
        byte opcode = (byte)(0xd8 + random.Next(8));
        switch (random.Next(8))
        {
            case 0:
                code.Op([0xd9], 4, 5, Rm.Absolute(ControlWords + (ulong)(4 * random.Next(Controls.Length))));
                break;
            case 1:
                code.Op([(byte)(random.Next(2) == 0 ? 0xd9 : 0xdd)], 4, 7, Rm.Absolute(Words + (ulong)random.Next(32)));
                break;
            case 2:
                code.Bytes(0xdf, 0xe0);
                break;
            case 3 or 4:
                int digit = random.Next(8);
                if (X87Table.MemorySize(opcode, (byte)(digit << 3), out _) != 0)
                {
                    code.Op([opcode], 4, digit, Rm.At(6, random.Next(-128, 128)));
                }

                break;
            case 5:
                // Something to work with.
                code.Bytes(0xd9, (byte)(0xe8 + random.Next(7)));
                break;
            default:
                byte modRm = (byte)(0xc0 + random.Next(64));
                if (X87Table.IsRegisterForm(opcode, modRm))
                {
                    code.Bytes(opcode, modRm);
                    if (X87Table.WritesFlags(opcode, modRm))
                    {
                        code.Op([0x0f, 0x92], 1, 0, Rm.Absolute(Words + 64));
                    }
                }

                break;
        }
    }
}
