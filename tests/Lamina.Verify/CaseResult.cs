using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>What an instruction left behind.</summary>
internal struct CaseResult
{
    public const int None = -1;

    public NativeState State;

    public ulong Rip;

    /// <summary>Vector of the exception that it raised, or <see cref="None"/>.</summary>
    public int Vector;

    public uint ErrorCode;

    /// <summary>The address that a page fault names.</summary>
    public ulong Address;

    /// <summary>Segment registers; of 64-bit code the selectors alone.</summary>
    public SegmentValues Segments;

    /// <summary>Which of <see cref="DescriptorList"/> it set the accessed bit of.</summary>
    public ushort Accessed;

    /// <summary>A software interrupt: CS and SS are those of its handler.</summary>
    public bool IsDelivered;

    /// <summary>Of what is expected: the exception came in the middle, where the manual does not say how much is in memory by then, and which address is the first.</summary>
    public bool IsPartial;

    /// <summary>Of what is expected: a jump came upon code of this process, whose exception this is.</summary>
    public bool IsElsewhere;

    /// <summary>Of what is expected: flags that are known, or zero for those of every program.</summary>
    public ulong ComparedFlags;
}
