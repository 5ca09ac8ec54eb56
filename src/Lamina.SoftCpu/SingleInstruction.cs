using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu;

/// <summary>An instruction that is in no block, decoded once for its bytes.</summary>
internal unsafe struct SingleInstruction
{
    private ulong _low;
    private ulong _high;

    /// <summary>Where it is decoded.</summary>
    public Instruction* Instruction;

    /// <summary>Where it was found, if it crosses a page of RAM in 64-bit code; otherwise <see cref="Nowhere"/>.</summary>
    public ulong Rip;

    /// <summary>Physical address of the page that it begins in.</summary>
    public ulong FirstPage;

    /// <summary>Of the page that it ends in.</summary>
    public ulong SecondPage;

    /// <summary>No instruction that crosses a page begins here.</summary>
    public const ulong Nowhere = 0;

    /// <summary>Code size for which it was decoded, or 0: nothing is here.</summary>
    public byte CodeSize;

    /// <summary>Whether it has these bytes (of which <paramref name="available"/> can be read, in a buffer of 16).</summary>
    public readonly bool Matches(byte* bytes, int available, int codeSize)
    {
        if (CodeSize != codeSize || Instruction->Length > available)
        {
            return false;
        }

        int length = Instruction->Length;
        return length <= 8
            ? ((*(ulong*)bytes ^ _low) << (64 - (8 * length))) == 0
            : *(ulong*)bytes == _low && ((*(ulong*)(bytes + 8) ^ _high) << (128 - (8 * length))) == 0;
    }

    /// <summary>Whether its bytes still lie at the end of one page, and the beginning of the other.</summary>
    public readonly bool Matches(byte* firstPage, byte* secondPage)
    {
        int split = 0x1000 - (int)(Rip & 0xfff);
        byte* bytes = stackalloc byte[16];
        *(ulong*)bytes = _low;
        *(ulong*)(bytes + 8) = _high;
        int rest = Instruction->Length - split;
        return new Span<byte>(firstPage + 0x1000 - split, split).SequenceEqual(new Span<byte>(bytes, split))
            && new Span<byte>(secondPage, rest).SequenceEqual(new Span<byte>(bytes + split, rest));
    }

    /// <summary>Remembers the bytes for which <see cref="Instruction"/> was decoded.</summary>
    public void Remember(byte* bytes, int codeSize)
    {
        _low = *(ulong*)bytes;
        _high = *(ulong*)(bytes + 8);
        CodeSize = (byte)codeSize;
        Rip = Nowhere;
    }
}
