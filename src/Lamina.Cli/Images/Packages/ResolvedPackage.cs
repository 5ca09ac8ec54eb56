namespace Lamina.Cli.Images.Packages;

/// <summary>A package as the distribution offers it.</summary>
internal sealed record ResolvedPackage(string Name, string Version, ulong DownloadSize);
