using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>One instruction with the registers and the memory that it finds.</summary>
internal sealed class TestCase
{
    public const int MaximumLength = 15;

    public byte[] Code { get; } = new byte[16];

    public int Length { get; set; }

    public NativeState State;

    public byte[] Memory { get; } = new byte[Arena.DataSize];

    public ReadOnlySpan<byte> Instruction => Code.AsSpan(0, Length);

    public TestCase Copy()
    {
        TestCase copy = new() { Length = Length, State = State };
        Code.CopyTo(copy.Code, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }
}
