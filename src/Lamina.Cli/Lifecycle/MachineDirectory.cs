using Lamina.Cli.Arguments;
using Lamina.Cli.Control;
using Lamina.Management.Machines;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>This user's machines, as the commands see them.</summary>
internal sealed class MachineDirectory
{
    private static readonly TimeSpan EndInterval = TimeSpan.FromMilliseconds(10);
    private readonly MachineRegistry _registry;

    private MachineDirectory(MachineRegistry registry)
    {
        _registry = registry;
    }

    /// <summary>Opens it.</summary>
    /// <exception cref="LaminaException">It cannot be used.</exception>
    public static MachineDirectory Open() => new(new MachineRegistry(RuntimeLocation.Open(Environment.GetEnvironmentVariable)));

    /// <summary>Names of the machines that live, in order.</summary>
    /// <exception cref="LaminaException">The directory cannot be used.</exception>
    public IReadOnlyList<string> List() => Guard(_registry.List);

    /// <summary>Whether a machine of that name lives.</summary>
    /// <exception cref="LaminaException">The directory cannot be used.</exception>
    public bool Contains(string name) => Guard(() => _registry.Contains(name));

    /// <summary>The process of a machine; null if it is not known.</summary>
    public int? FindProcess(string name) => _registry.TryReadProcess(name);

    /// <summary>Connects to a machine.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="timeout">How long an answer may take; null without end.</param>
    /// <exception cref="LaminaException">There is no such machine.</exception>
    /// <exception cref="ControlException">It lives, and nobody listens.</exception>
    public ControlClient Connect(string name, TimeSpan? timeout = null)
    {
        Check(name);
        return ControlClient.Connect(_registry.GetSocketPath(name), timeout);
    }

    /// <summary>Checks that a machine of that name lives.</summary>
    /// <exception cref="LaminaException">There is none.</exception>
    public void Check(string name)
    {
        if (!Contains(name))
        {
            IReadOnlyList<string> names = List();
            throw new LaminaException(names.Count == 0
                ? $"there is no machine '{name}'; none is running."
                : $"there is no machine '{name}'. Running: {string.Join(", ", names)}.{Suggestion.For(name, names)}");
        }
    }

    /// <summary>Waits until a machine's name is free.</summary>
    /// <returns>Whether it is, within <paramref name="timeout"/>.</returns>
    public bool WaitForEnd(string name, TimeSpan timeout)
    {
        long end = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (Contains(name))
        {
            if (Environment.TickCount64 >= end)
            {
                return false;
            }

            Thread.Sleep(EndInterval);
        }

        return true;
    }

    private static T Guard<T>(Func<T> look)
    {
        try
        {
            return look();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"the directory of running machines cannot be used: {e.Message}", e);
        }
    }
}
