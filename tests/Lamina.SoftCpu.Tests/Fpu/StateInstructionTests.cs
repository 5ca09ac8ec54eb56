namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Instructions that move whole states, against the host's own processor.</summary>
public sealed unsafe class StateInstructionTests
{
    private const int Rounds = 60;
    private readonly Random _random = new(512);

    [Theory]
    [InlineData("0FAE03", 8, 16)] // fxsave
    [InlineData("480FAE03", 8, 16)]
    [InlineData("0FAE23", 8, 16)] // xsave
    [InlineData("480FAE23", 8, 16)]
    [InlineData("0FAE33", 8, 16)] // xsaveopt
    [InlineData("480FAE33", 8, 16)]
    [InlineData("0FC723", 8, 16)] // xsavec
    [InlineData("480FC723", 8, 16)]
    public void Saves(string hex, int ignoredStart, int ignoredLength)
    {
        using NativeComparison comparison = new();

        // The last instruction's address and opcode are the test's, the host's mask of MXCSR its own.
        comparison.IgnoredMemory.Add((6, 2));
        comparison.IgnoredMemory.Add((ignoredStart, ignoredLength));
        comparison.IgnoredMemory.Add((28, 4));

        // Which components are in use is for the processor to say; XSAVEOPT and XSAVEC do not store those that are not.
        bool optimizes = hex.EndsWith("33", StringComparison.Ordinal) || hex.Contains("C7", StringComparison.Ordinal);
        bool xsave = hex.EndsWith("23", StringComparison.Ordinal) && !optimizes;
        if (xsave)
        {
            comparison.IgnoredMemory.Add((512, 1));
        }

        for (int round = 0; round < Rounds; round++)
        {
            Prepare(comparison, round, mayBeInitial: !optimizes);
            Check(comparison, Convert.FromHexString(hex));
        }
    }

    [Theory]
    [InlineData("0FAE0B")]
    [InlineData("480FAE0B")]
    public void LegacyRestores(string hex)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds; round++)
        {
            byte* area = Prepare(comparison, round);
            NativeState image;
            RandomState.Fill(_random, &image);
            Buffer.MemoryCopy(image.X87, area, 512, 32);
            *(uint*)(area + 24) = image.Mxcsr;
            Check(comparison, Convert.FromHexString(hex));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ExtendedRestores(bool compact)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds * 4; round++)
        {
            byte* area = Prepare(comparison, round);
            NativeState image;
            RandomState.Fill(_random, &image);
            Buffer.MemoryCopy(image.X87, area, 512, 32);
            *(uint*)(area + 24) = image.Mxcsr;
            new Span<byte>(area + 512, 64).Clear();
            int format = compact ? _random.Next(8) : 7;
            *(ulong*)(area + 512) = (ulong)(_random.Next(8) & format);
            *(ulong*)(area + 520) = compact ? (1UL << 63) | (uint)format : 0;
            Check(comparison, round % 2 == 0 ? [0x48, 0x0f, 0xae, 0x2b] : [0x0f, 0xae, 0x2b]);
        }
    }

    [Theory]
    [InlineData("0F77")] // emms
    [InlineData("C5F877")] // vzeroupper
    [InlineData("C5FC77")] // vzeroall
    [InlineData("0FAE13")] // ldmxcsr
    [InlineData("0FAE1B")] // stmxcsr
    [InlineData("C5F8AE13")]
    [InlineData("C5F8AE1B")]
    [InlineData("9B")]
    public void SmallOnes(string hex)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds; round++)
        {
            byte* area = Prepare(comparison, round);
            *(uint*)area = 0x1f80u | (uint)(_random.Next(0x10000) & 0xe07f);
            Check(comparison, Convert.FromHexString(hex));
        }
    }

    private byte* Prepare(NativeComparison comparison, int round, bool mayBeInitial = true)
    {
        NativeState* state = comparison.Host.State;
        RandomState.Fill(_random, state);
        RandomState.Fill(_random, comparison.Guest.Memory);
        comparison.Offset = round % 8 == 0 ? 4096 - 512 : _random.Next(32) * 64;
        byte* area = comparison.Guest.Page + comparison.Offset;
        state->General[InstructionBytes.AddressRegister] = (ulong)area;
        state->General[0] = (uint)_random.Next(8);
        state->General[2] = 0;

        if (!mayBeInitial)
        {
            return area;
        }

        // Some components in their initial state.
        if (_random.Next(3) == 0)
        {
            for (int n = 0; n < 16; n++)
            {
                new Span<byte>(state->Vectors + (n * 32) + 16, 16).Clear();
            }
        }

        if (_random.Next(3) == 0)
        {
            state->Mxcsr = 0x1f80;
            for (int n = 0; n < 16; n++)
            {
                new Span<byte>(state->Vectors + (n * 32), 16).Clear();
            }
        }

        if (_random.Next(3) == 0)
        {
            new Span<byte>(state->X87, 512).Clear();
            *(ushort*)state->X87 = 0x37f;
            *(uint*)(state->X87 + 24) = 0x1f80;
        }

        return area;
    }

    private static void Check(NativeComparison comparison, byte[] code)
    {
        string? difference = comparison.Run(code);
        Assert.True(difference == null, $"{Convert.ToHexString(code)} eax {comparison.Host.State->General[0]:x}: {difference}");
    }
}
