namespace Lamina.Cli.Images.Systems;

/// <summary>
/// Files that do not outlive a machine. Their names are taken away as soon as the machine has them open, so that they are gone with it, however it ends.
/// </summary>
internal sealed class TemporaryFiles(Func<string> directory)
{
    private readonly List<string> _paths = [];

    /// <summary>A new name; there is no file yet.</summary>
    public string NewName(string suffix)
    {
        string path = Path.Combine(Directory.CreateDirectory(directory()).FullName, $"{Guid.NewGuid():N}{suffix}");
        _paths.Add(path);
        return path;
    }

    /// <summary>Removes the files' names.</summary>
    public void Remove()
    {
        foreach (string path in _paths)
        {
            File.Delete(path);
        }

        _paths.Clear();
    }
}
