namespace Lamina.Bench.Basket;

/// <summary>One member of the basket, run once.</summary>
/// <param name="Name">The member.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Units">How many of them it did.</param>
/// <param name="Nanoseconds">Time, by the clock of the system that it ran in.</param>
/// <param name="Checksum">A number that depends on everything it computed.</param>
internal sealed record Measurement(string Name, string Unit, long Units, long Nanoseconds, string Checksum);
