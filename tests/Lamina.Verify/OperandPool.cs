using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>Registers and memory to begin with: numbers of every kind.</summary>
internal sealed unsafe class OperandPool
{
    private const int Size = 256;
    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000,
        0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff, 0x99, 0x1f, 0x20, 0x3f, 0x40, 63, 31,
    ];

    private readonly NativeState[] _states = new NativeState[Size];
    private readonly byte[][] _memories = new byte[Size][];

    public OperandPool()
    {
        Random random = new(20_240_601);
        for (int n = 0; n < Size; n++)
        {
            fixed (NativeState* state = &_states[n])
            {
                RandomState.Fill(random, state);
            }

            _memories[n] = new byte[Arena.DataSize];
            for (int at = 0; at < Arena.DataSize; at += 64)
            {
                RandomState.Fill(random, _memories[n].AsSpan(at, 64));
            }
        }
    }

    /// <summary>A number from the corners.</summary>
    public static ulong Corner(ref CaseRandom random) => Interesting[random.Next(Interesting.Length)];

    /// <summary>Fills a case's registers, flags and memory.</summary>
    public void Fill(ref CaseRandom random, TestCase test)
    {
        test.State = _states[random.Next(Size)];
        _memories[random.Next(Size)].CopyTo(test.Memory, 0);
        fixed (NativeState* s = &test.State)
        {
            for (int n = 0; n < 16; n++)
            {
                s->General[n] = random.Next(3) switch { 0 => Corner(ref random), 1 => random.Next(), _ => s->General[n] };
            }

            s->Flags = 0x202 | (random.Next() & 0x8d5) | (random.OneIn(8) ? 0x400UL : 0);
            if (random.OneIn(16))
            {
                s->Mxcsr &= ~((uint)random.Next() & 0x1f80);
                s->Mxcsr &= 0xffc0;
            }

            if (random.OneIn(16))
            {
                ushort* x87 = (ushort*)s->X87;
                x87[0] &= (ushort)~(random.Next() & 0x3f);
                x87[1] &= 0x7f40;
            }
        }
    }
}
