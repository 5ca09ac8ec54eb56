using System.Formats.Tar;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Packages;

/// <summary>Takes single files out of a Debian package.</summary>
internal sealed class PackageExtractor(IToolRunner tools)
{
    /// <summary>Takes the wanted files out of <paramref name="archive"/> into <paramref name="directory"/>.</summary>
    /// <exception cref="LaminaException">The package is damaged or lacks a file.</exception>
    public void Extract(string archive, ResolvedPackage package, IReadOnlyList<PackageFile> files, string directory, CancellationToken cancellation)
    {
        HashSet<PackageFile> found = [];
        ToolResult result = tools.RunAndRead("dpkg-deb", ["--fsys-tarfile", archive], ReadArchive, cancellation);
        if (!result.Succeeded)
        {
            throw new LaminaException($"the package {package.Name} {package.Version} cannot be unpacked: {result.Reason}");
        }

        PackageFile? missing = files.FirstOrDefault(f => !f.Optional && !found.Contains(f));
        if (missing != null)
        {
            throw new LaminaException($"the package {package.Name} {package.Version} has no file {missing.Prefix}*{missing.Suffix}.");
        }

        void ReadArchive(Stream stream)
        {
            using TarReader reader = new(stream, leaveOpen: true);
            while (reader.GetNextEntry() is { } entry)
            {
                string path = entry.Name.StartsWith("./", StringComparison.Ordinal) ? entry.Name[2..] : entry.Name;
                PackageFile? file = entry.DataStream == null ? null : files.FirstOrDefault(f => f.Matches(path));
                if (file != null && found.Add(file))
                {
                    string destination = Path.Combine(directory, file.StoredName);
                    Directory.CreateDirectory(Path.GetDirectoryName(destination)!);
                    using FileStream copy = new(destination, FileMode.Create, FileAccess.Write);
                    entry.DataStream!.CopyTo(copy);
                    File.SetUnixFileMode(destination, entry.Mode | UnixFileMode.UserRead | UnixFileMode.UserWrite);
                }
            }
        }
    }
}
