using System.Numerics;

namespace Lamina.Verify;

/// <summary>Random numbers that a seed and the number of a case determine (SplitMix64).</summary>
internal struct CaseRandom(ulong seed, ulong number)
{
    private ulong _state = (seed * 0x9e37_79b9_7f4a_7c15) ^ BitOperations.RotateLeft(number * 0xd6e8_feb8_6659_fd93, 29);

    public ulong Next()
    {
        ulong z = _state += 0x9e37_79b9_7f4a_7c15;
        z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
        z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
        return z ^ (z >> 31);
    }

    public int Next(int limit) => (int)(((UInt128)Next() * (uint)limit) >> 64);

    public bool OneIn(int n) => Next(n) == 0;
}
