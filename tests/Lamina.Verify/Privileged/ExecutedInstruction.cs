using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>An instruction that the model executed, or whose exceptions it delivered.</summary>
/// <param name="Physical">Where its first byte is in memory.</param>
/// <param name="Linear">By which address it was fetched.</param>
/// <param name="Instruction">What it is.</param>
internal readonly record struct ExecutedInstruction(ulong Physical, ulong Linear, Instruction Instruction)
{
    /// <summary>It raised the program's first exception.</summary>
    public bool IsFaulting { get; init; }

    /// <summary>It does not go on in another page.</summary>
    public bool IsInOnePage => (Physical & 0xfff) + (ulong)Instruction.Length <= SystemLayout.PageSize;

    /// <summary>Bits that it changed.</summary>
    public ulong ChangedCr0 { get; init; }

    /// <summary>Bits that it changed.</summary>
    public ulong ChangedCr3 { get; init; }

    /// <summary>Bits that it changed.</summary>
    public ulong ChangedCr4 { get; init; }
}
