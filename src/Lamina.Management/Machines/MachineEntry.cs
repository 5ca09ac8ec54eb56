namespace Lamina.Management.Machines;

/// <summary>A machine's place in the registry, as long as its process lives or until disposal.</summary>
public sealed class MachineEntry : IDisposable
{
    private const string SocketName = "control";
    private const string ProcessName = "pid";
    private const string LockName = "lock";
    private readonly string _directory;
    private readonly FileStream _lock;

    internal MachineEntry(string name, string directory, FileStream heldLock)
    {
        Name = name;
        _directory = directory;
        _lock = heldLock;
    }

    /// <summary>The machine's name.</summary>
    public string Name { get; }

    /// <summary>Where its control socket belongs.</summary>
    public string SocketPath => GetSocketPath(_directory);

    /// <summary>Gives the name back.</summary>
    public void Dispose()
    {
        try
        {
            // Before the lock: whoever takes the name next makes the directory anew, under the registry's own lock.
            File.Delete(SocketPath);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Whoever looks next removes it.
        }

        _lock.Dispose();
    }

    internal static string GetSocketPath(string directory) => Path.Combine(directory, SocketName);

    internal static string GetProcessPath(string directory) => Path.Combine(directory, ProcessName);

    internal static string GetLockPath(string directory) => Path.Combine(directory, LockName);
}
