using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>One instruction with the registers and the memory that it finds.</summary>
internal sealed class TestCase
{
    public const int MaximumLength = 15;

    public byte[] Code { get; } = new byte[16];

    public int Length { get; set; }

    public NativeState State;

    /// <summary>Default size of the code segment: 16, 32 or 64.</summary>
    public int Bits { get; set; } = 64;

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

    public ReadOnlySpan<byte> Instruction => Code.AsSpan(0, Length);

    public TestCase Copy()
    {
        TestCase copy = new() { Length = Length, State = State, Bits = Bits, Segments = Segments, LoadsSegments = LoadsSegments };
        Code.CopyTo(copy.Code, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }
}
