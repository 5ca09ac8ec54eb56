using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Operands that reach the corners: integers, floating-point numbers of every class, text.</summary>
internal static unsafe class RandomState
{
    private static readonly float[] Singles =
        [0f, -0f, 1f, -1f, 2f, 0.5f, 3.5f, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.Epsilon, 1.17549421e-38f, float.MaxValue, float.MinValue, 2147483648f, -2147483904f, 1e10f, 65519f, 65520f, 1e-7f];

    private static readonly double[] Doubles =
        [0, -0.0, 1, -1, 2, 0.5, 2.5, double.NaN, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, 2.2250738585072009e-308, double.MaxValue, 1e-310, 2147483647.5, 9.3e18, 1e300, 1e-40, 3.4028235677973366e38, 1e-46];

    public static void Fill(Random random, Span<byte> bytes)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        int kind = random.Next(6);
        for (int n = 0; n < words.Length; n++)
        {
            words[n] = (kind == 5 ? random.Next(5) : kind) switch
            {
                0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
                1 => ((ulong)BitConverter.SingleToUInt32Bits(Single(random)) << 32) | BitConverter.SingleToUInt32Bits(Single(random)),
                2 => BitConverter.DoubleToUInt64Bits(Double(random)),
                3 => (uint)random.Next(4) | ((ulong)(uint)random.Next(4) << 16) | ((ulong)(uint)random.Next(4) << 32) | ((ulong)(uint)random.Next(4) << 48),
                _ => (0x0101010101010101UL * (uint)random.Next(256)) ^ (random.Next(2) == 0 ? 0 : 0xff00_0000_0000_0000),
            };
        }
    }

    /// <summary>A register state with all SIMD and x87 exceptions masked.</summary>
    public static void Fill(Random random, NativeState* state)
    {
        *state = default;
        Fill(random, new Span<byte>(state->Vectors, 512));
        Fill(random, new Span<byte>(state->General, 128));
        state->Flags = 0x202 | ((ulong)random.Next(0x1000) & 0x8d5);
        state->Mxcsr = 0x1f80 | ((uint)random.Next(4) << 13) | ((uint)random.Next(64) & (uint)random.Next(64));
        if (random.Next(4) == 0)
        {
            state->Mxcsr |= random.Next(2) == 0 ? 0x8000u : 0x40u;
        }

        *(ushort*)state->X87 = (ushort)(0x7f | (random.Next(4) << 10) | (random.Next(4) switch { 0 => 0, 1 => 2, _ => 3 } << 8));
        *(ushort*)(state->X87 + 2) = (ushort)((random.Next(8) << 11) | (random.Next(2) * 0x4700) | (random.Next(64) & random.Next(64)));
        state->X87[4] = (byte)(random.Next(3) == 0 ? random.Next(256) : 0xff);
        *(uint*)(state->X87 + 24) = 0x1f80;
        for (int n = 0; n < 8; n++)
        {
            ulong* significand = (ulong*)(state->X87 + 32 + (n * 16));
            ushort* exponent = (ushort*)(state->X87 + 40 + (n * 16));
            *significand = (ulong)random.NextInt64() | (1UL << 63);
            *exponent = (ushort)(0x3fff - 40 + random.Next(80) + (random.Next(2) << 15));
            switch (random.Next(12))
            {
                case 0:
                    *significand = 0;
                    *exponent &= 0x8000;
                    break;
                case 1:
                    *exponent |= 0x7fff;
                    break;
                case 2:
                    *significand = 1UL << 63;
                    *exponent |= 0x7fff;
                    break;
                case 3:
                    *significand &= ~(1UL << 63);
                    *exponent &= 0x8000;
                    break;
                case 4:
                    *significand &= ~(1UL << 63);
                    break;
                case 5:
                    *significand = (ulong)random.Next(1, 16) << 60;
                    *significand |= 1UL << 63;
                    break;
                case 6:
                    *exponent = (ushort)random.Next(0x10000);
                    break;
            }
        }
    }

    private static float Single(Random random) => random.Next(3) switch
    {
        0 => Singles[random.Next(Singles.Length)],
        1 => (random.NextSingle() - 0.5f) * random.Next(1000),
        _ => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
    };

    private static double Double(Random random) => random.Next(3) switch
    {
        0 => Doubles[random.Next(Doubles.Length)],
        1 => (random.NextDouble() - 0.5) * random.Next(100000),
        _ => BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue)),
    };
}
