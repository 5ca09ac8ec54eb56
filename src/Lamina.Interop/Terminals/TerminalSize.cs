namespace Lamina.Interop.Terminals;

/// <summary>A terminal window in character cells.</summary>
public readonly record struct TerminalSize(int Columns, int Rows);
