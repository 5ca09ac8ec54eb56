using Iced.Intel;
using Lamina.Verify.Privileged;

namespace Lamina.Verify;

/// <summary>How often each instruction was compared, and how often the host raised an exception for it.</summary>
internal sealed class Coverage(IReadOnlyCollection<Code> codes)
{
    private readonly Dictionary<Code, (long Cases, long Faults)> _counts = codes.ToDictionary(static c => c, static _ => (0L, 0L));

    public long Invalid { get; private set; }

    public long Cases { get; private set; }

    public void Count(in Instruction i, int vector)
    {
        Cases++;
        if (i.IsInvalid)
        {
            Invalid++;
            return;
        }

        (long cases, long faults) = _counts.GetValueOrDefault(i.Code);
        _counts[i.Code] = (cases + 1, faults + (vector != CaseResult.None ? 1 : 0));
    }

    /// <summary>Counts a case of several instructions.</summary>
    public void Count(IEnumerable<ExecutedInstruction> program)
    {
        Cases++;
        foreach (ExecutedInstruction e in program)
        {
            (long cases, long faults) = _counts.GetValueOrDefault(e.Instruction.Code);
            _counts[e.Instruction.Code] = (cases + 1, faults + (e.IsFaulting ? 1 : 0));
        }
    }

    /// <summary>Writes a Markdown table, a line for each opcode.</summary>
    public void Write(TextWriter output)
    {
        CoverageTable table = new();
        foreach (var group in _counts.GroupBy(static c => Opcode(c.Key.ToOpCode())))
        {
            table.Add(
                group.Key,
                group.Select(static c => c.Key.Mnemonic().ToString().ToLowerInvariant()),
                group.Count(),
                group.Sum(static c => c.Value.Cases),
                group.Sum(static c => c.Value.Faults));
        }

        output.Write(table);
    }

    /// <summary>Instructions that were never compared.</summary>
    public IEnumerable<Code> Missing => _counts.Where(static c => c.Value.Cases == 0).Select(static c => c.Key);

    private static string Opcode(OpCodeInfo info)
    {
        string map = info.Table switch { OpCodeTableKind.T0F => "0F ", OpCodeTableKind.T0F38 => "0F38 ", OpCodeTableKind.T0F3A => "0F3A ", _ => "" };
        return $"{(info.Encoding == EncodingKind.VEX ? "VEX " : "")}{map}{info.OpCode:X2}";
    }
}
