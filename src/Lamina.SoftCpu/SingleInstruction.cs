using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu;

/// <summary>An instruction that is in no block, decoded once for its bytes.</summary>
internal unsafe struct SingleInstruction
{
    private ulong _low;
    private ulong _high;

    /// <summary>Where it is decoded.</summary>
    public Instruction* Instruction;

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

    /// <summary>Remembers the bytes for which <see cref="Instruction"/> was decoded.</summary>
    public void Remember(byte* bytes, int codeSize)
    {
        _low = *(ulong*)bytes;
        _high = *(ulong*)(bytes + 8);
        CodeSize = (byte)codeSize;
    }
}
