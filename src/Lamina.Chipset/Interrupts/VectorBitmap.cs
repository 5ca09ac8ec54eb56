using System.Numerics;

namespace Lamina.Chipset.Interrupts;

/// <summary>A bit for each of the 256 vectors; IRR and TMR are changed by other threads, so changes are atomic.</summary>
internal struct VectorBitmap
{
    private ulong _word0;
    private ulong _word1;
    private ulong _word2;
    private ulong _word3;

    /// <summary>The highest vector whose bit is set, or -1.</summary>
    public readonly int Highest
    {
        get
        {
            if (Volatile.Read(in _word3) is ulong word3 and not 0)
            {
                return 255 - BitOperations.LeadingZeroCount(word3);
            }

            if (Volatile.Read(in _word2) is ulong word2 and not 0)
            {
                return 191 - BitOperations.LeadingZeroCount(word2);
            }

            if (Volatile.Read(in _word1) is ulong word1 and not 0)
            {
                return 127 - BitOperations.LeadingZeroCount(word1);
            }

            ulong word0 = Volatile.Read(in _word0);
            return 63 - BitOperations.LeadingZeroCount(word0);
        }
    }

    /// <summary>Sets the bit.</summary>
    /// <returns>Whether it was clear.</returns>
    public bool Set(byte vector)
    {
        ulong bit = 1UL << (vector & 63);
        return (Interlocked.Or(ref Word(ref this, vector), bit) & bit) == 0;
    }

    /// <summary>Clears the bit.</summary>
    public void Clear(byte vector)
    {
        ref ulong word = ref Word(ref this, vector);
        ulong bit = 1UL << (vector & 63);
        if ((Volatile.Read(ref word) & bit) != 0)
        {
            Interlocked.And(ref word, ~bit);
        }
    }

    /// <summary>Sets or clears the bit.</summary>
    public void Assign(byte vector, bool value)
    {
        if (value)
        {
            Set(vector);
        }
        else
        {
            Clear(vector);
        }
    }

    public readonly bool Contains(byte vector) => (GetRegister(vector >> 5) >> (vector & 31) & 1) != 0;

    /// <summary>32 bits of it, as the guest reads them.</summary>
    public readonly uint GetRegister(int index)
    {
        ulong word = (index >> 1) switch
        {
            0 => Volatile.Read(in _word0),
            1 => Volatile.Read(in _word1),
            2 => Volatile.Read(in _word2),
            _ => Volatile.Read(in _word3),
        };
        return (uint)(word >> ((index & 1) * 32));
    }

    /// <summary>One of four words, for saved state.</summary>
    public readonly ulong GetWord(int index) => GetRegister(index * 2) | ((ulong)GetRegister((index * 2) + 1) << 32);

    /// <summary>Replaces one of four words.</summary>
    public void SetWord(int index, ulong value) => Interlocked.Exchange(ref Word(ref this, (byte)(index * 64)), value);

    /// <summary>Adds bits to one of four words.</summary>
    public void AddWord(int index, ulong value) => Interlocked.Or(ref Word(ref this, (byte)(index * 64)), value);

    /// <summary>Takes one of four words away.</summary>
    public ulong TakeWord(int index) => Interlocked.Exchange(ref Word(ref this, (byte)(index * 64)), 0);

    public void ClearAll()
    {
        for (int i = 0; i < 4; i++)
        {
            SetWord(i, 0);
        }
    }

    private static ref ulong Word(ref VectorBitmap bitmap, byte vector)
    {
        switch (vector >> 6)
        {
            case 0:
                return ref bitmap._word0;
            case 1:
                return ref bitmap._word1;
            case 2:
                return ref bitmap._word2;
            default:
                return ref bitmap._word3;
        }
    }
}
