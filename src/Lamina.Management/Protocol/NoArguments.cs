namespace Lamina.Management.Protocol;

/// <summary>Arguments of a verb that takes none, and the result of one that gives none.</summary>
public sealed record NoArguments;
