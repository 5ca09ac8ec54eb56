namespace Lamina.Cli.Images.Packages;

/// <summary>Files from packages that are fetched and cached together.</summary>
/// <param name="Name">The cache's name for them.</param>
/// <param name="Title">What messages call them.</param>
/// <param name="Requests">The packages.</param>
internal sealed record PackageSet(string Name, string Title, IReadOnlyList<PackageRequest> Requests)
{
    /// <summary>Adds what is made from the files, to the directory that holds them.</summary>
    public Action<string>? Complete { get; init; }
}
