namespace Lamina.Cli.Images.Packages;

/// <summary>A file wanted from a package.</summary>
/// <param name="Prefix">How its path begins in the package, without a leading slash.</param>
/// <param name="Suffix">How its path ends.</param>
/// <param name="StoredName">Its path in the cache.</param>
/// <param name="Optional">Whether the package may lack it.</param>
internal sealed record PackageFile(string Prefix, string Suffix, string StoredName, bool Optional = false)
{
    /// <summary>Whether a path of the package is this file.</summary>
    public bool Matches(string path)
    {
        return path.Length >= Prefix.Length + Suffix.Length
            && path.StartsWith(Prefix, StringComparison.Ordinal)
            && path.EndsWith(Suffix, StringComparison.Ordinal);
    }
}
