using Iced.Intel;
using Lamina.SoftCpu;

namespace Lamina.Verify.Privileged;

/// <summary>A program in memory, some instructions of which are VMCALL, and executed wrongly there. Of no use for code that writes those instructions.</summary>
internal sealed unsafe class PatchedProgram
{
    private const byte Nop = 0x90;
    private readonly Dictionary<ulong, Instruction> _originals = [];
    private readonly Dictionary<ulong, byte[]> _bytes = [];
    private readonly ProgramMutation? _mutation;

    public PatchedProgram(Span<byte> memory, IReadOnlyList<ExecutedInstruction> executed, ProgramMutation? mutation)
    {
        _mutation = mutation;
        foreach (ExecutedInstruction e in executed)
        {
            if (mutation is { Execute: not null } && !_originals.ContainsKey(e.Physical) && mutation.Matches(e) && e.IsInOnePage && e.Instruction.Length >= Call.Length)
            {
                Span<byte> place = memory.Slice((int)e.Physical, e.Instruction.Length);
                _originals[e.Physical] = e.Instruction;
                _bytes[e.Physical] = place.ToArray();
                place.Fill(Nop);
                Call.CopyTo(place);
            }
        }
    }

    public bool IsEmpty => _originals.Count == 0;

    private static ReadOnlySpan<byte> Call => [0x0f, 0x01, 0xc1];

    /// <summary>Executes what is at a physical address, if it was replaced; RIP is the caller's.</summary>
    public bool TryExecute(ulong physical, ProcessorContext* c)
    {
        if (!_originals.TryGetValue(physical, out Instruction i))
        {
            return false;
        }

        _mutation!.Execute!(c, i);
        return true;
    }

    /// <summary>Puts back what was there.</summary>
    public void Restore(Span<byte> memory)
    {
        foreach ((ulong at, byte[] original) in _bytes)
        {
            if (memory[(int)at..].StartsWith(Call))
            {
                original.CopyTo(memory[(int)at..]);
            }
        }
    }
}
