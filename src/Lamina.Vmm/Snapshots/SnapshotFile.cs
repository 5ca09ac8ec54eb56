using Lamina.Interop;
using Lamina.Interop.Files;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>Files of a snapshot, read by whoever does not know who made them.</summary>
internal static class SnapshotFile
{
    /// <summary>Opens one.</summary>
    /// <exception cref="SnapshotException">It is missing, is no regular file, or cannot be read.</exception>
    internal static SafeFileHandle Open(string directory, string name)
    {
        try
        {
            return PlainFile.OpenRead(Path.Combine(directory, name));
        }
        catch (SystemCallException e) when (e.ErrorNumber is ErrorNumber.NoEntry or ErrorNumber.NotDirectory)
        {
            throw new SnapshotException(name == MachineSnapshot.ManifestFile ? $"'{directory}' is no snapshot: it has no '{name}'" : $"'{name}' is missing", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or SystemCallException)
        {
            throw new SnapshotException($"'{name}' cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads one.</summary>
    /// <exception cref="SnapshotException">The same, or it is longer than it can be.</exception>
    internal static byte[] ReadAll(string directory, string name, long limit)
    {
        using SafeFileHandle file = Open(directory, name);
        return Read(name, () =>
        {
            long length = RandomAccess.GetLength(file);
            if (length > limit)
            {
                throw new SnapshotException($"'{name}' is too long to be what it should");
            }

            byte[] content = new byte[length];
            return content[..MemoryImage.ReadAll(file, content, 0)];
        });
    }

    /// <summary>Names the file in what may go wrong.</summary>
    internal static T Read<T>(string name, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or SystemCallException)
        {
            throw new SnapshotException($"'{name}' cannot be read: {e.Message}", e);
        }
    }
}
