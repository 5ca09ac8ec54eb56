namespace Lamina.Personalities.HyperV.Integration;

/// <summary>A version of a service or of what is common to all.</summary>
internal readonly record struct ServiceVersion(ushort Major, ushort Minor);
