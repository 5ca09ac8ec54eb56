using System.Globalization;
using Lamina.Boot;
using Lamina.Boot.Cpu;
using Lamina.Machine.Backends;
using Lamina.Machine.Processors;
using Lamina.Storage;
using Lamina.Vmm.Serial;

namespace Lamina.Vmm.Snapshots;

/// <summary>Makes the settings of a machine that goes on where a snapshot was taken, and checks that it can here.</summary>
public static class SnapshotSettings
{
    private const uint HypervisorLeaves = 0x4000_0000;
    private const string VirtioSockets = "vsock0";

    /// <summary>Makes them. The caller may change what is the host's: names, outputs, limits, and paths of disks and sockets, but not what the guest sees.</summary>
    /// <param name="snapshot">The snapshot, which stays open until the machine is made.</param>
    /// <param name="accelerator">Who is to execute the guest.</param>
    /// <param name="console">Where the virtio console's output goes, if there is one.</param>
    /// <exception cref="SnapshotException">The accelerator or the host lacks something.</exception>
    public static MachineSettings Create(MachineSnapshot snapshot, IAccelerator accelerator, ICharacterOutput? console = null)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(accelerator);
        SnapshotManifest manifest = snapshot.Manifest;
        CheckProcessor(snapshot, accelerator);
        return new MachineSettings
        {
            Snapshot = snapshot,
            Boot = manifest.Boot is { } boot && snapshot.ImageDirectory is { } images
                ? new BootSource
                {
                    Kernel = BootImage.FromFile(Path.Combine(images, MachineSnapshot.KernelFile)),
                    Initrd = boot.HasInitrd ? BootImage.FromFile(Path.Combine(images, MachineSnapshot.InitrdFile)) : null,
                    CommandLine = boot.CommandLine,
                    Protocol = Parse<BootProtocol>(boot.Protocol, "boot protocol"),
                }
                : null,
            OnReboot = manifest.OnReboot is { } action ? Parse<RebootAction>(action, "action after a reboot") : RebootAction.Restart,
            RestartOnTripleFault = manifest.RestartsOnTripleFault,
            Name = manifest.Name,
            Accelerator = accelerator,
            MemorySize = manifest.MemoryBytes,
            StartMemorySize = manifest.StartMemoryBytes,
            ProcessorCount = manifest.Processors,
            CpuModel = manifest.CpuModel,
            Personality = Parse<PersonalityKind>(manifest.Personality, "hypervisor for guests"),
            Generation = MachineVersion.GetGeneration(manifest.Machine),
            Transport = Parse<VirtioTransport>(manifest.Transport, "virtio transport"),
            HasTestDevices = manifest.HasTestDevices,
            Console = manifest.HasConsole ? console ?? NullCharacterOutput.Instance : null,
            Ports = [.. manifest.Ports.Select(static p => new PortSettings { Name = p, Output = NullCharacterOutput.Instance })],
            Balloon = manifest.Balloon is { } balloon
                ? new BalloonSettings { Target = balloon.Target, DeflatesOnOutOfMemory = balloon.DeflatesOnOutOfMemory, ReportsFreePages = balloon.ReportsFreePages }
                : null,
            Sockets = manifest.SocketAddress is { } address ? new SocketSettings { Address = address, Path = manifest.SocketPath ?? "", AreVirtio = manifest.Devices.Any(static d => d.Name == VirtioSockets) } : null,
            Screen = manifest.Screen is [int width, int height] ? new ScreenSettings { Width = width, Height = height } : null,
            Shares = [.. manifest.Shares.Select(static s => new ShareSettings { Path = s.Path, Tag = s.Tag, IsReadOnly = s.IsReadOnly })],
            EmptySlots = manifest.EmptySlots,
            Disks = [.. manifest.Disks.Select(d => new DiskSettings
            {
                Path = d.IsCopied ? Path.Combine(Path.GetFullPath(snapshot.Directory), d.Path) : d.Path,
                Format = d.Format == "raw" ? DiskFormat.Raw : DiskFormat.Qcow2,
                IsReadOnly = d.IsReadOnly,
                Serial = d.Serial,
                Number = d.Number,
                Slot = d.Slot,
                Limits = SavedLimits.Restore(d.Limits),
                HasPersistentGrants = d.HasPersistentGrants,
                OnNoSpace = d.WaitsForSpace ? WriteErrorPolicy.Wait : WriteErrorPolicy.Report,
            })],
            Networks = [.. manifest.Networks.Select(static n => new NetworkSettings
            {
                Kind = Parse<NetworkKind>(n.Kind, "network"),
                Name = n.Name,
                QueuePairs = n.QueuePairs ?? 1,
                Number = n.Number,
                Slot = n.Slot,
                Limits = SavedLimits.Restore(n.Limits),
                HardwareAddress = ParseAddress(n.HardwareAddress),
            })],
        };
    }

    private static void CheckProcessor(MachineSnapshot snapshot, IAccelerator accelerator)
    {
        SnapshotManifest manifest = snapshot.Manifest;
        CpuModel model = CpuModel.Find(manifest.CpuModel) ?? throw new SnapshotException($"there is no CPU model '{manifest.CpuModel}' here");
        if (accelerator.TscFrequency is { } frequency && frequency != manifest.TscFrequency)
        {
            throw new SnapshotException(string.Create(
                CultureInfo.InvariantCulture,
                $"the time-stamp counters of the accelerator '{accelerator.Name}' run at {frequency / 1e6:F0} MHz alone, and the guest knows them at {manifest.TscFrequency / 1e6:F0} MHz"));
        }

        if (accelerator.PhysicalAddressBits < manifest.PhysicalAddressBits)
        {
            throw new SnapshotException($"the accelerator '{accelerator.Name}' has {accelerator.PhysicalAddressBits} physical address bits, and the guest has {manifest.PhysicalAddressBits}");
        }

        // What else differs between the answers of two hosts are sizes and names.
        IReadOnlyList<CpuidEntry> saved = snapshot.Cpuid;
        CpuidEntry[] processor = [.. saved.Where(static e => e.Leaf is < HypervisorLeaves or >= 0x8000_0000)];
        IReadOnlyList<CpuidEntry> here = model.CreateEntries(manifest.Processors, manifest.TscFrequency, manifest.PhysicalAddressBits);
        string[] missing = [.. CpuModel.FindWithheld(processor, here).Where(static f => !f.StartsWith("CPUID ", StringComparison.Ordinal))];
        if (missing.Length > 0)
        {
            throw new SnapshotException($"this host's processor lacks {string.Join(", ", missing)}, which the guest may be using");
        }

        IReadOnlyList<CpuidEntry> given = accelerator.Restrict(saved);
        if (!given.SequenceEqual(saved))
        {
            throw new SnapshotException($"the accelerator '{accelerator.Name}' lacks {string.Join(", ", CpuModel.FindWithheld(saved, given))}, which the guest may be using");
        }
    }

    private static T Parse<T>(string name, string kind)
        where T : struct, Enum
    {
        return Enum.TryParse(name, ignoreCase: true, out T value) && Enum.IsDefined(value) ? value : throw new SnapshotException($"there is no {kind} '{name}' here");
    }

    private static byte[] ParseAddress(string digits)
    {
        try
        {
            byte[] address = Convert.FromHexString(digits);
            return address.Length == 6 ? address : throw new SnapshotException($"'{digits}' is no hardware address");
        }
        catch (FormatException e)
        {
            throw new SnapshotException($"'{digits}' is no hardware address", e);
        }
    }
}
