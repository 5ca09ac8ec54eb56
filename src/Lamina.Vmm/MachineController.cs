using Lamina.Boot;
using Lamina.Boot.Acpi;
using Lamina.Boot.Cpu;
using Lamina.Boot.Layout;
using Lamina.Chipset;
using Lamina.Chipset.Power;
using Lamina.Interop;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Personalities;
using Lamina.Personalities.HyperV.Video;
using Lamina.Vmm.Devices;
using Lamina.Vmm.Events;
using Lamina.Vmm.Processors;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Timing;

namespace Lamina.Vmm;

/// <summary>
/// The parts of one machine, and the control thread (its event loop) that starts, resets, pauses and ends them. Everybody else only leaves a request and asks the processors to
/// stand still; every such request is followed by a round of <see cref="Control"/>, which leaves the machine in the state that the requests add up to.
/// </summary>
internal sealed partial class MachineController : IPlatformEvents, IProcessorEvents, IDisposable
{
    // Where the accelerator leaves the choice, guests' time-stamp counters count nanoseconds of the machine clock.
    private const ulong PreferredTscFrequency = 1_000_000_000;
    private const int PreferredAddressBits = 46;
    private const int PciWindowBits = 39;

    private readonly MachineSettings _settings;
    private readonly Stack<IDisposable> _owned = new();
    private readonly EventLoop _loop;
    private readonly MachineClock _clock;
    private readonly GuestMemory _memory;
    private readonly SnapshotMemory _ram;
    private readonly BootLoader? _bootLoader;
    private readonly PartitionSettings _partitionSettings;
    private readonly AcpiConfiguration _acpiConfiguration;
    private readonly Execution _execution;
    private readonly ProcessorLoop[] _processors;
    private readonly ProcessorState[] _powerOnStates;
    private readonly Posting _control;
    private readonly Posting _powerButton;
    private readonly Posting _wakeUp;
    private readonly TaskCompletionSource<MachineResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly object _gate = new();
    private readonly Lock _memoryUse = new();
    private readonly object _savingGate = new();
    private MachineResult? _end;

    // A restored machine needs them only if it is reset.
    private AcpiTables? _acpi;
    private bool _resetRequested;
    private bool _pauseRequested;
    private bool _paused;
    private bool _started;
    private bool _ended;
    private bool _asleep;
    private bool _disposed;
    private ulong _finalInstructions;
    private ProcessorCounters _finalCounters;
    private TranslationCounters _finalTranslations;
    private Move? _move;
    private bool _fallbackRefused;

    /// <summary>Makes everything and loads the guest.</summary>
    /// <exception cref="BootException">The guest cannot be loaded.</exception>
    /// <exception cref="SystemCallException">The host refuses something.</exception>
    internal MachineController(MachineSettings settings, CpuModel model)
    {
        _settings = settings;
        try
        {
            ulong start = settings.StartMemorySize ?? settings.MemorySize;
            ulong screenLength = settings is { Personality: PersonalityKind.HyperV, Screen: not null } ? (ulong)SyntheticVideo.MaximumLength : 0;
            MachineLayout layout = new(start, settings.MemorySize - start, screenLength, hasConfigurationWindow: !settings.IsGeneration2);
            MachineSnapshot? snapshot = settings.Snapshot;
            _bootLoader = settings.Boot is { } boot ? Own(new BootLoader(boot, layout)) : null;
            if (settings.IsGeneration2 && _bootLoader is { Protocol: BootProtocol.Multiboot or BootProtocol.Rom } unsuited)
            {
                throw new BootException($"'{unsuited.KernelImage.Name}' is entered as from a PC's firmware, and a machine of generation 2 is no PC; it boots Linux's kernels, and others by PVH.");
            }

            _ram = Own(snapshot?.MapMemory() ?? SnapshotMemory.CreateEmpty(settings.MemorySize));
            _memory = Own(new GuestMemory(layout.CreateRegions(_ram.Mapping.Address)));
            _loop = new EventLoop($"{settings.Name} loop", OnLoopEnded, () => settings.ThreadStarted?.Invoke(MachineThread.EventLoop));
            _clock = Own(new MachineClock(_loop));
            Own(_loop);
            _control = new Posting(_loop, Control);

            IAccelerator[] accelerators = [settings.Accelerator, .. settings.CompatibleWith];
            ulong tscFrequency = snapshot?.Manifest.TscFrequency ?? accelerators.Select(static a => a.TscFrequency).FirstOrDefault(static f => f != null) ?? PreferredTscFrequency;
            int addressBits = snapshot?.Manifest.PhysicalAddressBits ?? Math.Min(PreferredAddressBits, accelerators.Min(static a => a.PhysicalAddressBits));
            AddressSpace ports = new(AddressSpace.PortCount, new MonitorLock());
            AddressSpace mmio = new(1UL << addressBits, new MonitorLock());
            ulong crystal = CpuModel.FindCrystalFrequency(snapshot?.Cpuid ?? [], tscFrequency) ?? CpuModel.GetCrystalFrequency(tscFrequency);
            Changes = new DeviceChanges(_loop, _completion.Task, message => Noticed?.Invoke(message));
            Devices = new DeviceCatalog(
                ports, mmio, _clock, this, layout, tscFrequency, crystal, addressBits, settings, _bootLoader?.Protocol == BootProtocol.Pvh, _memory, Changes, part => Own(part), message => Noticed?.Invoke(message));
            Changes.Connect(Devices);
            IReadOnlyList<CpuidEntry> leaves = settings.Accelerator.Extras.Count == 0 ? Devices.Personality.Leaves : HypervisorLeaves.CreateOwn(tscFrequency, crystal);
            IReadOnlyList<CpuidEntry> cpuid = [.. model.CreateEntries(settings.ProcessorCount, tscFrequency, addressBits), .. leaves];
            IReadOnlyList<CpuidEntry> given = accelerators.Aggregate<IAccelerator, IReadOnlyList<CpuidEntry>>([.. cpuid, .. settings.Accelerator.Extras], static (entries, a) => a.Restrict(entries));
            given = snapshot?.Cpuid ?? given;
            WithheldFeatures = snapshot == null ? CpuModel.FindWithheld(cpuid, given) : [];
            _powerButton = new Posting(_loop, AskForPowerOff);
            _wakeUp = new Posting(_loop, WakeUp);
            Serial0 = new SerialPort(Devices.Uart0, _loop);
            Serial1 = new SerialPort(Devices.Uart1, _loop);
            Console = Devices.Paravirtual?.Console is { } own ? new SerialPort(own, _loop) : Devices.Virtio.Console is { } console ? new SerialPort(console, _loop) : null;
            Ports = [.. Devices.Virtio.Ports.Select(p => new SerialPort(p, _loop))];

            _partitionSettings = new PartitionSettings
            {
                Memory = _memory,
                Ports = ports,
                Mmio = mmio,
                Clock = _clock,
                TscFrequency = tscFrequency,
                LocalTimerFrequency = crystal,
                PhysicalAddressBits = addressBits,
                Cpuid = given,
                Personality = PersonalityCatalog.IsServed(settings.Personality, accelerators) ? Devices.Personality : null,
            };
            _execution = Own(new Execution(settings.Accelerator, _partitionSettings, Devices.LocalApics, Devices.ApicBus));
            _processors = new ProcessorLoop[settings.ProcessorCount];
            _powerOnStates = new ProcessorState[settings.ProcessorCount];
            for (int i = 0; i < _processors.Length; i++)
            {
                IVirtualProcessor processor = _execution.Processors[i];
                _processors[i] = new ProcessorLoop(processor, this, $"{settings.Name} cpu{i}", Devices.Personality as IProcessorWaits);
                Devices.LocalApics[i].Connect(_processors[i]);
                Devices.Personality.Connect(i, _processors[i], Devices.LocalApics[i]);
                Devices.StolenTime.Connect(i, _processors[i]);
                _powerOnStates[i] = new ProcessorState();
                processor.Save(_powerOnStates[i]);
                ForgetTime(_powerOnStates[i]);
                FirmwareRegisters.Apply(_powerOnStates[i], addressBits);
            }

            ulong pciWindowLength = 1UL << Math.Min(PciWindowBits, addressBits - 1);
            ulong pciWindow = (layout.End + pciWindowLength - 1) & ~(pciWindowLength - 1);
            _acpiConfiguration = CreateAcpi(settings, Devices, layout, pciWindow, pciWindowLength);
            if (snapshot == null)
            {
                Reset();
            }
            else
            {
                Restore(snapshot);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static AcpiConfiguration CreateAcpi(MachineSettings settings, DeviceCatalog devices, MachineLayout layout, ulong window, ulong windowLength)
    {
        AcpiConfiguration common = new()
        {
            ProcessorCount = settings.ProcessorCount,
            HasVmBus = settings.Personality == PersonalityKind.HyperV,
            VmBusMemory = (uint)layout.LowMemoryEnd,
            VmBusMemoryLength = (uint)layout.ScreenLength,
            PciMemory64 = window,
            PciMemory64Length = windowLength,
        };
        return settings.IsGeneration2
            ? common with
            {
                IsGeneration2 = true,
                PciMemory = (uint)Generation2AddressMap.VmBusMemory,
                PciMemoryEnd = (uint)Generation2AddressMap.VmBusMemoryEnd,
                Pm1Event = Generation2AddressMap.Pm1Event,
                Pm1Control = Generation2AddressMap.Pm1Control,
                PmTimer = Generation2AddressMap.PmTimer,
                GeneralPurposeEvent = Generation2AddressMap.GeneralPurposeEvent,
                SleepControl = Generation2AddressMap.SleepControl,
                SleepStatus = Generation2AddressMap.SleepStatus,
                ResetRegister = Generation2AddressMap.Reset,
                ResetValue = PowerLayout.ResetValue,
                SoftOffType = Generation2AddressMap.SoftOffType,
                GenerationEvent = AcpiTables.Generation2Event,
            }
            : common with
            {
                Virtio = (uint)PcAddressMap.Virtio,
                SuspendType = DeviceCatalog.CanSuspend(settings.Personality) ? AcpiPowerManagement.SuspendType : (byte)0,
                VirtioCount = devices.Virtio.MmioCount,
                PciHotPlug = devices.Virtio.CanChange ? PcAddressMap.PciHotPlug : (ushort)0,
            };
    }

    internal DeviceCatalog Devices { get; }

    internal DeviceChanges Changes { get; }

    internal SerialPort Serial0 { get; }

    internal SerialPort Serial1 { get; }

    internal SerialPort? Console { get; }

    internal IReadOnlyList<SerialPort> Ports { get; }

    internal Task<MachineResult> Completion => _completion.Task;

    internal long FirstEntry => _processors.Select(static p => p.FirstEntry).Where(static t => t != 0).DefaultIfEmpty().Min();

    internal bool IsStarted => Volatile.Read(ref _started);

    internal bool IsAsleep => Volatile.Read(ref _asleep);

    internal bool IsPaused => Volatile.Read(ref _paused);

    internal ulong InstructionsRetired
    {
        get
        {
            lock (_gate)
            {
                return _disposed ? _finalInstructions : _execution.InstructionsRetired;
            }
        }
    }

    internal ProcessorCounters Counters
    {
        get
        {
            lock (_gate)
            {
                return _disposed ? _finalCounters : _execution.Counters;
            }
        }
    }

    internal TranslationCounters Translations
    {
        get
        {
            lock (_gate)
            {
                return _disposed ? _finalTranslations : _execution.Translations;
            }
        }
    }

    internal IReadOnlyList<string> WithheldFeatures { get; }

    internal string AcceleratorName => _execution.AcceleratorName;

    internal TimeSpan MachineTime => TimeSpan.FromTicks((long)(_clock.Now / 100));

    /// <summary>Something that a person should know, on the event loop or a disk's thread.</summary>
    internal event Action<string>? Noticed;

    /// <summary>Goes on under another accelerator, running or paused; waits until that is done.</summary>
    /// <returns>Why it cannot be; null if it was done.</returns>
    internal string? MoveTo(IAccelerator target)
    {
        Move move = new(target, null);
        lock (_gate)
        {
            while (_move != null && !_ended)
            {
                Monitor.Wait(_gate);
            }

            if (!_started)
            {
                return Perform(move);
            }

            if (_ended)
            {
                return "the machine has ended";
            }

            _move = move;
            RequestHold();
        }

        _control.Schedule();
        lock (_gate)
        {
            while (!move.Done && !_ended)
            {
                Monitor.Wait(_gate);
            }

            return move.Done ? move.Problem : "the machine has ended";
        }
    }

    internal void Start()
    {
        lock (_gate)
        {
            if (_started)
            {
                throw new InvalidOperationException("The machine has been started before.");
            }

            _started = true;
            if (_end != null)
            {
                return;
            }

            if (_settings.Snapshot != null)
            {
                Devices.AnnounceNetworks();
            }

            Devices.Start();
            _clock.Resume();
            if (Devices.Power.Sleep != SleepState.Working)
            {
                // It was saved asleep: its processors have nothing to execute yet.
                RequestHold();
            }

            foreach (ProcessorLoop processor in _processors)
            {
                processor.Begin();
            }

            Changes.GoOn();
            _loop.Begin();
        }

        // A pause may have been asked for before.
        _control.Schedule();
    }

    internal void RequestEnd(MachineResult result)
    {
        lock (_gate)
        {
            _end ??= result;
            if (!_started)
            {
                _ended = true;
                _completion.TrySetResult(_end);
            }
            else if (!_ended)
            {
                RequestHold();
                _control.Schedule();
            }
        }

        (_settings.Serial0 as IBoundedOutput)?.StopWaiting();
        (_settings.Serial1 as IBoundedOutput)?.StopWaiting();
    }

    /// <summary>Pauses or resumes, and waits until that is done or the machine has ended.</summary>
    internal void SetPaused(bool paused)
    {
        lock (_gate)
        {
            _pauseRequested = paused;
        }

        _control.Schedule();
        lock (_gate)
        {
            while (_started && !_ended && _pauseRequested == paused && _paused != paused)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Does something that reads the guest's memory, which stays meanwhile. Any thread.</summary>
    /// <exception cref="MachineConfigurationException">It has been given back.</exception>
    internal T WithMemory<T>(Func<T> read)
    {
        lock (_memoryUse)
        {
            return Volatile.Read(ref _disposed) ? throw new MachineConfigurationException("The machine has ended.") : read();
        }
    }

    /// <summary>Gives everything back. The machine has ended or was never started.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!_disposed)
            {
                _finalInstructions = _execution?.InstructionsRetired ?? 0;
                _finalCounters = _execution?.Counters ?? default;
                _finalTranslations = _execution?.Translations ?? default;
                _disposed = true;
            }
        }

        lock (_memoryUse)
        {
            // Whoever reads memory has read it; nobody begins to.
        }

        while (_owned.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }
    }

    private T Own<T>(T part)
        where T : IDisposable
    {
        _owned.Push(part);
        return part;
    }

    private void RequestHold()
    {
        foreach (ProcessorLoop processor in _processors)
        {
            processor.RequestHold();
        }
    }

    // On the event loop.
    private void Control()
    {
        bool reset;
        bool pause;
        bool end;
        Move? move;
        Standstill? standstill;
        lock (_gate)
        {
            end = _end != null;
            reset = _resetRequested;
            pause = _pauseRequested;
            _resetRequested = false;
            move = _move;
            standstill = _standstill;
        }

        if (end)
        {
            _loop.Stop();
            return;
        }

        SleepState sleep = Devices.Power.Sleep;
        if (reset || move != null || standstill != null || pause != _paused || sleep != SleepState.Working)
        {
            RequestHold();
            foreach (ProcessorLoop processor in _processors)
            {
                processor.WaitUntilHeld();
            }
        }

        if (reset ? !TryReset() : !TrySleep(sleep))
        {
            return;
        }

        if (move != null)
        {
            Perform(move);
        }

        if (standstill != null)
        {
            Perform(standstill);
        }

        ApplyPause(pause);
        lock (_gate)
        {
            // Whoever asked for something since has the processors held, and another round coming.
            bool moreToDo = _end != null || _resetRequested || _move != null || _standstill != null || _pauseRequested != _paused;
            if (!_paused && !_asleep && !moreToDo)
            {
                foreach (ProcessorLoop processor in _processors)
                {
                    processor.Release();
                }
            }
        }
    }

    // While no processor runs.
    private string? Perform(Move move)
    {
        string? problem;
        lock (_gate)
        {
            problem = _execution.MoveTo(move.Target);
            for (int i = 0; problem == null && i < _processors.Length; i++)
            {
                _processors[i].Replace(_execution.Processors[i]);
            }

            move.Complete(problem);
            _move = _move == move ? null : _move;
            _fallbackRefused |= problem != null && move.Reason != null;
            Monitor.PulseAll(_gate);
        }

        if (move.Reason != null)
        {
            Noticed?.Invoke(problem == null
                ? $"{move.Reason}; the machine goes on under the {move.Target.Name}"
                : $"{move.Reason}; the machine cannot go on under the {move.Target.Name}, because {problem}");
        }

        return problem;
    }

    private void ApplyPause(bool pause)
    {
        if (!pause && IsPaused)
        {
            Devices.SetTime();
        }

        lock (_gate)
        {
            if (pause == _paused)
            {
                return;
            }

            if (pause)
            {
                _clock.Pause();
            }
            else
            {
                GoOn();
            }

            _paused = pause;
            Monitor.PulseAll(_gate);
        }
    }

    // While no processor runs.
    private void GoOn()
    {
        StopNotice.Write(Devices.Personality, _memory, _processors.Length);
        _clock.Resume();
    }

    // Last on the event-loop thread.
    private void OnLoopEnded(Exception? failure)
    {
        if (failure != null)
        {
            RequestEnd(new MachineResult(MachineOutcome.Failed, Message: $"internal error: {failure.GetType().Name}: {failure.Message.ReplaceLineEndings(" ")}", Details: failure.ToString()));
        }

        foreach (ProcessorLoop processor in _processors)
        {
            processor.End();
        }

        Devices.Stop();
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }

        _completion.TrySetResult(_end!);
    }

    /// <summary>A change of accelerators that was asked for.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="reason">Why the machine itself wants it; null if somebody else does.</param>
    private sealed class Move(IAccelerator target, string? reason)
    {
        internal IAccelerator Target { get; } = target;

        internal string? Reason { get; } = reason;

        internal bool Done { get; private set; }

        internal string? Problem { get; private set; }

        internal void Complete(string? problem)
        {
            Problem = problem;
            Done = true;
        }
    }
}
