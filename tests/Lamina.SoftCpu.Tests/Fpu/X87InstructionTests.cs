namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Every x87 instruction that computes, with all exceptions masked and with random masks, against the host's own processor.</summary>
public sealed unsafe class X87InstructionTests
{
    private const int Rounds = 40;
    private readonly Random _random = new(87);

    [Theory]
    [InlineData(0xd8)]
    [InlineData(0xd9)]
    [InlineData(0xda)]
    [InlineData(0xdb)]
    [InlineData(0xdc)]
    [InlineData(0xdd)]
    [InlineData(0xde)]
    [InlineData(0xdf)]
    public void RegisterForms(int opcode)
    {
        using NativeComparison comparison = new();
        for (int modRm = 0xc0; modRm < 0x100; modRm++)
        {
            // FNSTSW AX and the control instructions are here too.
            byte[] code = [(byte)opcode, (byte)modRm];
            if (comparison.Guest.TryBind(code, out _))
            {
                Try(comparison, code);
            }
        }
    }

    [Theory]
    [InlineData(0xd8)]
    [InlineData(0xd9)]
    [InlineData(0xda)]
    [InlineData(0xdb)]
    [InlineData(0xdc)]
    [InlineData(0xdd)]
    [InlineData(0xde)]
    [InlineData(0xdf)]
    public void MemoryForms(int opcode)
    {
        using NativeComparison comparison = new();
        for (int digit = 0; digit < 8; digit++)
        {
            byte[] code = [(byte)opcode, (byte)((digit << 3) | InstructionBytes.AddressRegister)];
            if (comparison.Guest.TryBind(code, out _))
            {
                // The pointers that FNSTENV and FNSAVE store are the host's there.
                bool environment = opcode is 0xd9 or 0xdd && digit is 6 && code.Length == 2;
                comparison.IgnoredMemory.Clear();
                if (environment)
                {
                    comparison.IgnoredMemory.Add((12, 16));
                }

                Try(comparison, code);
                if (environment)
                {
                    comparison.IgnoredMemory.Clear();
                    comparison.IgnoredMemory.Add((6, 8));
                    Try(comparison, [0x66, .. code]);
                }
                else
                {
                    Try(comparison, [0x66, .. code]);
                }
            }
        }
    }

    [Fact]
    public void UndefinedFormsAreNotBound()
    {
        using GuestMachine guest = new();
        byte[][] undefined =
        [
            [0xd9, 0x0b], [0xd9, 0xd1], [0xd9, 0xe2], [0xd9, 0xe6], [0xd9, 0xef], [0xda, 0xe0], [0xda, 0xe8], [0xda, 0xf0], [0xdb, 0x23], [0xdb, 0x33],
            [0xdb, 0xe5], [0xdb, 0xf8], [0xdd, 0x2b], [0xdd, 0xf0], [0xde, 0xd8], [0xde, 0xda], [0xdf, 0xe1], [0xdf, 0xf8],
        ];
        foreach (byte[] code in undefined)
        {
            Assert.False(guest.TryBind(code, out _), Convert.ToHexString(code));
        }
    }

    private void Try(NativeComparison comparison, byte[] code)
    {
        for (int round = 0; round < Rounds; round++)
        {
            NativeState* state = comparison.Host.State;
            RandomState.Fill(_random, state);
            comparison.Offset = _random.Next(8) == 0 ? 4096 - _random.Next(12) : _random.Next(2048);
            RandomState.Fill(_random, comparison.Guest.Memory.Slice(comparison.Offset, 128));
            state->General[InstructionBytes.AddressRegister] = (ulong)(comparison.Guest.Page + comparison.Offset);
            if (round % 4 == 3)
            {
                // Unmasked exceptions, none of them pending yet.
                *(ushort*)state->X87 = (ushort)((*(ushort*)state->X87 & ~0x3f) | _random.Next(64));
                *(ushort*)(state->X87 + 2) &= 0xffc0;
            }

            string? difference = comparison.Run(code);
            Assert.True(difference == null, $"{Convert.ToHexString(code)} fcw {*(ushort*)state->X87:x}: {difference}");
        }
    }
}
