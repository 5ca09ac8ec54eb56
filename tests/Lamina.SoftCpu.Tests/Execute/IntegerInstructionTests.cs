using System.Numerics;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Every integer instruction with a ModRM byte against the host's processor, in 64-bit and 32-bit code.</summary>
public sealed unsafe class IntegerInstructionTests
{
    private const int Cases = 150;
    private const ulong Carry = 1;
    private const ulong Parity = 4;
    private const ulong Adjust = 0x10;
    private const ulong Zero = 0x40;
    private const ulong Sign = 0x80;
    private const ulong Overflow = 0x800;

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    public void MatchesTheHost(int codeSize)
    {
        using IntegerComparison comparison = new(codeSize);
        int index = 0;
        foreach (IntegerForm form in IntegerForm.All)
        {
            index++;
            if (codeSize == 4 && form.Name == "movsxd")
            {
                continue;
            }

            int seed = (codeSize * 10000) + index;
            Random random = new(seed);
            random.NextBytes(comparison.Guest.Buffer);
            IntegerCase c = new(random, codeSize, comparison.Guest.BufferAddress, comparison.Slot);
            for (int n = 0; n < Cases; n++)
            {
                c.Make(form);
                Run(comparison, form, c, $"{form.Name} seed {seed} case {n}");
            }
        }
    }

    private static void Run(IntegerComparison comparison, IntegerForm form, IntegerCase c, string seed)
    {
        int count = Count(form, c);
        if (form.Undefined == UndefinedFlags.DoubleShift && c.Bits == 16 && count > 16)
        {
            return;
        }

        int free = -1;
        if (form.Undefined == UndefinedFlags.BitScan && Operand(comparison, c) == 0)
        {
            free = c.Reg;
        }

        if (form.Special == 'd')
        {
            Tame(comparison, form, c);
            if (DivideFails(comparison, form, c))
            {
                comparison.CheckDivideError(c.Code, c.State, seed);
                return;
            }
        }

        comparison.Check(c.Code, c.State, Undefined(form, c.Bits, count), seed, free);
    }

    private static int Count(IntegerForm form, IntegerCase c)
    {
        int count = form.Special == 'c' ? (byte)c.State.General[1] : form.Immediate == 'b' ? c.Immediate : 1;
        return count & (c.Bits == 64 ? 63 : 31);
    }

    private static ulong Undefined(IntegerForm form, int bits, int count) => form.Undefined switch
    {
        UndefinedFlags.Logic => Adjust,
        UndefinedFlags.Shift => count == 0 ? 0 : Adjust | (count > 1 ? Overflow : 0) | (count >= bits ? Carry : 0),
        UndefinedFlags.Rotate => count > 1 ? Overflow : 0,
        UndefinedFlags.DoubleShift => count == 0 ? 0 : Adjust | (count > 1 ? Overflow : 0) | (count >= bits ? Carry : 0),
        UndefinedFlags.Multiply => Sign | Zero | Adjust | Parity,
        UndefinedFlags.BitTest => Overflow | Sign | Adjust | Parity,
        UndefinedFlags.BitScan => Carry | Overflow | Sign | Adjust | Parity,
        UndefinedFlags.All => Carry | Overflow | Sign | Zero | Adjust | Parity,
        _ => 0,
    };

    private static ulong Operand(IntegerComparison comparison, IntegerCase c)
    {
        ulong mask = c.Bits == 64 ? ulong.MaxValue : (1UL << c.Bits) - 1;
        if (c.IsMemory)
        {
            return BitConverter.ToUInt64(comparison.Guest.Buffer[c.Target..]) & mask;
        }

        bool high = c.Bits == 8 && !c.HasRex && c.Rm is >= 4 and < 8;
        return (high ? c.State.General[c.Rm - 4] >> 8 : c.State.General[c.Rm]) & mask;
    }

    // Most random dividends overflow: make the upper half small, or the divisor in memory large. Registers that form an address stay as they are.
    private static void Tame(IntegerComparison comparison, IntegerForm form, IntegerCase c)
    {
        bool signed = form.Digit == 7;
        if (c.IsMemory)
        {
            int top = c.Target + (c.Bits / 8) - 1;
            comparison.Guest.Buffer[top] = (byte)(signed ? comparison.Guest.Buffer[top] : comparison.Guest.Buffer[top] | 0xe0);
            return;
        }

        ulong divisor = Operand(comparison, c);
        IntegerState before = c.State;
        ulong mask = c.Bits == 64 ? ulong.MaxValue : (1UL << c.Bits) - 1;
        int shift = c.Bits == 8 ? 8 : 0;
        int register = c.Bits == 8 ? 0 : 2;
        ulong high = (c.State.General[register] >> shift) & mask;
        ulong limit = signed && divisor > mask / 2 ? (~divisor + 1) & mask : divisor;
        ulong upper = limit == 0 ? 0 : high % limit >> (signed ? 1 : 0);
        upper = signed && (high & 1) != 0 ? ~upper & mask : upper;
        c.State.General[register] = (c.State.General[register] & ~(mask << shift)) | (upper << shift);
        if (Operand(comparison, c) != divisor)
        {
            c.State = before;
        }
    }

    private static bool DivideFails(IntegerComparison comparison, IntegerForm form, IntegerCase c)
    {
        ulong raw = Operand(comparison, c);
        if (raw == 0)
        {
            return true;
        }

        ulong mask = c.Bits == 64 ? ulong.MaxValue : (1UL << c.Bits) - 1;
        ulong low = c.State.General[0] & mask;
        ulong high = (c.Bits == 8 ? c.State.General[0] >> 8 : c.State.General[2]) & mask;
        BigInteger modulus = BigInteger.One << c.Bits;
        BigInteger dividend = (new BigInteger(high) * modulus) + low;
        BigInteger divisor = raw;
        if (form.Digit == 6)
        {
            return dividend / divisor >= modulus;
        }

        dividend -= dividend >= modulus * modulus / 2 ? modulus * modulus : 0;
        divisor -= divisor >= modulus / 2 ? modulus : 0;
        BigInteger quotient = BigInteger.Divide(dividend, divisor);
        return quotient >= modulus / 2 || quotient < -modulus / 2;
    }
}
