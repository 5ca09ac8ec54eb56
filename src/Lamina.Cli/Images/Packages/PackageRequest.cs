namespace Lamina.Cli.Images.Packages;

/// <summary>A package and the files wanted from it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DependencyPrefix">If not null, the package only names another, whose name begins so and which is taken instead.</param>
/// <param name="Files">The files.</param>
internal sealed record PackageRequest(string Name, string? DependencyPrefix, IReadOnlyList<PackageFile> Files);
