namespace Lamina.Cli.Output;

/// <summary>A titled two-column part of a help page.</summary>
internal sealed record HelpSection(string Title, IReadOnlyList<(string Label, string Text)> Rows);
