using System.Globalization;

namespace Lamina.Cli.Images.Systems;

/// <summary>A system on a disk, ready to be started: the disk, which is never written, and beside it what boots it.</summary>
internal sealed record SystemImage
{
    internal const string DiskFile = "disk.img";
    internal const string KernelFile = "vmlinuz";
    internal const string BusyBoxFile = "busybox";
    internal const string ModuleDirectory = "modules";
    internal const string DescriptionFile = "image";
    private const string Header = "lamina system image 1";

    /// <summary>Its name.</summary>
    public required SystemImageName Name { get; init; }

    /// <summary>Where it is.</summary>
    public required string Directory { get; init; }

    /// <summary>The kernel's release.</summary>
    public required string Kernel { get; init; }

    /// <summary>Packages that were asked for beyond those every image has.</summary>
    public required string Extra { get; init; }

    /// <summary>When it was built.</summary>
    public required DateTime Built { get; init; }

    /// <summary>The path of one of its files.</summary>
    public string GetPath(string file) => Path.Combine(Directory, file);

    /// <summary>Writes the description, which makes the directory an image.</summary>
    public void Write()
    {
        File.WriteAllLines(GetPath(DescriptionFile), [Header, $"name {Name}", $"kernel {Kernel}", $"extra {Extra}", $"built {Built.ToString("s", CultureInfo.InvariantCulture)}"]);
    }

    /// <summary>Reads what a directory holds; null if that is no image.</summary>
    public static SystemImage? Read(string directory)
    {
        string path = Path.Combine(directory, DescriptionFile);
        string[] lines = File.Exists(path) ? File.ReadAllLines(path) : [];
        string? Field(string name) => Array.Find(lines, l => l.StartsWith($"{name} ", StringComparison.Ordinal))?[(name.Length + 1)..];
        return lines.Length > 0 && lines[0] == Header
            && SystemImageName.TryParse(Field("name") ?? "", out SystemImageName name)
            && DateTime.TryParseExact(Field("built"), "s", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime built)
            && File.Exists(Path.Combine(directory, DiskFile)) && File.Exists(Path.Combine(directory, KernelFile)) && File.Exists(Path.Combine(directory, BusyBoxFile))
            ? new SystemImage { Name = name, Directory = directory, Kernel = Field("kernel") ?? "", Extra = Field("extra") ?? "", Built = built }
            : null;
    }
}
