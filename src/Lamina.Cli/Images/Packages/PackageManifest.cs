using System.Globalization;
using System.Numerics;

namespace Lamina.Cli.Images.Packages;

/// <summary>What a cached set consists of: the packages, and each file with its length and CRC-32C. Written last, so that a set without it is not complete.</summary>
internal sealed class PackageManifest
{
    /// <summary>Its file name.</summary>
    public const string FileName = "manifest";

    /// <summary>The version of the sets: another one when they hold other files than before.</summary>
    public const string Version = "14";

    private const string HeaderPrefix = "lamina package set ";
    private const string Header = HeaderPrefix + Version;
    private readonly List<(string Path, long Length, uint Checksum)> _files = [];

    private PackageManifest(IReadOnlyList<ResolvedPackage> packages)
    {
        Packages = packages;
    }

    /// <summary>The packages that the files come from.</summary>
    public IReadOnlyList<ResolvedPackage> Packages { get; private set; }

    /// <summary>Describes all files in a directory.</summary>
    public static PackageManifest Describe(string directory, IReadOnlyList<ResolvedPackage> packages)
    {
        PackageManifest manifest = new(packages);
        foreach (string path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            byte[] content = File.ReadAllBytes(path);
            manifest._files.Add((Path.GetRelativePath(directory, path), content.Length, GetChecksum(content)));
        }

        return manifest;
    }

    /// <summary>Writes the manifest into the directory.</summary>
    public void Write(string directory)
    {
        using StreamWriter writer = new(Path.Combine(directory, FileName));
        writer.WriteLine(Header);
        foreach (ResolvedPackage package in Packages)
        {
            writer.WriteLine($"package {package.Name} {package.Version}");
        }

        foreach ((string path, long length, uint checksum) in _files)
        {
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"file {length} {checksum:x8} {path}"));
        }
    }

    /// <summary>Reads a cached set's manifest and checks all its files.</summary>
    /// <param name="directory">The set.</param>
    /// <param name="problem">What is wrong with it, if null is returned.</param>
    /// <exception cref="UnauthorizedAccessException">A file cannot be read.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static PackageManifest? ReadAndVerify(string directory, out string problem)
    {
        string path = Path.Combine(directory, FileName);
        problem = "it has no manifest";

        // Unlike a question for one file, this fails if the directory cannot be read.
        if (!Directory.GetFiles(directory).Contains(path))
        {
            return null;
        }

        string[] lines = File.ReadAllLines(path);
        List<ResolvedPackage> packages = [];
        PackageManifest manifest = new(packages);
        bool other = lines.Length > 0 && lines[0] != Header && lines[0].StartsWith(HeaderPrefix, StringComparison.Ordinal);
        problem = other ? "another version of Lamina made it" : "its manifest is damaged";
        if (lines.Length == 0 || lines[0] != Header)
        {
            return null;
        }

        foreach (string line in lines.Skip(1))
        {
            string[] fields = line.Split(' ', 4);
            if (fields is ["package", _, _])
            {
                packages.Add(new ResolvedPackage(fields[1], fields[2], 0));
            }
            else if (fields is ["file", _, _, _]
                && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out long length)
                && uint.TryParse(fields[2], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint checksum))
            {
                manifest._files.Add((fields[3], length, checksum));
            }
            else
            {
                return null;
            }
        }

        return manifest.Verify(directory, out problem) ? manifest : null;
    }

    private bool Verify(string directory, out string problem)
    {
        problem = "its manifest names no files";
        foreach ((string path, long length, uint checksum) in _files)
        {
            string file = Path.Combine(directory, path);
            byte[]? content = File.Exists(file) ? File.ReadAllBytes(file) : null;
            problem = content == null ? $"'{path}' is missing"
                : content.Length != length ? $"'{path}' has {content.Length} bytes instead of {length}"
                : GetChecksum(content) != checksum ? $"'{path}' is not what was stored"
                : "";
            if (problem.Length > 0)
            {
                return false;
            }
        }

        return _files.Count > 0;
    }

    private static uint GetChecksum(ReadOnlySpan<byte> content)
    {
        uint crc = uint.MaxValue;
        while (content.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BitConverter.ToUInt64(content));
            content = content[sizeof(ulong)..];
        }

        foreach (byte value in content)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }
}
