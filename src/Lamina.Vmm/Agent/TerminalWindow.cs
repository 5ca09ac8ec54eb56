namespace Lamina.Vmm.Agent;

/// <summary>The size of a terminal's window, in characters.</summary>
/// <param name="Columns">Characters of a line.</param>
/// <param name="Rows">Lines.</param>
public readonly record struct TerminalWindow(int Columns, int Rows);
