using System.Globalization;
using System.Text;

namespace Lamina.Verify;

/// <summary>A table of coverage as text: a line for each opcode. Several become one by addition.</summary>
internal sealed class CoverageTable
{
    private const string Heading = "| opcode | instructions | forms | cases | of them with an exception |";
    private const string Rule = "|---|---|---|---|---|";
    private readonly SortedDictionary<string, Line> _lines = new(StringComparer.Ordinal);

    /// <summary>Cases in all lines.</summary>
    public long Cases => _lines.Values.Sum(static l => l.Cases);

    /// <summary>Number of lines.</summary>
    public int Opcodes => _lines.Count;

    /// <summary>Adds a line, to that of the same opcode if there is one.</summary>
    public void Add(string opcode, IEnumerable<string> names, int forms, long cases, long faults)
    {
        Line line = _lines.GetValueOrDefault(opcode, new Line([], 0, 0, 0));
        line.Names.UnionWith(names);
        _lines[opcode] = line with { Forms = Math.Max(line.Forms, forms), Cases = line.Cases + cases, Faults = line.Faults + faults };
    }

    /// <summary>Adds a table.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public void Add(string text)
    {
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (lines is not [Heading, Rule, ..])
        {
            throw new FormatException("That is no table of coverage.");
        }

        foreach (string line in lines[2..])
        {
            string[] cells = line.Split('|', StringSplitOptions.TrimEntries);
            if (cells.Length != 7)
            {
                throw new FormatException($"'{line}' is no line of a table of coverage.");
            }

            Add(cells[1], cells[2].Split(", "), (int)Number(cells[3]), Number(cells[4]), Number(cells[5]));
        }
    }

    /// <summary>The table in Markdown.</summary>
    public override string ToString()
    {
        StringBuilder text = new();
        text.Append(Heading).Append('\n').Append(Rule).Append('\n');
        foreach ((string opcode, Line line) in _lines)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {opcode} | {string.Join(", ", line.Names)} | {line.Forms} | {line.Cases} | {line.Faults} |\n");
        }

        return text.ToString();
    }

    private static long Number(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : throw new FormatException($"'{text}' is not a number.");

    private sealed record Line(SortedSet<string> Names, int Forms, long Cases, long Faults);
}
