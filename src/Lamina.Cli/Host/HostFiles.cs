namespace Lamina.Cli.Host;

/// <summary>Reads the small files in which Linux tells about itself. What cannot be read is empty.</summary>
internal static class HostFiles
{
    /// <summary>A file's text, trimmed.</summary>
    public static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    /// <summary>The value of the first line "NAME : VALUE" of that name.</summary>
    public static string ReadField(string path, string name)
    {
        foreach (string line in Read(path).Split('\n'))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && line.AsSpan(0, colon).Trim().SequenceEqual(name))
            {
                return line[(colon + 1)..].Trim();
            }
        }

        return "";
    }

    /// <summary>The chosen word of a file such as "always [madvise] never".</summary>
    public static string ReadChoice(string path)
    {
        string text = Read(path);
        int start = text.IndexOf('[', StringComparison.Ordinal);
        int end = text.IndexOf(']', StringComparison.Ordinal);
        return start >= 0 && end > start ? text[(start + 1)..end] : text;
    }

    /// <summary>Whether this process may open a file for reading and writing, and if not, why.</summary>
    public static bool CanOpen(string path, out string problem)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
            problem = "";
            return true;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            problem = "missing";
        }
        catch (UnauthorizedAccessException)
        {
            problem = "permission denied";
        }
        catch (Exception e) when (e is IOException or NotSupportedException or ArgumentException)
        {
            problem = e.Message;
        }

        return false;
    }
}
