using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Every row of the instruction table, in every encoding, against the host's own processor.</summary>
public sealed unsafe class VectorInstructionTests
{
    private const int Rounds = 24;
    private const int Rsp = 4;

    public static TheoryData<int> Opcodes
    {
        get
        {
            TheoryData<int> data = [];
            foreach (int opcode in VectorRows.All.Select(row => (int)row.Opcode).Distinct().Order())
            {
                data.Add(opcode);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Opcodes))]
    public void ResultsAreTheHosts(int opcode)
    {
        // TZCNT and LZCNT define CF and ZF alone (Intel SDM volume 2), and processors differ in the others.
        const uint countDefines = Flags.Carry | Flags.Zero;
        using NativeComparison comparison = new() { IgnoredFlags = opcode is 0x1bc or 0x1bd ? Flags.Status & ~countDefines : 0 };
        Random random = new(opcode);
        foreach (VectorRow row in VectorRows.Find(opcode).ToArray())
        {
            Try(comparison, random, row, row.Legacy, vex: false, wide: false);
            Try(comparison, random, row, row.Vex128, vex: true, wide: false);
            Try(comparison, random, row, row.Vex256, vex: true, wide: true);
        }
    }

    private static void Try(NativeComparison comparison, Random random, VectorRow row, ProcessorFeatures features, bool vex, bool wide)
    {
        if (features == ProcessorFeatures.None || (features & HostFeatures.All) != features)
        {
            return;
        }

        for (int round = 0; round < Rounds; round++)
        {
            bool memory = row.AllowsMemory && (!row.AllowsRegister || round % 2 == 0);
            bool w = row.Has(RowAttributes.W1) || (!row.Has(RowAttributes.W0) && row.WidthByW && random.Next(2) == 0);
            bool word = row.Has(RowAttributes.Word) && !w && random.Next(3) == 0;
            bool wideOperation = wide && !row.Has(RowAttributes.IgnoresLength);
            int size = memory ? row.MemorySize(wideOperation, w, w ? 8 : word ? 2 : 4) : 0;
            comparison.Offset = random.Next(8) == 0 ? 4096 - (size / 2) : random.Next(2048);
            bool aligned = vex ? row.Has(RowAttributes.Aligned) : size == 16 && !row.Has(RowAttributes.Unaligned);
            comparison.Offset &= aligned ? -size : -1;
            NativeState* state = comparison.Host.State;
            RandomState.Fill(random, state);
            RandomState.Fill(random, comparison.Guest.Memory.Slice(comparison.Offset, 64));
            int displacement = random.Next(-1000, 1000);
            InstructionBytes bytes = new()
            {
                Row = row,
                Vex = vex,
                Wide = wide,
                W = w,
                Word = word,
                Memory = memory,
                Reg = Register(random, row.Reg),
                Vvvv = Register(random, row.Vvvv),
                Rm = Register(random, row.Rm),
                Immediate = round < 16 ? (byte)((round * 17) ^ random.Next(4)) : (byte)random.Next(256),
                Displacement = displacement,
            };
            if (memory)
            {
                state->General[InstructionBytes.AddressRegister] = (ulong)(comparison.Guest.Page + comparison.Offset - displacement);
            }

            byte[] code = bytes.Encode();
            string? difference = comparison.Run(code);
            Assert.True(difference == null, $"{row.Name} {Convert.ToHexString(code)}: {difference}");
        }
    }

    private static int Register(Random random, OperandKind kind)
    {
        int register = random.Next(kind == OperandKind.Mmx ? 8 : 16);
        return kind == OperandKind.General && register == Rsp ? 0 : register;
    }
}
