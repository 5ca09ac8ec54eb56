using System.Text;
using Lamina.Cli.Control.Verbs;
using Lamina.Cli.Output;
using Lamina.Management.Machines;
using Lamina.Networking.Sockets;
using Lamina.Virtio.Socket;
using Lamina.Vmm;

namespace Lamina.Cli.Control;

/// <summary>What ties a machine to the others of its user: its name among them, and its control socket.</summary>
internal sealed class WorkerControl : IDisposable
{
    private const string GuestSocketName = "guest";
    private readonly MachineEntry? _entry;
    private ControlServer? _server;

    private WorkerControl(MachineEntry? entry, string name)
    {
        _entry = entry;
        Name = name;
    }

    /// <summary>The machine's name.</summary>
    public string Name { get; }

    /// <summary>The directory of its sockets; null if it has none.</summary>
    public string? Folder => _entry == null ? null : Path.GetDirectoryName(_entry.SocketPath);

    /// <summary>What the console shows.</summary>
    public ConsoleHub Console { get; } = new();

    /// <summary>Takes a name.</summary>
    /// <param name="name">The name; null for any that begins with <paramref name="stem"/>.</param>
    /// <param name="stem">What such a name begins with.</param>
    /// <param name="isNeeded">Whether the machine is of no use without control. Otherwise it goes on without, and says so.</param>
    /// <exception cref="LaminaException">A machine of that name runs; or control is needed and cannot be had.</exception>
    public static WorkerControl Enter(string? name, string stem, bool isNeeded)
    {
        MachineEntry? entry;
        try
        {
            MachineRegistry registry = new(RuntimeLocation.Open(Environment.GetEnvironmentVariable));
            entry = name == null ? registry.EnterNumbered(stem) : registry.TryEnter(name);
        }
        catch (Exception e) when (e is LaminaException or IOException or UnauthorizedAccessException)
        {
            if (isNeeded)
            {
                throw new LaminaException(e.Message, e);
            }

            Messages.Write($"the machine cannot be controlled from elsewhere: {e.Message}");
            return new WorkerControl(null, name ?? stem);
        }

        return entry != null
            ? new WorkerControl(entry, entry.Name)
            : throw new LaminaException($"a machine named '{name}' is running. Choose another --name, or end it: lamina stop {name}");
    }

    /// <summary>The guest's sockets to this host, through which its agent is reached; null if there is no place for them.</summary>
    public SocketSettings? CreateSockets()
    {
        string? path = _entry == null ? null : Path.Combine(Path.GetDirectoryName(_entry.SocketPath)!, GuestSocketName);
        return path != null && Encoding.UTF8.GetByteCount(path) <= SocketGateway.MaximumPathLength ? new SocketSettings { Address = SocketDevice.MinimumAddress, Path = path } : null;
    }

    /// <summary>Serves the socket from now on.</summary>
    /// <exception cref="LaminaException">There can be no socket.</exception>
    public void Serve(ControlledMachine machine)
    {
        if (_entry != null)
        {
            _server = new ControlServer(_entry.SocketPath, VerbCatalog.Create(machine));
        }
    }

    /// <summary>Closes the socket, after answers and the console's last words have left, and gives the name back.</summary>
    public void Dispose()
    {
        Console.End();
        _server?.Dispose();
        _entry?.Dispose();
    }
}
