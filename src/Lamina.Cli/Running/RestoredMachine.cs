using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Systems;
using Lamina.Kvm;
using Lamina.Machine.Backends;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Storage;
using Lamina.Vmm;
using Lamina.Vmm.Snapshots;

namespace Lamina.Cli.Running;

/// <summary>A machine that goes on where a snapshot was taken. What it writes to its disks goes to overlays, and the snapshot stays as it is.</summary>
internal sealed class RestoredMachine : IDisposable
{
    private const string SourceLabel = "source";
    private const string SavedPorts = "saved";
    private const string ShellLabel = "shell";
    private readonly MachineSnapshot _snapshot;

    private RestoredMachine(MachineSnapshot snapshot)
    {
        _snapshot = snapshot;
    }

    /// <summary>The name of the machine that was saved.</summary>
    public string SavedName => _snapshot.Manifest.Name;

    /// <summary>The accelerator under which it ran.</summary>
    public string SavedAccelerator => _snapshot.Manifest.Accelerator;

    /// <summary>What the saved machine was started from.</summary>
    public string Source => _snapshot.Manifest.Labels.GetValueOrDefault(SourceLabel) ?? _snapshot.Directory;

    /// <summary>Its shared folders.</summary>
    public IReadOnlyList<ShareArgument> Shares => [.. _snapshot.Manifest.Shares.Select(static s => new ShareArgument(s.Path, "", s.IsReadOnly))];

    /// <summary>Whether the shell of an image in memory listens on the control link.</summary>
    public bool HasShell => _snapshot.Manifest.Labels.ContainsKey(ShellLabel);

    /// <summary>Opens a snapshot.</summary>
    /// <exception cref="LaminaException">It cannot be used.</exception>
    public static RestoredMachine Open(string directory, bool verify)
    {
        MachineSnapshot? snapshot = null;
        try
        {
            snapshot = MachineSnapshot.Open(directory);
            if (verify)
            {
                snapshot.Verify();
            }

            return new RestoredMachine(snapshot);
        }
        catch (SnapshotException e)
        {
            snapshot?.Dispose();
            throw new LaminaException($"the snapshot '{directory}' cannot be used: {e.Message}.", e);
        }
    }

    /// <summary>Refuses a snapshot that names what is outside of it, except system images of this user, which hold nothing of anybody.</summary>
    /// <param name="hasSockets">Whether the machine has a place of its own for its guest's sockets.</param>
    /// <exception cref="LaminaException">It does; what is named.</exception>
    public void CheckHostResources(bool hasSockets)
    {
        HostResource[] foreign = [.. _snapshot.FindHostResources().Where(r => !(r.Kind == HostResourceKind.Socket && hasSockets) && !(r.Kind == HostResourceKind.Disk && IsSystemImage(r.Name)))];
        if (foreign.Length > 0)
        {
            throw new LaminaException(
                $"the snapshot '{_snapshot.Directory}' names what is outside of it: {string.Join(", ", foreign.Select(Describe).Distinct())}. If its machine is to have that, add --allow-host-paths.");
        }
    }

    /// <summary>Makes the labels of a snapshot to come.</summary>
    public static Dictionary<string, string> CreateLabels(string source, bool hasShell)
    {
        Dictionary<string, string> labels = new() { [SourceLabel] = source };
        if (hasShell)
        {
            labels[ShellLabel] = "yes";
        }

        return labels;
    }

    /// <summary>Makes the machine's settings.</summary>
    /// <param name="accelerator">Name of the accelerator; null for the one under which it ran.</param>
    /// <param name="console">Where the virtio console's output goes.</param>
    /// <param name="temporary">Takes the overlays.</param>
    /// <param name="publish">Ports that lead to the guest; "saved" for those that it had.</param>
    /// <param name="translator">How the translator is to work, if it is that.</param>
    /// <exception cref="LaminaException">It cannot go on here.</exception>
    public MachineSettings CreateSettings(string? accelerator, ICharacterOutput console, TemporaryFiles temporary, IReadOnlyList<string> publish, TranslatorOptions translator)
    {
        try
        {
            MachineSettings settings = SnapshotSettings.Create(_snapshot, CreateAccelerator(AcceleratorCatalog.Check(accelerator ?? SavedAccelerator), translator), console);
            return settings with { Networks = Publish(settings.Networks, publish), Disks = [.. settings.Disks.Select((d, i) => _snapshot.Manifest.Disks[i].IsCopied ? MakeOverlay(d, temporary) : d)] };
        }
        catch (Exception e) when (e is SnapshotException or StorageException)
        {
            throw new LaminaException($"the snapshot '{_snapshot.Directory}' cannot be used: {e.Message.TrimEnd('.')}.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _snapshot.Dispose();

    private static string Describe(HostResource resource) => resource.Kind switch
    {
        HostResourceKind.Network => $"the network interface '{resource.Name}'",
        HostResourceKind.Socket => $"the socket '{resource.Name}'",
        HostResourceKind.Share => $"the directory '{resource.Name}'",
        _ => $"the disk image '{resource.Name}'",
    };

    private static bool IsSystemImage(string path)
    {
        try
        {
            return SystemImageStore.Open().HoldsDisk(path);
        }
        catch (LaminaException)
        {
            return false;
        }
    }

    // At the first card that has ports on this host.
    private IReadOnlyList<NetworkSettings> Publish(IReadOnlyList<NetworkSettings> networks, IReadOnlyList<string> publish)
    {
        if (publish.Count == 0)
        {
            return networks;
        }

        int card = networks.ToList().FindIndex(static n => n.Kind == NetworkKind.User);
        if (card < 0)
        {
            throw new LaminaException("--publish needs a network card of kind 'user', and the saved machine has none.");
        }

        IEnumerable<string> ports = publish.SelectMany(p => p == SavedPorts ? _snapshot.Manifest.Networks[card].PublishedPorts : [p]);
        NetworkSettings[] changed = [.. networks];
        changed[card] = networks[card] with { PublishedPorts = [.. ports.Select(NetworkArgument.ParsePort)] };
        return changed;
    }

    private IAccelerator CreateAccelerator(string name, TranslatorOptions translator)
    {
        KvmControllers controllers = Enum.TryParse(_snapshot.Manifest.Personality, out PersonalityKind kind) ? PersonalityArgument.CheckControllers(kind, KvmControllers.Auto, clock: false) : KvmControllers.Auto;
        return AcceleratorCatalog.Create(name, translator, new KvmOptions { Controllers = controllers });
    }

    private static DiskSettings MakeOverlay(DiskSettings disk, TemporaryFiles temporary)
    {
        string overlay = temporary.NewName(".qcow2");
        DiskImages.Create(overlay, DiskFormat.Qcow2, null, disk.Path, isDurable: false);
        return disk with { Path = overlay, Format = DiskFormat.Qcow2 };
    }
}
