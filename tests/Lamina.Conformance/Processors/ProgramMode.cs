namespace Lamina.Conformance.Processors;

/// <summary>Modes in which programs begin.</summary>
internal enum ProgramMode
{
    Real,
    Protected,
    Kernel,
    User,
}
