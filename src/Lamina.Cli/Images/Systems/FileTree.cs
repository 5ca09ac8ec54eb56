using System.Formats.Tar;
using System.Globalization;
using System.Text;

namespace Lamina.Cli.Images.Systems;

/// <summary>
/// Unpacks an archive of a whole system with this user's rights alone: what only root may set, the owners, is collected as commands for debugfs, which sets them in
/// the file system that is made of the files. Extended attributes are not kept.
/// </summary>
internal sealed class FileTree(string directory)
{
    private const UnixFileMode OwnerAll = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private readonly StringBuilder _commands = new();
    private readonly List<(string Path, UnixFileMode Mode)> _directories = [];
    private readonly bool _isRoot = Environment.IsPrivilegedProcess;

    /// <summary>What debugfs is to do after the file system was made.</summary>
    public string Commands => _commands.ToString();

    /// <summary>Unpacks the archive.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or leads out of the directory.</exception>
    public void Unpack(Stream archive)
    {
        using TarReader reader = new(archive, leaveOpen: true);
        while (reader.GetNextEntry() is { } entry)
        {
            string relative = entry.Name.StartsWith("./", StringComparison.Ordinal) ? entry.Name[2..] : entry.Name;
            relative = relative.TrimEnd('/');
            if (relative.Length > 0)
            {
                Take(entry, relative);
            }
        }
    }

    /// <summary>Gives directories the permissions that would have been in the way before, so that what follows sees them as they are.</summary>
    public void Finish()
    {
        foreach ((string path, UnixFileMode mode) in _directories)
        {
            File.SetUnixFileMode(path, mode);
        }
    }

    private void Take(TarEntry entry, string relative)
    {
        string path = Place(relative);
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                Directory.CreateDirectory(path);
                File.SetUnixFileMode(path, entry.Mode | OwnerAll);
                _directories.Add((path, entry.Mode));
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                using (FileStream file = new(path, FileMode.Create, FileAccess.Write))
                {
                    entry.DataStream?.CopyTo(file);
                }

                File.SetUnixFileMode(path, entry.Mode);
                File.SetLastWriteTimeUtc(path, entry.ModificationTime.UtcDateTime);
                break;
            case TarEntryType.SymbolicLink:
                File.CreateSymbolicLink(path, entry.LinkName);
                break;
            case TarEntryType.HardLink:
                // A second name: the file system is told of it, because the library knows no such call.
                string target = entry.LinkName.StartsWith("./", StringComparison.Ordinal) ? entry.LinkName[2..] : entry.LinkName;
                File.Copy(Place(target), path);
                File.SetUnixFileMode(path, entry.Mode);
                break;
            default:
                // Devices: the guest's kernel makes them.
                return;
        }

        DescribeOwner(entry, relative);
    }

    private void DescribeOwner(TarEntry entry, string relative)
    {
        if (!_isRoot || entry.Uid != 0 || entry.Gid != 0)
        {
            string quoted = Quote(relative);
            _commands.Append(CultureInfo.InvariantCulture, $"sif {quoted} uid {entry.Uid}\nsif {quoted} gid {entry.Gid}\n");
        }
    }

    // An archive is what a program made of downloaded packages: its names must stay inside, and no link of it may be walked through.
    private string Place(string relative)
    {
        string full = directory;
        string[] parts = relative.Split('/');
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i] is "" or "." or "..")
            {
                throw new InvalidDataException($"the archive has a file '{relative}'.");
            }

            full = Path.Combine(full, parts[i]);
            if (i < parts.Length - 1 && new FileInfo(full).LinkTarget != null)
            {
                throw new InvalidDataException($"the archive has a file '{relative}' behind a symbolic link.");
            }
        }

        return full;
    }

    private static string Quote(string relative)
    {
        return relative.Contains('"', StringComparison.Ordinal) || relative.Contains('\n', StringComparison.Ordinal)
            ? throw new InvalidDataException($"the archive has a file '{relative}'.")
            : $"\"/{relative}\"";
    }
}
