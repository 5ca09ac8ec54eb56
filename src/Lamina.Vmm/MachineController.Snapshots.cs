using System.Globalization;
using Lamina.Boot;
using Lamina.Boot.Acpi;
using Lamina.Interop;
using Lamina.Interop.Processes;
using Lamina.Machine.Devices;
using Lamina.Machine.Processors;
using Lamina.Storage;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Timing;

namespace Lamina.Vmm;

/// <summary>Work that needs the whole machine to stand still, and the two that there are: saving it, and putting it into a saved state.</summary>
internal sealed partial class MachineController
{
    private const uint StateVersion = 1;
    private const ushort FolderField = 1;
    private const uint TimeStampCounter = 0x10;
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong MaximumClockStep = 1UL << 61;
    private static readonly TimeSpan SuspensionPatience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan SuspensionLook = TimeSpan.FromMilliseconds(10);
    private Standstill? _standstill;

    // The snapshot since which GuestMemory knows the pages that were written; null if there is none.
    private string? _writesSince;

    /// <summary>Has something done on the control thread while no processor runs, no device works and no time passes; waits for it. The machine then goes on, or stays paused.</summary>
    /// <returns><c>false</c> if the machine has ended or was not started.</returns>
    internal bool DuringStandstill(Action work)
    {
        Standstill request = new(work);
        lock (_gate)
        {
            while (_standstill != null && !_ended)
            {
                Monitor.Wait(_gate);
            }

            if (_ended || !_started)
            {
                return false;
            }

            _standstill = request;
            RequestHold();
        }

        _control.Schedule();
        lock (_gate)
        {
            while (!request.IsDone && !_ended)
            {
                Monitor.Wait(_gate);
            }
        }

        if (request.Failure != null)
        {
            throw new SnapshotException(request.Failure.Message, request.Failure);
        }

        return request.IsDone;
    }

    /// <summary>Saves the machine.</summary>
    /// <param name="create">Makes the place for its files, if the machine can be saved.</param>
    /// <param name="options">How.</param>
    /// <returns>How long the machine stood still.</returns>
    /// <exception cref="SnapshotException">It cannot be saved; it goes on.</exception>
    internal TimeSpan Snapshot(Func<ISnapshotFolder> create, SnapshotOptions options)
    {
        using ISnapshotFolder folder = create();
        using SnapshotWriter writer = new(folder, options);
        SnapshotManifest manifest = new();
        ChangedPages? changed = null;
        byte[] state = [];
        TimeSpan pause = default;
        lock (_savingGate)
        {
            try
            {
                if (options.AsksGuest)
                {
                    SuspendGuest();
                }

                bool done = DuringStandstill(() =>
                {
                    long began = TimeProvider.System.GetTimestamp();
                    if (options.Base != null && options.Base.Sha256 != _writesSince)
                    {
                        throw new SnapshotException(_writesSince == null
                            ? "no snapshot of this machine can be a base yet: there is none since it was started, or the last one failed"
                            : $"'{options.Base.Path}' cannot be the base: it is not the last snapshot of this machine, since which it knows its changes");
                    }

                    List<StateRecord> records = SaveState();
                    manifest = Describe(records, options);
                    manifest.Disks = [.. ListDisks().Select(d => SaveDisk(writer, d.Settings, d.Backend))];
                    state = StateArchive.Write(records);
                    _execution.CollectWrites();
                    changed = ChangedPages.Take(_memory);
                    writer.WriteMemory(_ram, options.Base == null ? null : changed.ListRuns(_ram.Mapping));
                    _execution.TrackWrites();
                    pause = TimeProvider.System.GetElapsedTime(began);
                });
                if (!done)
                {
                    throw new SnapshotException("a machine that does not run cannot be saved");
                }

                _writesSince = writer.Complete(manifest, state, options.Base == null ? _bootLoader : null);
                return pause;
            }
            catch
            {
                // What has changed since the last one has changed still.
                changed?.Return();
                throw;
            }
            finally
            {
                if (options.AsksGuest)
                {
                    Devices.Paravirtual?.ControlDomain?.EndSuspension();
                }
            }
        }
    }

    private void SuspendGuest()
    {
        if (Devices.Paravirtual?.ControlDomain is not { } domain)
        {
            throw new SnapshotException("only guests of Xen can be asked to suspend themselves");
        }

        if (!domain.TrySuspend())
        {
            throw new SnapshotException("the guest has not said that it can suspend itself");
        }

        long began = TimeProvider.System.GetTimestamp();
        while (!domain.IsSuspended && !Completion.Wait(SuspensionLook))
        {
            if (TimeProvider.System.GetElapsedTime(began) > SuspensionPatience)
            {
                throw new SnapshotException(string.Create(CultureInfo.InvariantCulture, $"the guest has not suspended itself within {SuspensionPatience.TotalSeconds} s"));
            }
        }
    }

    /// <summary>The names of the files that a snapshot would have now.</summary>
    /// <param name="options">How it would be taken.</param>
    internal IReadOnlyList<string> ListSnapshotFiles(SnapshotOptions options)
    {
        string[] boot = options.Base != null || _bootLoader == null ? [] : _bootLoader.InitrdImage == null ? [MachineSnapshot.KernelFile] : [MachineSnapshot.KernelFile, MachineSnapshot.InitrdFile];
        return
        [
            options.IsCompressed ? MachineSnapshot.PackedFile : MachineSnapshot.MemoryFile, MachineSnapshot.StateFile, MachineSnapshot.ManifestFile,
            .. options.Base == null ? [] : (string[])[MachineSnapshot.PagesFile],
            .. boot,
            .. ListDisks().Where(static d => !d.Backend.IsReadOnly).Select(static d => MachineSnapshot.GetDiskFile(d.Settings.Number ?? 0, d.Backend.Format)),
        ];
    }

    // The disks as they are now, by whatever way the guest reaches them.
    private IEnumerable<(DiskSettings Settings, Storage.DiskBackend Backend)> ListDisks()
    {
        return Devices.Paravirtual is { } own
            ? own.AttachedDisks.Select(static d => (d.Settings, d.Backend))
            : Devices.Virtio.Attached.Where(static a => a.DiskBackend != null).Select(static a => (a.DiskSettings!, a.DiskBackend!));
    }

    // While no processor runs.
    private void Perform(Standstill request)
    {
        bool paused;
        lock (_gate)
        {
            paused = _paused;
            if (!paused)
            {
                _clock.Pause();
            }
        }

        Devices.Stop();
        Exception? failure = null;
        try
        {
            request.Work();
        }
        catch (Exception e) when (e is SnapshotException or IOException or SystemCallException)
        {
            failure = e;
        }

        Devices.Start();
        lock (_gate)
        {
            if (!paused)
            {
                GoOn();
            }

            request.Complete(failure);
            _standstill = null;
            Monitor.PulseAll(_gate);
        }
    }

    // During a standstill.
    private List<StateRecord> SaveState()
    {
        List<StateRecord> records = [];
        _execution.WithSavedState(states =>
        {
            for (int i = 0; i < states.Length; i++)
            {
                StateRecord record = new(ProcessorRecord.GetName(i), StateVersion);
                ProcessorRecord.Save(states[i], record);
                records.Add(record);
            }

            foreach (IDevice device in Devices.Devices)
            {
                StateRecord record = new(device.Name, StateVersion);
                device.Save(record);
                records.Add(record);
            }
        });
        for (int i = 0; i < Devices.Virtio.Folders.Count; i++)
        {
            records.Add(SaveFolder(i));
        }

        return records;
    }

    // What the guest knows of a shared folder is the host's part of its device.
    private StateRecord SaveFolder(int index)
    {
        StateRecord record = new(GetFolderRecord(index), StateVersion);
        try
        {
            record.Write(FolderField, Devices.Virtio.Folders[index].Save());
            return record;
        }
        catch (StorageException e)
        {
            throw new SnapshotException(e.Message, e);
        }
    }

    private void RestoreFolder(int index, StateRecord record)
    {
        try
        {
            Devices.Virtio.Folders[index].Restore(record.Find(FolderField) ?? []);
        }
        catch (StorageException e)
        {
            throw new SnapshotException(e.Message, e);
        }
    }

    private static string GetFolderRecord(int index) => string.Create(CultureInfo.InvariantCulture, $"share{index}-files");

    private SnapshotManifest Describe(List<StateRecord> records, SnapshotOptions options) => new()
    {
        Format = _settings.StartMemorySize != null ? SnapshotManifest.CurrentFormat : options.Base == null && !options.IsCompressed ? SnapshotManifest.PlainFormat : SnapshotManifest.LayeredFormat,
        Machine = MachineVersion.GetCurrent(_settings.Generation),
        Name = _settings.Name,
        UnixTime = _clock.UnixTime,
        MachineTime = _clock.Now,
        Accelerator = AcceleratorName,
        MemoryBytes = _settings.MemorySize,
        StartMemoryBytes = _settings.StartMemorySize,
        Processors = _settings.ProcessorCount,
        CpuModel = _settings.CpuModel,
        Personality = _settings.Personality.ToString(),
        Transport = _settings.Transport.ToString(),
        TscFrequency = _partitionSettings.TscFrequency,
        PhysicalAddressBits = _partitionSettings.PhysicalAddressBits,
        Cpuid = [.. _partitionSettings.Cpuid.Select(static e => new[] { e.Leaf, e.Subleaf, e.Eax, e.Ebx, e.Ecx, e.Edx })],
        HasConsole = _settings.Console != null,
        HasTestDevices = _settings.HasTestDevices,
        Ports = [.. _settings.Ports.Select(static p => p.Name)],
        Balloon = _settings.Balloon is { } balloon
            ? new SavedBalloon
            {
                Target = Devices.Balloon?.Target ?? balloon.Target,
                DeflatesOnOutOfMemory = balloon.DeflatesOnOutOfMemory,
                ReportsFreePages = balloon.ReportsFreePages,
            }
            : null,
        SocketAddress = _settings.Sockets?.Address,
        SocketPath = _settings.Sockets?.Path,
        Screen = _settings.Screen is { } screen ? [screen.Width, screen.Height] : null,
        EmptySlots = [.. Devices.Virtio.CurrentSettings.EmptySlots],
        Networks = [.. (Devices.Paravirtual?.CurrentSettings ?? Devices.Virtio.CurrentSettings).Networks.Select(n => new SavedNetwork
        {
            Kind = n.Kind.ToString(),
            Name = n.Name,
            Number = n.Number ?? 0,
            QueuePairs = n.QueuePairs,
            Slot = n.Slot,
            Limits = SavedLimits.Save(n.Limits),
            PublishedPorts = [.. n.PublishedPorts.Select(static p => p.ToString())],
            HardwareAddress = Convert.ToHexStringLower(Devices.Virtio.GetHardwareAddress(n, n.Number ?? 0)),
        })],
        Shares = [.. _settings.Shares.Select(static s => new SavedShare { Path = Path.GetFullPath(s.Path), Tag = s.Tag, IsReadOnly = s.IsReadOnly })],
        Devices = [.. records.Select(static r => new SavedDevice { Name = r.Name, Version = r.Version })],
        Base = options.Base,
        Compression = options.IsCompressed ? MachineSnapshot.Compression : null,
        Boot = _bootLoader == null
            ? null
            : new SavedBoot { Protocol = _bootLoader.Protocol.ToString(), HasInitrd = _bootLoader.InitrdImage != null, CommandLine = _settings.Boot!.CommandLine },
        OnReboot = _settings.OnReboot.ToString(),
        RestartsOnTripleFault = _settings.RestartOnTripleFault,
        Labels = new Dictionary<string, string>(options.Labels),
    };

    private static SavedDisk SaveDisk(SnapshotWriter writer, DiskSettings settings, Storage.DiskBackend disk)
    {
        int number = settings.Number ?? 0;
        return new SavedDisk
        {
            Path = disk.IsReadOnly ? Path.GetFullPath(settings.Path) : writer.CopyDisk(number, disk),
            Number = number,
            Slot = settings.Slot,
            IsCopied = !disk.IsReadOnly,
            Format = disk.Format == Storage.DiskFormat.Raw ? "raw" : "qcow2",
            IsReadOnly = settings.IsReadOnly,
            Length = disk.Length,
            Serial = settings.Serial,
            Limits = SavedLimits.Save(settings.Limits),
            WaitsForSpace = settings.OnNoSpace == Storage.WriteErrorPolicy.Wait,
            HasPersistentGrants = settings.HasPersistentGrants,
        };
    }

    // At construction.
    private void Restore(MachineSnapshot snapshot)
    {
        string[] own = [.. _processors.Select(static (_, i) => ProcessorRecord.GetName(i)), .. Devices.Devices.Select(static d => d.Name), .. Devices.Virtio.Folders.Select(static (_, i) => GetFolderRecord(i))];
        if (snapshot.RecordNames.Except(own).FirstOrDefault() is { } foreign)
        {
            throw new SnapshotException($"it has a device '{foreign}', which this machine does not");
        }

        Devices.Reset();
        ulong step = GetClockStep(snapshot.Manifest);
        _clock.Set(snapshot.Manifest.MachineTime + step);
        _writesSince = snapshot.Identity;
        ProcessorState[] states = new ProcessorState[_processors.Length];
        for (int i = 0; i < states.Length; i++)
        {
            StateRecord record = FindRecord(snapshot, ProcessorRecord.GetName(i));
            states[i] = ProcessorRecord.Restore(record) ?? throw new SnapshotException($"the state of '{record.Name}' cannot be one");
            AdvanceCounter(states[i], step);
        }

        _execution.Restore(states, () =>
        {
            foreach (IDevice device in Devices.Devices)
            {
                if (!device.Restore(FindRecord(snapshot, device.Name)))
                {
                    throw new SnapshotException($"the state of '{device.Name}' cannot be one");
                }
            }
        });

        for (int i = 0; i < Devices.Virtio.Folders.Count; i++)
        {
            RestoreFolder(i, FindRecord(snapshot, GetFolderRecord(i)));
        }

        StopNotice.Write(Devices.Personality, _memory, _processors.Length);

        // What is written from here on has changed since the snapshot.
        _execution.TrackWrites();
        WriteGeneration();
        Devices.Power.RaiseGeneralEvent(_acpiConfiguration.GenerationEvent);
    }

    // How far the guest's clocks are to go at once: the time since it was saved.
    private ulong GetClockStep(SnapshotManifest manifest)
    {
        ulong now = _clock.UnixTime;
        return _settings.StepsClock && now > manifest.UnixTime ? Math.Min(now - manifest.UnixTime, MaximumClockStep) : 0;
    }

    // The time-stamp counter goes with the machine clock.
    private void AdvanceCounter(ProcessorState state, ulong step)
    {
        int at = state.Msrs.FindIndex(static m => m.Index == TimeStampCounter);
        if (step != 0 && at >= 0)
        {
            ulong cycles = (ulong)((UInt128)step * _partitionSettings.TscFrequency / NanosecondsPerSecond);
            state.Msrs[at] = new MsrValue(TimeStampCounter, unchecked(state.Msrs[at].Value + cycles));
        }
    }

    // Another number than any machine had before, so that a guest which knows makes new random numbers.
    // A ROM lies where it would be.
    private bool WriteGeneration() =>
        _bootLoader?.Protocol == BootProtocol.Rom || _memory.TryWrite(AcpiTables.GenerationAddress, HostRandom.GetBytes(AcpiTables.GenerationLength));

    private static StateRecord FindRecord(MachineSnapshot snapshot, string name)
    {
        StateRecord record = snapshot.FindRecord(name);
        return record.Version == StateVersion
            ? record
            : throw new SnapshotException(string.Create(CultureInfo.InvariantCulture, $"the state of '{name}' is of version {record.Version}, and this version of Lamina reads {StateVersion}"));
    }

    /// <summary>Work for a standstill.</summary>
    private sealed class Standstill(Action work)
    {
        internal Action Work { get; } = work;

        internal bool IsDone { get; private set; }

        internal Exception? Failure { get; private set; }

        internal void Complete(Exception? failure)
        {
            Failure = failure;
            IsDone = true;
        }
    }
}
