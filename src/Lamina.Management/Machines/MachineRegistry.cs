using System.Globalization;

namespace Lamina.Management.Machines;

/// <summary>
/// The machines of one user, as a directory with a directory for each: its control socket, and a lock that its process holds as long as it lives. What a process that died has left is
/// removed by whoever looks next. No two processes look at once.
/// </summary>
/// <param name="directory">The directory, which no other user may write to.</param>
public sealed class MachineRegistry(string directory)
{
    private const string GateName = ".lock";
    private static readonly TimeSpan GateInterval = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan GatePatience = TimeSpan.FromSeconds(10);

    /// <summary>Enters a machine.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its entry, to be disposed when it ends; null if a machine of that name lives.</returns>
    /// <exception cref="IOException">The directory cannot be used.</exception>
    public MachineEntry? TryEnter(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        using FileStream gate = OpenGate();
        return EnterLocked(name);
    }

    /// <summary>Enters a machine under a name made of a stem and the first number that is free.</summary>
    /// <exception cref="IOException">The directory cannot be used.</exception>
    public MachineEntry EnterNumbered(string stem)
    {
        using FileStream gate = OpenGate();
        for (int number = 1; ; number++)
        {
            if (EnterLocked(string.Create(CultureInfo.InvariantCulture, $"{stem}-{number}")) is { } entry)
            {
                return entry;
            }
        }
    }

    /// <summary>Names of the machines that live, in order.</summary>
    /// <exception cref="IOException">The directory cannot be used.</exception>
    public IReadOnlyList<string> List()
    {
        if (!Directory.Exists(directory))
        {
            return [];
        }

        using FileStream gate = OpenGate();
        List<string> names = [];
        foreach (string path in Directory.EnumerateDirectories(directory))
        {
            string name = Path.GetFileName(path);
            if (MachineName.IsValid(name) && !RemoveDead(path))
            {
                names.Add(name);
            }
        }

        names.Sort(StringComparer.Ordinal);
        return names;
    }

    /// <summary>Whether a machine of that name lives.</summary>
    /// <exception cref="IOException">The directory cannot be used.</exception>
    public bool Contains(string name)
    {
        string path = Path.Combine(directory, name);
        if (!MachineName.IsValid(name) || !Directory.Exists(path))
        {
            return false;
        }

        using FileStream gate = OpenGate();
        return Directory.Exists(path) && !RemoveDead(path);
    }

    /// <summary>The process of a machine that lives; null if it is not known.</summary>
    public int? TryReadProcess(string name)
    {
        try
        {
            string text = File.ReadAllText(MachineEntry.GetProcessPath(Path.Combine(directory, name)));
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int process) ? process : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Where a machine's control socket is.</summary>
    public string GetSocketPath(string name) => MachineEntry.GetSocketPath(Path.Combine(directory, name));

    private static FileStream? TryLock(string path)
    {
        try
        {
            // The runtime takes an exclusive flock, which ends with the process, however that ends.
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException) when (File.Exists(path))
        {
            return null;
        }
    }

    // Whether its process is dead; then nothing of it is left. What has no lock is nothing of ours.
    private static bool RemoveDead(string path)
    {
        if (!File.Exists(MachineEntry.GetLockPath(path)))
        {
            return true;
        }

        using FileStream? own = TryLock(MachineEntry.GetLockPath(path));
        if (own == null)
        {
            return false;
        }

        Directory.Delete(path, recursive: true);
        return true;
    }

    private MachineEntry? EnterLocked(string name)
    {
        if (!MachineName.IsValid(name))
        {
            throw new ArgumentException($"A machine's name has {MachineName.Rule}.", nameof(name));
        }

        string path = Path.Combine(directory, name);
        if (Directory.Exists(path) && !RemoveDead(path))
        {
            return null;
        }

        Directory.CreateDirectory(path);
        if (TryLock(MachineEntry.GetLockPath(path)) is not { } own)
        {
            return null;
        }

        File.WriteAllText(MachineEntry.GetProcessPath(path), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        return new MachineEntry(name, path, own);
    }

    private FileStream OpenGate()
    {
        Directory.CreateDirectory(directory);
        string path = Path.Combine(directory, GateName);
        for (TimeSpan waited = TimeSpan.Zero; waited < GatePatience; waited += GateInterval)
        {
            if (TryLock(path) is { } gate)
            {
                return gate;
            }

            Thread.Sleep(GateInterval);
        }

        throw new IOException($"'{path}' has been locked for {GatePatience.TotalSeconds} seconds");
    }
}
