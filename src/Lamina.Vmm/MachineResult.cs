namespace Lamina.Vmm;

/// <summary>The end of a machine.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Code">The guest's own code, with <see cref="MachineOutcome.TestExit"/>.</param>
/// <param name="Message">What happened, with <see cref="MachineOutcome.Crashed"/> and <see cref="MachineOutcome.Failed"/>: one line for a person, without a full stop.</param>
/// <param name="Details">More of it for a developer, in lines, or null.</param>
public sealed record MachineResult(MachineOutcome Outcome, int? Code = null, string? Message = null, string? Details = null);
