namespace Lamina.Cli.Images.Packages;

/// <summary>A complete, checked set of files.</summary>
internal sealed record CachedPackageSet(string Directory, IReadOnlyList<ResolvedPackage> Packages)
{
    /// <summary>The path of a stored file.</summary>
    public string GetPath(string storedName) => Path.Combine(Directory, storedName);
}
