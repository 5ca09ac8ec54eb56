namespace Lamina.Interop.Isolation;

/// <summary>Calls with numbers from one on, up to the next part, of which a filter decides alike.</summary>
/// <param name="First">The first number.</param>
/// <param name="Verdict">What becomes of them; null if that goes by their arguments.</param>
internal readonly record struct FilterPart(int First, SystemCallVerdict? Verdict);
