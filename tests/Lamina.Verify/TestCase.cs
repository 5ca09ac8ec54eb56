using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>One instruction with the registers and the memory that it finds.</summary>
internal sealed class TestCase
{
    public const int MaximumLength = 15;

    /// <summary>Bytes of a sequence of instructions.</summary>
    public const int MaximumSequence = MaximumLength * SequenceGenerator.Maximum;

    public byte[] Code { get; } = new byte[MaximumSequence + 8];

    public int Length { get; set; }

    public NativeState State;

    /// <summary>Default size of the code segment: 16, 32 or 64.</summary>
    public int Bits { get; set; } = 64;

    /// <summary>Lengths of the instructions of a sequence; none: it is a single one.</summary>
    public List<int> Lengths { get; } = [];

    /// <summary>Whether it is a sequence of instructions.</summary>
    public bool IsSequence => Lengths.Count > 0;

    /// <summary>Flags that a sequence leaves undefined.</summary>
    public ulong UndefinedFlags { get; set; }

    /// <summary>Status flags that each instruction of a sequence reads and writes.</summary>
    public List<(ulong Read, ulong Written)> FlagUses { get; } = [];

    /// <summary>
    /// Flags of an exception at an offset of a sequence that nothing behind it looks at before they are written: the translator leaves such as they are (docs/adr/0006-translator.md).
    /// </summary>
    public ulong DeadFlags(int offset)
    {
        ulong read = 0;
        ulong dead = 0;
        int at = 0;
        for (int n = 0; n < Lengths.Count; n++)
        {
            if (at >= offset)
            {
                read |= FlagUses[n].Read & ~dead;
                dead |= FlagUses[n].Written & ~read;
            }

            at += Lengths[n];
        }

        return dead;
    }

    /// <summary>Flags that may be undefined if an exception ends it.</summary>
    public ulong UndefinedAtFault { get; set; }

    /// <summary>Whether it loads a segment register in 64-bit code.</summary>
    public bool LoadsSegments { get; set; }

    /// <summary>Segment registers of 16- and 32-bit code.</summary>
    public SegmentValues Segments;

    public byte[] Memory { get; } = new byte[Arena.DataSize];

    /// <summary>The x87 status word.</summary>
    public unsafe ushort X87Status
    {
        get
        {
            fixed (byte* x87 = State.X87)
            {
                return *(ushort*)(x87 + 2);
            }
        }
    }

    /// <summary>The instructions of a sequence.</summary>
    public List<byte[]> Split()
    {
        List<byte[]> parts = [];
        int at = 0;
        foreach (int length in Lengths)
        {
            parts.Add(Code[at..(at + length)]);
            at += length;
        }

        return parts;
    }

    public ReadOnlySpan<byte> Instruction => Code.AsSpan(0, Length);

    public TestCase Copy()
    {
        TestCase copy = new() { Length = Length, State = State, Bits = Bits, Segments = Segments, LoadsSegments = LoadsSegments };
        copy.Lengths.AddRange(Lengths);
        copy.FlagUses.AddRange(FlagUses);
        copy.UndefinedFlags = UndefinedFlags;
        copy.UndefinedAtFault = UndefinedAtFault;
        Code.CopyTo(copy.Code, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }
}
