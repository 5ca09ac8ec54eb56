using System.Buffers.Binary;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Integer instructions without a ModRM byte against the host's processor: accumulator forms, stack, strings, decimal adjustment.</summary>
public sealed unsafe class IntegerOpcodeTests
{
    private const int Cases = 300;
    private const int Rax = 0;
    private const int Rcx = 1;
    private const int Rbx = 3;
    private const int Rbp = 5;
    private const int Rsi = 6;
    private const int Rdi = 7;
    private const ulong Logic = 0x10;
    private const ulong All = 0x8d5;

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void Accumulator(int codeSize)
    {
        for (int op = 0x04; op < 0x40; op += (op & 1) == 0 ? 1 : 7)
        {
            Check(codeSize, op, (op & 1) == 0 ? 'b' : 'z', (op & 0x38) is 0x08 or 0x20 or 0x30 ? Logic : 0);
        }

        Check(codeSize, 0xa8, 'b', Logic);
        Check(codeSize, 0xa9, 'z', Logic);
        Check(codeSize, 0x98, 'n');
        Check(codeSize, 0x99, 'n');
        foreach (int op in (ReadOnlySpan<int>)[0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0x9e, 0x9f, 0x90])
        {
            Check(codeSize, op, 'n');
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void RegisterInOpcode(int codeSize)
    {
        for (int n = 0; n < 8; n++)
        {
            Check(codeSize, 0xb0 + n, 'b');
            Check(codeSize, 0x50 + n, 'n');
            if (n != 4)
            {
                Check(codeSize, 0x90 + n, 'n');
                Check(codeSize, 0xb8 + n, 'v');
                Check(codeSize, 0x1c8 + n, 'n', word: false);
                Check(codeSize, 0x58 + n, 'n');
                if (codeSize == 4)
                {
                    Check(codeSize, 0x40 + n, 'n');
                    Check(codeSize, 0x48 + n, 'n');
                }
            }
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void StackForms(int codeSize)
    {
        Check(codeSize, 0x68, 'z');
        Check(codeSize, 0x6a, 'b');
        Check(codeSize, 0x9c, 'n');
        Check(codeSize, 0x9d, 'n', prepare: (random, machine, c) =>
        {
            // Not TF, NT and AC, which the host would act on.
            uint image = (uint)random.Next(int.MinValue, int.MaxValue) & 0x20_3ed7;
            BinaryPrimitives.WriteUInt64LittleEndian(machine.Buffer[(int)(c.State.General[4] - machine.BufferAddress)..], image);
        });
        Check(codeSize, 0xc9, 'n', prepare: (random, machine, c) => c.State.General[Rbp] = machine.BufferAddress + (ulong)random.Next(64, 0x3f00));
        Check(codeSize, 0xc8, 'e', prepare: (random, machine, c) => c.State.General[Rbp] = machine.BufferAddress + (ulong)random.Next(0x800, 0x1000));
        if (codeSize == 4)
        {
            Check(codeSize, 0x60, 'n');
        }
    }

    [Fact]
    public void PopAll()
    {
        // With a 66 prefix the stack pointer's upper half would stay; without, it is skipped.
        Check(4, 0x61, 'n');
    }

    [Fact]
    public void DecimalAdjustment()
    {
        const ulong overflow = 0x800;
        Check(4, 0x27, 'n', overflow);
        Check(4, 0x2f, 'n', overflow);
        Check(4, 0x37, 'n', 0x8c4);
        Check(4, 0x3f, 'n', 0x8c4);
        Check(4, 0xd4, 'i', 0x811);
        Check(4, 0xd5, 'b', 0x811);
        Check(4, 0xd6, 'n');
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void Translate(int codeSize)
    {
        Check(codeSize, 0xd7, 'n', prepare: (random, machine, c) =>
        {
            c.State.General[Rbx] = machine.BufferAddress + (ulong)random.Next(0x3f00);
        });
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void Offsets(int codeSize)
    {
        for (int op = 0xa0; op < 0xa4; op++)
        {
            Check(codeSize, op, 'o');
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void Strings(int codeSize)
    {
        foreach (int op in (ReadOnlySpan<int>)[0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf])
        {
            foreach (byte repeat in (ReadOnlySpan<byte>)[0, 0xf2, 0xf3])
            {
                Check(codeSize, op, 'n', prefix: repeat, small: true, prepare: (random, machine, c) =>
                {
                    bool alike = random.Next(3) != 0;
                    if (alike)
                    {
                        machine.Buffer.Fill((byte)random.Next(256));
                        machine.Buffer[random.Next(IntegerMachine.BufferSize)]++;
                        c.State.General[Rax] = (codeSize == 8 ? 0x0101_0101_0101_0101UL : 0x0101_0101) * machine.Buffer[0];
                    }
                    else if (random.Next(4) == 0)
                    {
                        random.NextBytes(machine.Buffer);
                    }

                    ulong upper = codeSize == 8 && c.IsSmall ? (ulong)(uint)random.Next() << 32 : 0;
                    int from = random.Next(0x1800, 0x2800);
                    int to = random.Next(3) == 0 ? from + random.Next(-20, 20) : random.Next(0x1800, 0x2800);
                    uint count = (uint)random.Next(random.Next(2) == 0 ? 4 : 0x280);

                    // Processors differ in which registers they zero-extend if there is nothing to do.
                    upper = count == 0 ? 0 : upper;
                    c.State.General[Rcx] = count | upper;
                    c.State.General[Rsi] = (machine.BufferAddress + (ulong)from) | upper;
                    c.State.General[Rdi] = (machine.BufferAddress + (ulong)to) | upper;
                });
            }
        }
    }

    private static void Check(
        int codeSize,
        int opcode,
        char immediate,
        ulong undefined = 0,
        bool word = true,
        bool small = false,
        byte prefix = 0,
        Action<Random, IntegerMachine, OpcodeCase>? prepare = null)
    {
        int seed = (opcode << 12) | (prefix << 4) | codeSize;
        Random random = new(seed);
        using IntegerComparison comparison = new(codeSize);
        random.NextBytes(comparison.Guest.Buffer);
        OpcodeCase c = new(random, codeSize, comparison.Guest.BufferAddress, comparison.Slot);
        for (int n = 0; n < Cases; n++)
        {
            c.Make(opcode, immediate, word, small, prefix);
            prepare?.Invoke(random, comparison.Guest, c);
            comparison.Check(c.Code, c.State, undefined & All, $"opcode {opcode:x} seed {seed} case {n}");
        }
    }
}
