using Iced.Intel;

namespace Lamina.Verify;

/// <summary>Makes cases that a seed and a number determine.</summary>
internal interface ICaseSource
{
    /// <summary>Makes a case; the instruction as the second decoder sees it, or an invalid one.</summary>
    Instruction Make(ulong seed, ulong number, TestCase test);

    /// <summary>The instruction in some bytes.</summary>
    Instruction Decode(ReadOnlySpan<byte> code);
}
