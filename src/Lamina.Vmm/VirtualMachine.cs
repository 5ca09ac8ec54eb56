using Lamina.Boot;
using Lamina.Boot.Cpu;
using Lamina.Boot.Layout;
using Lamina.Interop;
using Lamina.Interop.Memory;
using Lamina.Machine.Input;
using Lamina.Machine.Limits;
using Lamina.Machine.Processors;
using Lamina.Networking;
using Lamina.Personalities.HyperV.Video;
using Lamina.Personalities.VMware;
using Lamina.Storage;
using Lamina.Vmm.Devices;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm;

/// <summary>
/// A virtual machine in this process: construct, <see cref="Start"/>, wait for <see cref="Completion"/>, dispose. All members may be called from any thread.
/// </summary>
public sealed class VirtualMachine : IDisposable
{
    private const ulong Mebibyte = 1 << 20;
    private const ulong MinimumBesideScreen = 16 * Mebibyte;
    // Ctrl, Alt and Delete go down, and up in the other order.
    private static readonly KeyStroke[] RestartKeys =
    [
        new(0x1d, IsReleased: false), new(0x38, IsReleased: false), new(KeyStroke.Extended | 0x53, IsReleased: false),
        new(KeyStroke.Extended | 0x53, IsReleased: true), new(0x38, IsReleased: true), new(0x1d, IsReleased: true),
    ];

    private static readonly TimeSpan KeyPatience = TimeSpan.FromSeconds(10);
    private readonly MachineController _controller;

    /// <summary>Makes the machine: maps its RAM, loads the kernel, wires the devices.</summary>
    /// <exception cref="MachineConfigurationException">The settings or the kernel cannot be used.</exception>
    public VirtualMachine(MachineSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        Settings = settings;
        CpuModel model = Validate(settings);
        try
        {
            _controller = new MachineController(settings, model);
        }
        catch (SnapshotException e)
        {
            throw new MachineConfigurationException($"The snapshot cannot be used: {e.Message}.", e);
        }
        catch (Exception e) when (e is BootException or StorageException or NetworkException)
        {
            throw new MachineConfigurationException(e.Message, e);
        }
        catch (SystemCallException e)
        {
            throw new MachineConfigurationException($"The host cannot give what a machine with {settings.MemorySize / Mebibyte} MiB of memory needs: {e.Message}.", e);
        }
        catch (OutOfMemoryException e)
        {
            throw new MachineConfigurationException($"The host has too little memory for a machine with {settings.MemorySize / Mebibyte} MiB.", e);
        }
    }

    /// <summary>What it was made of.</summary>
    public MachineSettings Settings { get; }

    /// <summary>The first serial port (COM1, ttyS0): what is typed into the guest.</summary>
    public SerialPort Serial0 => _controller.Serial0;

    /// <summary>The second serial port (COM2, ttyS1).</summary>
    public SerialPort Serial1 => _controller.Serial1;

    /// <summary>The virtio console (hvc0); null if the machine has none.</summary>
    public SerialPort? Console => _controller.Console;

    /// <summary>The named ports, in the order of <see cref="MachineSettings.Ports"/>.</summary>
    public IReadOnlyList<SerialPort> Ports => _controller.Ports;

    /// <summary>The memory balloon; null if the machine has none.</summary>
    public MemoryBalloon? Balloon => _controller.Devices.Balloon;

    /// <summary>Completes, never faults, when the machine has ended and its processors have stopped.</summary>
    public Task<MachineResult> Completion => _controller.Completion;

    /// <summary>Instructions retired by all processors since the start; 0 if the accelerator cannot count.</summary>
    public ulong InstructionsRetired => _controller.InstructionsRetired;

    /// <summary>Name of the accelerator that executes it now.</summary>
    public string AcceleratorName => _controller.AcceleratorName;

    /// <summary>Features of the CPU model that the guest does not have, because an accelerator that the machine is for cannot give them.</summary>
    public IReadOnlyList<string> WithheldFeatures => _controller.WithheldFeatures;

    /// <summary>What its accelerators have translated since the start.</summary>
    public TranslationCounters Translations => _controller.Translations;

    /// <summary>What its accelerators have counted since the start.</summary>
    public ProcessorCounters Counters => _controller.Counters;

    /// <summary>When a processor first went into the guest, by the host's monotonic clock, as <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/> tells it; 0 before.</summary>
    public long FirstEntry => _controller.FirstEntry;

    /// <summary>Time that has passed for the guest since the start: pauses do not count.</summary>
    public TimeSpan MachineTime => _controller.MachineTime;

    /// <summary>What each disk was asked for: reads are inward.</summary>
    public IReadOnlyList<DeviceTraffic> DiskTraffic => [.. _controller.Devices.Disks.Select(static d => new DeviceTraffic(d.Name, d.Way.Traffic))];

    /// <summary>What passed each network card: what the guest receives is inward.</summary>
    public IReadOnlyList<DeviceTraffic> NetworkTraffic => [.. _controller.Devices.Networks.Select(static n => new DeviceTraffic(n.Name, n.Way.Traffic))];

    /// <summary>Tells of something that a person should know, such as another accelerator. On the machine's event loop.</summary>
    public event Action<string>? Noticed
    {
        add => _controller.Noticed += value;
        remove => _controller.Noticed -= value;
    }

    /// <summary>Whether the machine is paused.</summary>
    public bool IsPaused => _controller.IsPaused;

    /// <summary>Whether the guest has suspended itself to RAM (ACPI S3): until <see cref="Wake"/>, or an alarm that it has set.</summary>
    public bool IsAsleep => _controller.IsAsleep;

    /// <summary>The byte that the guest wrote to port 0x80 last, by which firmware and tests say how far they are; 0 after a reset. Any thread.</summary>
    public byte PostCode => _controller.Devices.Post.Code;

    /// <summary>Switches the machine on. Once.</summary>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    public void Start() => _controller.Start();

    /// <summary>Waits for <see cref="Completion"/>.</summary>
    public MachineResult WaitForEnd() => Completion.GetAwaiter().GetResult();

    /// <summary>Tells the guest how large the window of its virtio console is. Nothing happens if it has none.</summary>
    public void ResizeConsole(int columns, int rows) => _controller.Devices.Virtio.ConsoleDevice?.Resize(columns, rows);

    /// <summary>Changes what the guest may ask of a disk, or what may pass a network card in each direction, also for requests that wait already. Any thread.</summary>
    /// <param name="device">The device's name, such as "disk0".</param>
    /// <param name="limits">What is allowed from now on.</param>
    /// <exception cref="MachineConfigurationException">There is no such device.</exception>
    public void SetLimits(string device, IoLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        LimitedDevice[] devices = [.. _controller.Devices.Disks, .. _controller.Devices.Networks];
        LimitedDevice found = Array.Find(devices, d => d.Name == device);
        if (found.Way == null)
        {
            throw new MachineConfigurationException($"The machine has no device '{device}'{(devices.Length > 0 ? $"; it has {string.Join(", ", devices.Select(static d => d.Name))}" : "")}.");
        }

        found.Way.SetLimits(limits);
    }

    /// <summary>The settings with which the same machine would be made now, with the devices that have come and without those that have gone.</summary>
    public MachineSettings CurrentSettings => _controller.Devices.Paravirtual?.CurrentSettings ?? _controller.Devices.Virtio.CurrentSettings;

    /// <summary>Attaches a disk to a machine that has been started, and tells the guest.</summary>
    /// <returns>The device's name, such as "disk1".</returns>
    /// <exception cref="MachineConfigurationException">It cannot be opened, there is no place for it, or the machine has ended.</exception>
    public string AttachDisk(DiskSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return Change(() =>
        {
            CheckPersistentGrants(settings, CurrentSettings.Personality);
            return _controller.Changes.AttachDisk(settings);
        });
    }

    /// <summary>Attaches a network card to a machine that has been started, and tells the guest.</summary>
    /// <returns>The device's name, such as "net1".</returns>
    /// <exception cref="MachineConfigurationException">The network cannot be had, there is no place for the card, or the machine has ended.</exception>
    public string AttachNetwork(NetworkSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return Change(() => _controller.Changes.AttachNetwork(settings));
    }

    /// <summary>
    /// Asks the guest to give up a disk or a network card, and waits until it has ejected it and the host has closed what served it. A guest that does not answer keeps it; it then goes when the
    /// guest ejects it later, or with the next reset.
    /// </summary>
    /// <param name="device">Its name, as <see cref="AttachDisk"/> gives it; those of the start are disk0, net0 and so on.</param>
    /// <param name="patience">How long the guest has.</param>
    /// <returns>Whether it is gone.</returns>
    /// <exception cref="MachineConfigurationException">There is no such device, or the machine has ended.</exception>
    public bool Detach(string device, TimeSpan patience) => Change(() => _controller.Changes.Detach(device, patience));

    /// <summary>Makes a disk larger while the machine runs, and tells the guest. Requests that are under way end before.</summary>
    /// <param name="device">The disk's name.</param>
    /// <param name="length">Bytes that it is to have: not fewer than it has, and whole sectors of 512.</param>
    /// <exception cref="MachineConfigurationException">It cannot be; the disk is as it was.</exception>
    public void ResizeDisk(string device, ulong length) => Change(() =>
    {
        _controller.Changes.ResizeDisk(device, length);
        return true;
    });

    /// <summary>What the guest's system says of itself; null if its personality has no services for that. Any thread.</summary>
    public GuestReport? Guest => _controller.Devices.Paravirtual?.Services is { } services ? GuestReport.Create(services)
        : _controller.Devices.Personality is VMwarePersonality vmware ? GuestReport.Create(vmware.Tools) : null;

    /// <summary>
    /// Asks the guest's operating system to stop, by its personality's way if it has one and the guest knows it (Xen's control domain, Hyper-V's shutdown service, VMware's tools), or else by the ACPI power
    /// button. The guest decides what follows.
    /// </summary>
    public void PressPowerButton() => _controller.PressPowerButton();

    /// <summary>
    /// Asks the guest's operating system to start again, by its personality's way if it has one and the guest knows it (Xen's control domain, Hyper-V's shutdown service, VMware's tools), or else by Ctrl-Alt-Delete on its
    /// keyboard. The guest decides what follows. Not to be called from a serial output.
    /// </summary>
    /// <returns><c>false</c> if it has no driver for any of these.</returns>
    /// <exception cref="MachineConfigurationException">The guest has stopped to take keys.</exception>
    public bool TryRestart()
    {
        if (_controller.TryRestart())
        {
            return true;
        }

        if (!_controller.Devices.User.HasListener)
        {
            return false;
        }

        TypeKeys(RestartKeys);
        return true;
    }

    /// <summary>Wakes a guest that has suspended itself to RAM (ACPI S3), as the power button does. Nothing happens to one that is awake, and a machine that is paused wakes when it goes on.</summary>
    public void Wake() => _controller.Wake();

    /// <summary>Types on the guest's keyboard, whichever its personality has: keys go down and up in their order, as fast as the guest takes them. Not to be called from a serial output.</summary>
    /// <param name="strokes">The keys.</param>
    /// <exception cref="MachineConfigurationException">The guest takes no keys, for ten seconds.</exception>
    public void TypeKeys(IReadOnlyList<KeyStroke> strokes)
    {
        ArgumentNullException.ThrowIfNull(strokes);
        _controller.Devices.User.Type(strokes, KeyPatience);
    }

    /// <summary>Moves the guest's pointer, and says which of its buttons are down.</summary>
    /// <returns><c>false</c> if it has none that is told where it is, or does not take it now.</returns>
    public bool TryMovePointer(PointerState state) => _controller.Devices.User.Pointer?.TrySend(state) ?? false;

    /// <summary>What the guest shows on its screen.</summary>
    /// <exception cref="MachineConfigurationException">It has none, or shows nothing.</exception>
    public Screenshot TakeScreenshot() => _controller.WithMemory(_controller.Devices.User.TakeScreenshot);

    /// <summary>Presses the reset button: the machine boots again, whatever <see cref="MachineSettings.OnReboot"/> says of the guest's own resets.</summary>
    public void PressResetButton() => _controller.RequestReset();

    /// <summary>Ends the machine at once, as by pulling the plug. Does not wait.</summary>
    public void Quit() => _controller.RequestEnd(new MachineResult(MachineOutcome.Quit));

    /// <summary>Stops all processors and the machine clock; returns when they stand still, or the machine has ended. Not to be called from a serial output.</summary>
    public void Pause() => _controller.SetPaused(true);

    /// <summary>Lets a paused machine go on.</summary>
    public void Resume() => _controller.SetPaused(false);

    /// <summary>Goes on under another accelerator, running or paused, and returns when that is done. Not to be called from a serial output.</summary>
    /// <exception cref="MachineConfigurationException">It cannot; the machine goes on as before.</exception>
    public void MoveTo(IAccelerator accelerator)
    {
        ArgumentNullException.ThrowIfNull(accelerator);
        if (_controller.MoveTo(accelerator) is { } problem)
        {
            throw new MachineConfigurationException($"The machine cannot go on under the accelerator '{accelerator.Name}': {problem}.");
        }
    }

    /// <summary>
    /// Saves the machine, running or paused, into a new directory, from which it can go on any number of times. What it was asked for before, it finishes; it stands still while its memory
    /// is copied. Not to be called from a serial output.
    /// </summary>
    /// <param name="directory">The directory. It appears when all of it is on the disk.</param>
    /// <param name="options">How it is taken; null for one that stands alone, not compressed.</param>
    /// <returns>How long the machine stood still.</returns>
    /// <exception cref="SnapshotException">It cannot be saved; it goes on.</exception>
    public TimeSpan Snapshot(string directory, SnapshotOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        return _controller.Snapshot(() => new SnapshotDirectory(directory), options ?? new SnapshotOptions());
    }

    /// <summary>Saves the machine into files that somebody else has made, who gives them their directory when this has succeeded (<see cref="SnapshotDirectory.CompleteWritten"/>).</summary>
    /// <param name="files">Empty files with the names that <see cref="ListSnapshotFiles"/> gives, open for reading and writing. They are the caller's to close.</param>
    /// <param name="options">How it is taken.</param>
    /// <returns>How long the machine stood still.</returns>
    /// <exception cref="SnapshotException">It cannot be saved; it goes on.</exception>
    public TimeSpan Snapshot(IReadOnlyList<Interop.Files.PassedFile> files, SnapshotOptions options)
    {
        ArgumentNullException.ThrowIfNull(files);
        ArgumentNullException.ThrowIfNull(options);
        return _controller.Snapshot(() => new PassedSnapshotFiles(files), options);
    }

    /// <summary>The names of the files that a snapshot would have now.</summary>
    /// <param name="options">How it would be taken.</param>
    /// <exception cref="SnapshotException">The machine cannot be saved.</exception>
    public IReadOnlyList<string> ListSnapshotFiles(SnapshotOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return _controller.ListSnapshotFiles(options);
    }

    /// <summary>Ends the machine if it runs, waits for its threads, and gives its memory back. Not to be called from a serial output.</summary>
    public void Dispose()
    {
        Quit();
        WaitForEnd();
        _controller.Dispose();
    }

    private T Change<T>(Func<T> change)
    {
        if (!_controller.IsStarted)
        {
            throw new MachineConfigurationException("The machine has not been started.");
        }

        try
        {
            return change();
        }
        catch (Exception e) when (e is StorageException or NetworkException or SystemCallException)
        {
            throw new MachineConfigurationException(e.Message, e);
        }
    }

    private static CpuModel Validate(MachineSettings settings)
    {
        ulong size = settings.MemorySize;
        if (size is < MachineSettings.MinimumMemorySize or > MachineSettings.MaximumMemorySize || size % Mebibyte != 0)
        {
            throw new MachineConfigurationException($"A machine cannot have {Describe(size)} of memory; {MachineSettings.MinimumMemorySize / Mebibyte} MiB to {MachineSettings.MaximumMemorySize / Mebibyte} MiB are accepted, in whole MiB.");
        }

        ulong hostSize = HostMemory.TotalSize;
        if (hostSize != 0 && size > hostSize)
        {
            throw new MachineConfigurationException($"A machine cannot have {Describe(size)} of memory here; the host has {hostSize / Mebibyte} MiB, swap included.");
        }

        if (settings.StartMemorySize is { } start)
        {
            if (settings.Personality != PersonalityKind.HyperV)
            {
                throw new MachineConfigurationException("Only a machine that shows Hyper-V can get more memory while it runs.");
            }

            if (start < MachineSettings.MinimumMemorySize || start >= size || start % Mebibyte != 0 || (size - start) % MachineLayout.HotAddUnit != 0)
            {
                throw new MachineConfigurationException(
                    $"A machine of {Describe(size)} cannot start with {Describe(start)}; it is to be {MachineSettings.MinimumMemorySize / Mebibyte} MiB or more, in whole MiB, and the rest comes in pieces of {MachineLayout.HotAddUnit / Mebibyte} MiB.");
            }
        }

        if (settings.ProcessorCount is < 1 or > MachineSettings.MaximumProcessorCount)
        {
            throw new MachineConfigurationException($"A machine cannot have {settings.ProcessorCount} processors; 1 to {MachineSettings.MaximumProcessorCount} are accepted.");
        }

        if (settings.Screen is { IsValid: false } screen)
        {
            throw new MachineConfigurationException($"A screen cannot have {screen.Width}x{screen.Height} pixels; {ScreenSettings.MinimumWidth}x{ScreenSettings.MinimumHeight} to 1048576 in all are accepted, such as 1024x768 and 1280x800, with a width that is a multiple of 8.");
        }

        if (settings.Screen != null && settings.Personality is not (PersonalityKind.HyperV or PersonalityKind.Xen))
        {
            throw new MachineConfigurationException("Only machines that show Hyper-V or Xen have a screen.");
        }

        if (FindGenerationObstacle(settings) is { } obstacle)
        {
            throw new MachineConfigurationException(obstacle);
        }

        if (settings is { Screen: not null, Personality: PersonalityKind.HyperV } && (settings.StartMemorySize ?? size) < MinimumBesideScreen)
        {
            throw new MachineConfigurationException($"A machine with a screen cannot have less than {MinimumBesideScreen / Mebibyte} MiB of memory, of which {SyntheticVideo.MaximumLength >> 20} are the screen's.");
        }

        foreach (DiskSettings disk in settings.Disks)
        {
            CheckPersistentGrants(disk, settings.Personality);
        }

        CpuModel model = CpuModel.Find(settings.CpuModel)
            ?? throw new MachineConfigurationException($"There is no CPU model '{settings.CpuModel}'; {string.Join(", ", CpuModel.Names)} are accepted.");
        if (settings.Snapshot == null && settings.Boot == null)
        {
            throw new MachineConfigurationException("A machine needs something to boot, or a snapshot.");
        }

        return model.MissingHostFeatures.Count == 0 || settings.Snapshot != null
            ? model
            : throw new MachineConfigurationException($"The CPU model '{model.Name}' cannot run on this host, which lacks {string.Join(", ", model.MissingHostFeatures)}; 'max' offers what is there.");
    }

    private static void CheckPersistentGrants(DiskSettings disk, PersonalityKind personality)
    {
        if (disk.HasPersistentGrants && personality != PersonalityKind.Xen)
        {
            throw new MachineConfigurationException($"The disk '{disk.Path}' cannot have persistent grants: only machines that show Xen have grants.");
        }
    }

    // What a machine of the second generation has no place for.
    private static string? FindGenerationObstacle(MachineSettings settings)
    {
        if (settings.Generation == 1)
        {
            return null;
        }

        if (settings.Generation != 2)
        {
            return $"There is no machine of generation {settings.Generation}; 1 and 2 are accepted.";
        }

        if (settings.Personality != PersonalityKind.HyperV)
        {
            return "A machine of generation 2 shows Hyper-V, and no other hypervisor.";
        }

        string? device = settings.Transport != VirtioTransport.Pci ? "memory-mapped virtio devices"
            : settings.Shares.Count > 0 ? "shared folders"
            : settings.Console != null ? "a virtio console"
            : settings.Ports.Count > 0 ? "named ports"
            : settings.Sockets is { AreVirtio: true } ? "virtio's sockets"
            : settings.HasTestDevices ? "devices for test programs"
            : null;
        return device == null ? null : $"A machine of generation 2 has no PCI and no legacy devices, and no place for {device}.";
    }

    private static string Describe(ulong size) => size % Mebibyte == 0 ? $"{size / Mebibyte} MiB" : $"{size} bytes";
}
