using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Packages;

/// <summary>
/// Files taken from packages, kept per user. A set is made in a directory of its own and renamed into place when it is complete, so that what is found under its name is
/// whole; what an interrupted run left is removed by the next.
/// </summary>
internal sealed class PackageCache(string root, IToolRunner tools, IProgressDisplay progress)
{
    // Versions of Lamina that want other files do not take each other's sets away.
    private readonly string _sets = Path.Combine(root, $"images.{PackageManifest.Version}");

    /// <summary>Gives a set, fetching it if it is not there or damaged.</summary>
    /// <exception cref="LaminaException">The cache cannot be used, or the packages cannot be had.</exception>
    public CachedPackageSet Get(PackageSet set, CancellationToken cancellation)
    {
        try
        {
            return Find(set, out string? problem) ?? Prepare(set, problem, cancellation);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new LaminaException($"the cache '{root}' cannot be used: {e.Message} Make it accessible, remove it, or set XDG_CACHE_HOME.", e);
        }
        catch (IOException e)
        {
            throw new LaminaException($"the cache '{root}' cannot be used: {e.Message.TrimEnd('.')}. Make it accessible, remove it, or set XDG_CACHE_HOME.", e);
        }
    }

    /// <summary>Looks for a complete set.</summary>
    /// <param name="set">The set.</param>
    /// <param name="problem">What is wrong with the one that is there, if null is returned; null if none is there.</param>
    private CachedPackageSet? Find(PackageSet set, out string? problem)
    {
        string directory = Path.Combine(_sets, set.Name);
        problem = null;
        if (!Directory.Exists(directory))
        {
            return File.Exists(directory) ? throw new IOException($"'{directory}' is a file, not a directory.") : null;
        }

        PackageManifest? manifest = PackageManifest.ReadAndVerify(directory, out problem);
        return manifest == null ? null : new CachedPackageSet(directory, manifest.Packages);
    }

    private CachedPackageSet Prepare(PackageSet set, string? problem, CancellationToken cancellation)
    {
        Directory.CreateDirectory(_sets);
        using CacheLock taken = CacheLock.Take(
            Path.Combine(_sets, $".{set.Name}.lock"),
            () => progress.Note($"another lamina prepares {set.Title}; waiting for it"),
            cancellation);

        // Another run may have prepared it in the meantime.
        if (Find(set, out problem) is { } ready)
        {
            return ready;
        }

        if (problem != null)
        {
            progress.Note($"the cached {set.Title} cannot be used ({problem}); fetching it again");
        }

        RemoveLeftovers(set);
        string staging = Path.Combine(_sets, $".{set.Name}.{Environment.ProcessId}");
        try
        {
            return Build(set, staging, cancellation);
        }
        finally
        {
            Remove(staging);
        }
    }

    private CachedPackageSet Build(PackageSet set, string staging, CancellationToken cancellation)
    {
        string archives = Path.Combine(staging, "archives");
        string files = Path.Combine(staging, "files");
        Directory.CreateDirectory(archives);
        Directory.CreateDirectory(files);
        AptSource source = new(tools, Path.Combine(root, "apt"), progress);
        IReadOnlyList<ResolvedPackage> packages = source.Fetch(set.Requests, archives, cancellation);
        PackageExtractor extractor = new(tools);
        for (int i = 0; i < packages.Count; i++)
        {
            progress.Begin($"Unpacking {packages[i].Name}");
            progress.Advance(100.0 * i / packages.Count);
            string archive = Directory.EnumerateFiles(archives, $"{packages[i].Name}_*.deb").FirstOrDefault()
                ?? throw new LaminaException($"apt-get reported success and left no file for {packages[i].Name}.");
            extractor.Extract(archive, packages[i], set.Requests[i].Files, files, cancellation);
        }

        set.Complete?.Invoke(files);
        PackageManifest.Describe(files, packages).Write(files);

        string final = Path.Combine(_sets, set.Name);
        if (Directory.Exists(final))
        {
            Directory.Move(final, Path.Combine(staging, "replaced"));
        }

        Directory.Move(files, final);
        return new CachedPackageSet(final, packages);
    }

    private void RemoveLeftovers(PackageSet set)
    {
        foreach (string directory in Directory.EnumerateDirectories(_sets, $".{set.Name}.*"))
        {
            Remove(directory);
        }
    }

    private static void Remove(string directory)
    {
        try
        {
            Directory.Delete(directory, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Nothing is left behind.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next run tries again.
        }
    }
}
