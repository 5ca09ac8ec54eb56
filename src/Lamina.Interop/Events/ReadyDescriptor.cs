namespace Lamina.Interop.Events;

/// <summary>An answer of a <see cref="Poller"/>.</summary>
/// <param name="Token">What was given when the descriptor was added.</param>
/// <param name="Readiness">What it is ready for.</param>
public readonly record struct ReadyDescriptor(ulong Token, Readiness Readiness);
