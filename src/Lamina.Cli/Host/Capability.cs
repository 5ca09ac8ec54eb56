namespace Lamina.Cli.Host;

/// <summary>One thing that a virtual machine can use here.</summary>
/// <param name="Group">What it belongs to.</param>
/// <param name="Name">What it is.</param>
/// <param name="State">Whether it is there.</param>
/// <param name="Detail">What was found.</param>
/// <param name="Consequence">What follows.</param>
internal sealed record Capability(string Group, string Name, CapabilityState State, string Detail, string Consequence);
