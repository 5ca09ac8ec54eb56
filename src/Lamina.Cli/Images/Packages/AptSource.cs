using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Packages;

/// <summary>
/// Takes packages from the sources that this host's apt is set up for; apt checks their signatures and hashes. Nothing is installed and no privilege is
/// needed. If the host's package lists are missing or out of date, lists of our own are kept in <paramref name="privateDirectory"/>.
/// </summary>
internal sealed class AptSource(IToolRunner tools, string privateDirectory, IProgressDisplay progress)
{
    // A package, and the kernel that was taken out of it.
    private const ulong SpaceFactor = 2;
    private const string StatusPrefix = "dlstatus:";
    private static readonly string[] NeededTools = ["apt-get", "apt-cache", "dpkg-deb"];
    private string[] _listOptions = [];

    /// <summary>Finds and downloads packages.</summary>
    /// <returns>What each request became, in order.</returns>
    /// <exception cref="LaminaException">A tool is missing, or apt refuses.</exception>
    public IReadOnlyList<ResolvedPackage> Fetch(IReadOnlyList<PackageRequest> requests, string directory, CancellationToken cancellation)
    {
        string[] missing = Array.FindAll(NeededTools, t => !tools.Exists(t));
        if (missing.Length > 0)
        {
            throw new LaminaException($"Debian's packages are needed, and this host has no {string.Join(", ", missing)}. On Debian and its relatives they are part of apt and dpkg.");
        }

        List<ResolvedPackage> packages;
        try
        {
            packages = Find(requests, cancellation);
        }
        catch (LaminaException)
        {
            RefreshLists(cancellation);
            packages = Find(requests, cancellation);
        }

        CheckSpace(packages, directory);
        try
        {
            return Download(packages, directory, cancellation);
        }
        catch (LaminaException) when (_listOptions.Length == 0)
        {
            // Lists that are out of date name packages that have been replaced.
            RefreshLists(cancellation);
            return Download(Find(requests, cancellation), directory, cancellation);
        }
    }

    private void CheckSpace(List<ResolvedPackage> packages, string directory)
    {
        ulong needed = GetSize(packages) * SpaceFactor;
        ulong free = (ulong)new DriveInfo(directory).AvailableFreeSpace;
        if (free < needed)
        {
            throw new LaminaException(
                $"the disk with the cache is full: '{Path.GetDirectoryName(privateDirectory)}' has {MemorySize.Format(free)} free, and {MemorySize.Format(needed)} are needed. Free some, or set XDG_CACHE_HOME.");
        }
    }

    private static ulong GetSize(List<ResolvedPackage> packages) => packages.Aggregate(0UL, (sum, p) => sum + p.DownloadSize);

    private List<ResolvedPackage> Find(IReadOnlyList<PackageRequest> requests, CancellationToken cancellation)
    {
        progress.Begin("Finding packages");
        return [.. requests.Select(r => Resolve(r, cancellation))];
    }

    private List<ResolvedPackage> Download(List<ResolvedPackage> packages, string directory, CancellationToken cancellation)
    {
        progress.Begin($"Fetching {string.Join(", ", packages.Select(p => p.Name))} ({MemorySize.Format(GetSize(packages))})");
        ToolResult result = tools.Run(
            "apt-get",
            [.. Options(), "download", .. packages.Select(p => $"{p.Name}={p.Version}")],
            directory,
            OnStatus,
            cancellation);
        return result.Succeeded ? packages : throw new LaminaException($"apt-get could not fetch {string.Join(" and ", packages.Select(p => p.Name))}: {result.Reason}");
    }

    private ResolvedPackage Resolve(PackageRequest request, CancellationToken cancellation)
    {
        Dictionary<string, string> fields = Show(request.Name, cancellation);
        if (request.DependencyPrefix != null)
        {
            string? dependency = fields.GetValueOrDefault("Depends")?
                .Split(',')
                .Select(d => d.Trim().Split(' ', '|')[0])
                .FirstOrDefault(d => d.StartsWith(request.DependencyPrefix, StringComparison.Ordinal));
            fields = Show(dependency ?? throw new LaminaException($"the package {request.Name} names no package {request.DependencyPrefix}*."), cancellation);
        }

        ulong.TryParse(fields.GetValueOrDefault("Size"), CultureInfo.InvariantCulture, out ulong size);
        return new ResolvedPackage(fields["Package"], fields["Version"], size);
    }

    private Dictionary<string, string> Show(string name, CancellationToken cancellation)
    {
        ToolResult result = tools.Run("apt-cache", [.. _listOptions, "show", "--no-all-versions", name], null, null, cancellation);
        Dictionary<string, string> fields = new(StringComparer.Ordinal);
        foreach (string line in result.Output.Split('\n').TakeWhile(l => l.Length > 0))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && line[0] != ' ')
            {
                fields[line[..colon]] = line[(colon + 1)..].Trim();
            }
        }

        return result.Succeeded && fields.ContainsKey("Package") && fields.ContainsKey("Version")
            ? fields
            : throw new LaminaException($"this host's package sources have no package {name}. Debian has it; see 'apt-cache policy {name}'.");
    }

    private void RefreshLists(CancellationToken cancellation)
    {
        string lists = Path.Combine(privateDirectory, "lists");
        string cache = Path.Combine(privateDirectory, "cache");
        Directory.CreateDirectory(Path.Combine(lists, "partial"));
        Directory.CreateDirectory(Path.Combine(cache, "archives", "partial"));
        _listOptions = ["-o", $"Dir::State::Lists={lists}", "-o", $"Dir::Cache={cache}"];
        progress.Begin("Updating package lists");
        ToolResult result = tools.Run("apt-get", [.. Options(), "update"], null, OnStatus, cancellation);
        if (!result.Succeeded)
        {
            throw new LaminaException($"apt-get could not update the package lists: {result.Reason}");
        }
    }

    // As root apt would hand the work to a user that may not enter our directories.
    private string[] Options() => ["-q", "-o", "APT::Status-Fd=1", "-o", "APT::Sandbox::User=", .. _listOptions];

    private void OnStatus(string line)
    {
        string[] fields = line.Split(':');
        if (line.StartsWith(StatusPrefix, StringComparison.Ordinal)
            && fields.Length >= 3
            && double.TryParse(fields[2], NumberStyles.Float, CultureInfo.InvariantCulture, out double percent))
        {
            progress.Advance(percent);
        }
    }
}
