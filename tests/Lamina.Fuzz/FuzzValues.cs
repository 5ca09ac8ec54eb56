namespace Lamina.Fuzz;

/// <summary>Numbers and bytes that hostile guests like.</summary>
internal static class FuzzValues
{
    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 3, 7, 8, 15, 16, 0x1f, 0x20, 0x40, 0x7f, 0x80, 0xff, 0x100, 0x1ff, 0x200, 0xfff, 0x1000, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0x7fffffffffffffff, 0x8000000000000000, ulong.MaxValue,
    ];

    /// <summary>A number: one at a limit, one that could be an address or a length in RAM, or any.</summary>
    public static ulong Number(Random random, ulong ram) => random.Next(5) switch
    {
        0 => Interesting[random.Next(Interesting.Length)],
        1 => (ulong)random.NextInt64((long)ram) & ~0xfffUL,
        2 => ram - (ulong)random.Next(1, 4096),
        3 => (ulong)random.Next(4096),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    /// <summary>Changes a few places of some bytes.</summary>
    public static byte[] Mutate(Random random, ReadOnlySpan<byte> original)
    {
        List<byte> bytes = [.. original];
        for (int change = random.Next(1, 9); change > 0 && bytes.Count > 0; change--)
        {
            int at = random.Next(2) == 0 ? random.Next(bytes.Count) : random.Next(Math.Min(bytes.Count, 1024));
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    byte[] number = BitConverter.GetBytes(Number(random, 1 << 24));
                    for (int i = 0; i < (1 << random.Next(4)) && at + i < bytes.Count; i++)
                    {
                        bytes[at + i] = number[i];
                    }

                    break;
                case 3:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 64), bytes.Count - at));
                    break;
                case 4:
                    bytes.RemoveRange(random.Next(8) == 0 ? at : bytes.Count - 1, 1);
                    break;
                default:
                    bytes.InsertRange(at, bytes.Skip(random.Next(bytes.Count)).Take(random.Next(32)).ToArray());
                    break;
            }
        }

        return [.. bytes];
    }
}
