using System.CommandLine;

namespace Lamina.Cli.Output;

/// <summary>Writes the help pages from the commands themselves.</summary>
internal sealed class HelpWriter(TextWriter output, int width)
{
    private const int Indent = 2;
    private const int MaximumWidth = 100;
    private readonly int _width = Math.Clamp(width, 40, MaximumWidth);

    /// <summary>Writes the page of a command.</summary>
    public void Write(Command command, string usage, IReadOnlyList<HelpSection> sections)
    {
        WriteText(command.Description ?? "", 0);
        output.WriteLine();
        output.WriteLine("Usage:");
        foreach (string line in usage.Split('\n'))
        {
            output.WriteLine($"  {line}");
        }

        WriteTable("Commands", command.Subcommands.Where(c => !c.Hidden).Select(c => (c.Name, c.Description ?? "")));
        WriteTable("Arguments", command.Arguments.Where(a => !a.Hidden).Select(a => ($"[{a.Name}]", a.Description ?? "")));
        WriteTable("Options", command.Options.Where(o => !o.Hidden).Select(o => (GetLabel(o), o.Description ?? "")));
        foreach (HelpSection section in sections)
        {
            WriteTable(section.Title, section.Rows);
        }
    }

    private static string GetLabel(Option option)
    {
        string? alias = option.Aliases.FirstOrDefault(a => a.Length == 2 && a[0] == '-' && a != "-?");
        string names = alias == null ? $"    {option.Name}" : $"{alias}, {option.Name}";
        return option.HelpName == null ? names : $"{names} {option.HelpName}";
    }

    private void WriteTable(string title, IEnumerable<(string Label, string Text)> rows)
    {
        (string Label, string Text)[] all = [.. rows];
        if (all.Length == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine($"{title}:");
        int column = Indent + all.Max(r => r.Label.Length) + 2;
        foreach ((string label, string text) in all)
        {
            output.Write($"  {label}".PadRight(column));
            WriteText(text, column);
        }
    }

    /// <summary>Writes words from the current column on, and breaks lines before the right edge.</summary>
    private void WriteText(string text, int column)
    {
        int position = column;
        bool first = true;
        foreach (string word in text.Split(' '))
        {
            if (!first && position + 1 + word.Length > _width)
            {
                output.WriteLine();
                output.Write(new string(' ', column));
                position = column;
                first = true;
            }

            output.Write(first ? word : $" {word}");
            position += word.Length + (first ? 0 : 1);
            first = false;
        }

        output.WriteLine();
    }
}
