namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Masked moves and gathers, against the host's own processor.</summary>
public sealed unsafe class MaskedMoveTests
{
    private const int Rounds = 60;
    private readonly Random _random = new(2);

    [Theory]
    [InlineData(0x2c, 0)]
    [InlineData(0x2d, 0)]
    [InlineData(0x2e, 0)]
    [InlineData(0x2f, 0)]
    [InlineData(0x8c, 0)]
    [InlineData(0x8c, 1)]
    [InlineData(0x8e, 0)]
    [InlineData(0x8e, 1)]
    public void VexMaskedMoves(int opcode, int w)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds; round++)
        {
            NativeState* state = Prepare(comparison);
            state->General[InstructionBytes.AddressRegister] = (ulong)(comparison.Guest.Page + comparison.Offset);
            int reg = _random.Next(16);
            int last = (w << 7) | (_random.Next(16) << 3) | (_random.Next(2) << 2) | 1;
            Check(comparison, [0xc4, (byte)(0x62 | (reg < 8 ? 0x80 : 0)), (byte)last, (byte)opcode, (byte)(((reg & 7) << 3) | 3)]);
        }
    }

    [Theory]
    [InlineData("0FF7")]
    [InlineData("660FF7")]
    [InlineData("C5F9F7")]
    public void ByteMaskedMoves(string hex)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds; round++)
        {
            NativeState* state = Prepare(comparison);
            state->General[7] = (ulong)(comparison.Guest.Page + comparison.Offset);
            Check(comparison, [.. Convert.FromHexString(hex), (byte)(0xc0 | _random.Next(64))]);
        }
    }

    [Theory]
    [InlineData(0x90)]
    [InlineData(0x91)]
    [InlineData(0x92)]
    [InlineData(0x93)]
    public void Gathers(int opcode)
    {
        using NativeComparison comparison = new();
        for (int round = 0; round < Rounds * 2; round++)
        {
            NativeState* state = Prepare(comparison);
            int[] registers = Enumerable.Range(0, 16).ToArray();
            _random.Shuffle(registers);
            (int reg, int index, int mask) = (registers[0], registers[1], registers[2]);
            int scale = _random.Next(4);
            for (int n = 0; n < 8; n++)
            {
                bool wide = (opcode & 1) != 0;
                int value = _random.Next(-100, 100);
                if (wide && n < 4)
                {
                    ((long*)(state->Vectors + (index * 32)))[n] = value;
                }
                else if (!wide)
                {
                    ((int*)(state->Vectors + (index * 32)))[n] = value;
                }
            }

            state->General[InstructionBytes.AddressRegister] = (ulong)(comparison.Guest.Page + 4096);
            int second = 2 | (reg < 8 ? 0x80 : 0) | (index < 8 ? 0x40 : 0) | 0x20;
            int third = (_random.Next(2) << 7) | ((~mask & 15) << 3) | (_random.Next(2) << 2) | 1;
            Check(comparison, [0xc4, (byte)second, (byte)third, (byte)opcode, (byte)(((reg & 7) << 3) | 4), (byte)((scale << 6) | ((index & 7) << 3) | 3)]);
        }
    }

    [Fact]
    public void MaskedOffElementsDoNotFault()
    {
        using GuestMachine guest = new();
        ProcessorContext* c = guest.Context;
        guest.Map(1, false, false);
        c->Registers[3] = (ulong)guest.Page + 4096 - 8;
        uint* mask = (uint*)(c->Vectors + (2 * 32));
        mask[0] = mask[1] = 0x8000_0000;

        // vmaskmovps xmm1, xmm2, [rbx], and the store
        Assert.Null(guest.Run([0xc4, 0xe2, 0x69, 0x2c, 0x0b]));
        Assert.Null(guest.Run([0xc4, 0xe2, 0x69, 0x2e, 0x0b]));
        mask[2] = 0x8000_0000;
        guest.Memory[4096 - 8] = 0x55;
        Assert.Equal(14, guest.Run([0xc4, 0xe2, 0x69, 0x2c, 0x0b]));
        Assert.Equal((ulong)guest.Page + 4096, c->Cr2);
        ((uint*)(c->Vectors + 32))[0] = 0x12345678;
        Assert.Equal(14, guest.Run([0xc4, 0xe2, 0x69, 0x2e, 0x0b]));
        Assert.Equal(0x55, guest.Memory[4096 - 8]);
    }

    [Fact]
    public void GatherKeepsWhatWasLoadedBeforeAFault()
    {
        using GuestMachine guest = new();
        ProcessorContext* c = guest.Context;
        guest.Map(1, false, false);
        c->Registers[3] = (ulong)guest.Page;
        *(uint*)(guest.Page + 16) = 0xcafe;
        int* index = (int*)(c->Vectors + (3 * 32));
        uint* mask = (uint*)(c->Vectors + (2 * 32));
        for (int n = 0; n < 4; n++)
        {
            index[n] = n == 0 ? 16 : 4096;
            mask[n] = 0xffff_ffff;
        }

        // vpgatherdd xmm1, [rbx + xmm3], xmm2
        byte[] code = [0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x1b];
        Assert.Equal(14, guest.Run(code));
        Assert.Equal(0xcafeu, ((uint*)(c->Vectors + 32))[0]);
        Assert.Equal(0u, mask[0]);
        Assert.Equal(0xffff_ffffu, mask[1]);
        guest.Map(1, true, true);
        Assert.Null(guest.Run(code));
        Assert.Equal(0u, mask[3]);
    }

    [Theory]
    [InlineData("C4E27190140B")] // mask is the index
    [InlineData("C4E271900C1B")] // mask is the destination
    [InlineData("C4E269901C1B")] // index is the destination
    [InlineData("C4E269900B")] // no SIB
    public void GathersWithoutDistinctRegistersAreUndefined(string hex)
    {
        using GuestMachine guest = new();
        Assert.False(guest.TryBind(Convert.FromHexString(hex), out _));
    }

    private NativeState* Prepare(NativeComparison comparison)
    {
        RandomState.Fill(_random, comparison.Host.State);
        RandomState.Fill(_random, comparison.Guest.Memory);
        comparison.Offset = _random.Next(4) == 0 ? 4096 - _random.Next(32) : _random.Next(2048);
        return comparison.Host.State;
    }

    private static void Check(NativeComparison comparison, byte[] code)
    {
        string? difference = comparison.Run(code);
        Assert.True(difference == null, $"{Convert.ToHexString(code)}: {difference}");
    }
}
