using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>An instruction of classic BPF (struct sock_filter).</summary>
/// <param name="Code">What is done.</param>
/// <param name="IfTrue">Instructions to skip if a condition holds.</param>
/// <param name="IfFalse">Instructions to skip if it does not.</param>
/// <param name="Value">The operand.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct FilterInstruction(ushort Code, byte IfTrue, byte IfFalse, uint Value);
