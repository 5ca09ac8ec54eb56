namespace Lamina.Storage;

/// <summary>What a check has found.</summary>
/// <param name="Errors">How much is wrong with the image.</param>
/// <param name="Leaks">Clusters that are counted more often than they are used: space that is lost, and nothing else.</param>
/// <param name="UsedClusters">Clusters that are used.</param>
/// <param name="IsRepaired">Whether all of it has been repaired.</param>
/// <param name="Problems">The first of what is wrong, for a person.</param>
public sealed record DiskCheckResult(int Errors, int Leaks, ulong UsedClusters, bool IsRepaired, IReadOnlyList<string> Problems);
