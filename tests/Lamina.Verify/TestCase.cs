using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>One instruction with the registers and the memory that it finds.</summary>
internal sealed class TestCase
{
    public const int MaximumLength = 15;

    /// <summary>Bytes of a sequence of instructions.</summary>
    public const int MaximumSequence = (MaximumLength * SequenceGenerator.Maximum) + SequenceGenerator.JumpBytes;

    public byte[] Code { get; } = new byte[MaximumSequence + 8];

    public int Length { get; set; }

    public NativeState State;

    /// <summary>Default size of the code segment: 16, 32 or 64.</summary>
    public int Bits { get; set; } = 64;

    /// <summary>Mode of 16-bit code.</summary>
    public CodeMode Mode { get; set; }

    /// <summary>Lengths of the instructions of a sequence; none: it is a single one.</summary>
    public List<int> Lengths { get; } = [];

    /// <summary>Whether it is a sequence of instructions.</summary>
    public bool IsSequence => Lengths.Count > 0;

    /// <summary>Flags that a sequence leaves undefined.</summary>
    public ulong UndefinedFlags { get; set; }

    /// <summary>
    /// Flags of an exception of each instruction of a sequence that nothing behind it looks at before they are written: the translator leaves such as they are (docs/adr/0006-translator.md).
    /// </summary>
    public List<ulong> DeadFlags { get; } = [];

    /// <summary>Number of the register that a sequence counts the rounds of its loop in, or -1.</summary>
    public int Counter { get; set; } = -1;

    /// <summary>Whether a sequence has jumps.</summary>
    public bool HasJumps { get; set; }

    /// <summary>Whether a sequence comes to its end.</summary>
    public unsafe bool IsBounded
    {
        get
        {
            const ulong most = 64;
            fixed (ulong* general = State.General)
            {
                return Counter < 0 || general[Counter] is > 0 and <= most;
            }
        }
    }

    /// <summary>Those at an offset.</summary>
    public ulong DeadFlagsAt(int offset)
    {
        int at = 0;
        for (int n = 0; n < Lengths.Count; n++)
        {
            if (at >= offset)
            {
                return DeadFlags[n];
            }

            at += Lengths[n];
        }

        return 0;
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
        TestCase copy = new() { Length = Length, State = State, Bits = Bits, Mode = Mode, Segments = Segments, LoadsSegments = LoadsSegments };
        copy.Lengths.AddRange(Lengths);
        copy.DeadFlags.AddRange(DeadFlags);
        copy.Counter = Counter;
        copy.HasJumps = HasJumps;
        copy.UndefinedFlags = UndefinedFlags;
        copy.UndefinedAtFault = UndefinedAtFault;
        Code.CopyTo(copy.Code, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }
}
