using System.Text.Json;
using Spectre.Console;

namespace Lamina.Cli.Host;

/// <summary><c>lamina host</c>: what a virtual machine can use here, and what follows.</summary>
internal sealed class HostReport(IReadOnlyList<Capability> capabilities)
{
    private const int WidestDetail = 44;

    /// <summary>What was found.</summary>
    public IReadOnlyList<Capability> Capabilities { get; } = capabilities;

    /// <summary>Looks at the host.</summary>
    public static HostReport Collect()
    {
        return new HostReport([.. ProcessorCapabilities.Collect(), .. MemoryCapabilities.Collect(), .. DeviceCapabilities.Collect(), .. IsolationCapabilities.Collect()]);
    }

    /// <summary>Writes the report: JSON, a table on a terminal, or aligned text.</summary>
    public void Write(TextWriter output, bool json)
    {
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize([.. Capabilities], HostReportJson.Default.CapabilityArray));
        }
        else if (ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected)
        {
            WriteTable(AnsiConsole.Console);
        }
        else
        {
            WriteText(output);
        }
    }

    internal void WriteText(TextWriter output)
    {
        int nameWidth = Capabilities.Max(c => c.Name.Length);
        int detailWidth = Math.Min(WidestDetail, Capabilities.Max(c => c.Detail.Length));
        string? group = null;
        foreach (Capability c in Capabilities)
        {
            if (c.Group != group)
            {
                output.WriteLine(group == null ? c.Group : $"\n{c.Group}");
                group = c.Group;
            }

            output.WriteLine($"  {c.Name.PadRight(nameWidth)}  {Word(c.State),-7}  {c.Detail.PadRight(detailWidth)}  {c.Consequence}".TrimEnd());
        }
    }

    private void WriteTable(IAnsiConsole console)
    {
        Table table = new Table().Border(TableBorder.Rounded).AddColumns("", "", "[bold]here[/]", "[bold]what follows[/]");
        string? group = null;
        foreach (Capability c in Capabilities)
        {
            if (c.Group != group)
            {
                if (group != null)
                {
                    table.AddEmptyRow();
                }

                table.AddRow($"[bold]{Markup.Escape(c.Group)}[/]");
                group = c.Group;
            }

            string colour = c.State switch
            {
                CapabilityState.Yes => "green",
                CapabilityState.Limited => "yellow",
                _ => "grey",
            };
            table.AddRow(
                Markup.Escape(c.Name),
                $"[{colour}]{Word(c.State)}[/]",
                Markup.Escape(c.Detail),
                Markup.Escape(c.Consequence));
        }

        console.Write(table);
    }

    private static string Word(CapabilityState state)
    {
        return state switch
        {
            CapabilityState.Yes => "yes",
            CapabilityState.Limited => "limited",
            _ => "no",
        };
    }
}
