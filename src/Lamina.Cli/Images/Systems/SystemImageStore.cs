namespace Lamina.Cli.Images.Systems;

/// <summary>
/// This user's system images, and the disks that were kept of machines that ran them. An image is a directory that was made under another name and renamed when it was complete. A kept
/// disk holds what differs from its image's disk, so an image stays while there are any.
/// </summary>
internal sealed class SystemImageStore(string root)
{
    private const string DiskSuffix = ".qcow2";
    private readonly string _images = Path.Combine(root, "images");
    private readonly string _disks = Path.Combine(root, "disks");

    /// <summary>The store of the environment.</summary>
    /// <exception cref="LaminaException">The environment names no place for it.</exception>
    public static SystemImageStore Open() => new(DataLocation.Find(Environment.GetEnvironmentVariable));

    /// <summary>Where an image is or would be.</summary>
    public string GetDirectory(SystemImageName name) => Path.Combine(_images, name.DirectoryName);

    /// <summary>Where a machine's kept disk is or would be.</summary>
    public string GetKeptDisk(SystemImageName name, string machine)
    {
        Directory.CreateDirectory(_disks);
        return Path.Combine(_disks, $"{name.DirectoryName}@{machine}{DiskSuffix}");
    }

    /// <summary>Finds an image; null if it is not there.</summary>
    public SystemImage? Find(SystemImageName name) => SystemImage.Read(GetDirectory(name));

    /// <summary>All images, by name.</summary>
    public IReadOnlyList<SystemImage> List()
    {
        return Directory.Exists(_images)
            ? [.. Directory.EnumerateDirectories(_images).Where(d => Path.GetFileName(d)[0] != '.').Order(StringComparer.Ordinal).Select(SystemImage.Read).OfType<SystemImage>()]
            : [];
    }

    /// <summary>Whether a file is the disk of an image.</summary>
    public bool HoldsDisk(string path)
    {
        string full = Path.GetFullPath(path);
        return List().Any(i => Path.GetFullPath(i.GetPath(SystemImage.DiskFile)) == full);
    }

    /// <summary>The kept disks of an image.</summary>
    public IReadOnlyList<string> GetKeptDisks(SystemImageName name)
    {
        return Directory.Exists(_disks) ? [.. Directory.EnumerateFiles(_disks, $"{name.DirectoryName}@*{DiskSuffix}").Order(StringComparer.Ordinal)] : [];
    }

    /// <summary>A directory to make an image in, beside where it will be.</summary>
    public string CreateStaging(SystemImageName name)
    {
        Directory.CreateDirectory(_images);
        foreach (string old in Directory.EnumerateDirectories(_images, $".{name.DirectoryName}.*"))
        {
            // Of a build that was interrupted; one that goes on has its process.
            if (!Directory.Exists($"/proc/{Path.GetExtension(old)[1..]}"))
            {
                Directory.Delete(old, recursive: true);
            }
        }

        return Directory.CreateDirectory(Path.Combine(_images, $".{name.DirectoryName}.{Environment.ProcessId}")).FullName;
    }

    /// <summary>Refuses to take an image away from kept disks.</summary>
    /// <exception cref="LaminaException">There are some.</exception>
    public void CheckUnused(SystemImageName name)
    {
        IReadOnlyList<string> disks = GetKeptDisks(name);
        if (disks.Count > 0)
        {
            throw new LaminaException($"the image '{name}' cannot be removed or built again: it is the base of {string.Join(" and ", disks.Select(d => $"'{d}'"))}. Remove them first, or 'lamina disk rebase' them.");
        }
    }

    /// <summary>Puts a complete image in its place.</summary>
    public SystemImage Publish(SystemImage image)
    {
        string place = GetDirectory(image.Name);
        string old = image.Directory + ".old";
        if (Directory.Exists(place))
        {
            // Machines that run have its files open.
            Directory.Move(place, old);
        }

        Directory.Move(image.Directory, place);
        if (Directory.Exists(old))
        {
            Directory.Delete(old, recursive: true);
        }

        return image with { Directory = place };
    }

    /// <summary>Removes an image.</summary>
    /// <exception cref="LaminaException">It is not there, or is needed.</exception>
    public void Remove(SystemImageName name)
    {
        string place = GetDirectory(name);
        if (!Directory.Exists(place))
        {
            throw new LaminaException($"there is no image '{name}' to remove. 'lamina image list' shows those that are there.");
        }

        CheckUnused(name);
        Directory.Delete(place, recursive: true);
    }
}
