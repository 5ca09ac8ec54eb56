using System.Globalization;
using Lamina.Chipset.Interrupts;
using Lamina.Interop;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Processors;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm.Processors;

/// <summary>What executes the guest at present: an accelerator's partition and its processors. They can be exchanged for another accelerator's while the machine stands still.</summary>
internal sealed class Execution : IDisposable
{
    private readonly IAccelerator _first;
    private readonly PartitionSettings _settings;
    private readonly LocalApic[] _controllers;
    private readonly ApicBus _bus;
    private IPartition? _partition;
    private IVirtualProcessor[] _processors = [];
    private ulong _retiredBefore;
    private ProcessorCounters _countedBefore;
    private TranslationCounters _translatedBefore;
    private bool _tracksWrites;

    /// <summary>Makes partition and processors, in the state after power-on.</summary>
    /// <exception cref="SystemCallException">The host refuses something.</exception>
    internal Execution(IAccelerator accelerator, PartitionSettings settings, LocalApic[] controllers, ApicBus bus)
    {
        _bus = bus;
        _first = accelerator;
        _settings = settings;
        _controllers = controllers;
        AcceleratorName = accelerator.Name;
        try
        {
            _partition = accelerator.CreatePartition(settings);
            _processors = Create(_partition);
            _bus.Connect(_partition.HostedInterrupts);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Who executes.</summary>
    internal string AcceleratorName { get; private set; }

    /// <summary>The processors.</summary>
    internal IReadOnlyList<IVirtualProcessor> Processors => _processors;

    /// <summary>Instructions retired, as far as accelerators count them.</summary>
    internal ulong InstructionsRetired => _processors.Aggregate(_retiredBefore, static (sum, p) => sum + p.InstructionsRetired);

    /// <summary>The counters of all processors, and of those before them.</summary>
    internal ProcessorCounters Counters => _processors.Aggregate(_countedBefore, static (sum, p) => Add(sum, p.Counters));

    /// <summary>What was translated, also by those before.</summary>
    internal TranslationCounters Translations
    {
        get
        {
            TranslationCounters now = _partition?.Translations ?? default;
            return new TranslationCounters(_translatedBefore.Blocks + now.Blocks, _translatedBefore.GuestBytes + now.GuestBytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Devices may still be sending.
        _bus.Connect(null);
        Release(_partition, _processors);
    }

    /// <summary>Goes on under another accelerator. While no processor runs.</summary>
    /// <returns>Why that cannot be, with everything as it was; null if it was done.</returns>
    internal string? MoveTo(IAccelerator target)
    {
        if (FindObstacle(target) is { } obstacle)
        {
            return obstacle;
        }

        IPartition? partition = null;
        IVirtualProcessor[] processors = [];
        try
        {
            partition = target.CreatePartition(_settings);
            processors = Create(partition);
            if (_tracksWrites)
            {
                _partition!.CollectWrites();
                partition.TrackWrites();
            }
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException or OutOfMemoryException)
        {
            Release(partition, processors);
            return e.Message;
        }

        // What arrives from here on, the local APICs keep for the one or the other.
        ProcessorState[] states = new ProcessorState[processors.Length];
        IHostedInterrupts? hosted = _partition!.HostedInterrupts;
        Save(states);
        _bus.Connect(null);
        if (hosted != null)
        {
            Save(states);
        }

        LocalApicState[] records = [.. _controllers.Select(static c => Copy(c))];
        for (int i = 0; i < processors.Length; i++)
        {
            if (!processors[i].Restore(states[i]))
            {
                Return(states, records);
                _bus.Connect(hosted);
                Release(partition, processors);
                return $"it refuses the state of processor {i}";
            }
        }

        _bus.Connect(partition.HostedInterrupts);
        _retiredBefore = InstructionsRetired;
        _countedBefore = Counters;
        _translatedBefore = Translations;
        Release(_partition, _processors);
        (_partition, _processors, AcceleratorName) = (partition, processors, target.Name);
        return null;
    }

    /// <summary>Has something done with the processors' states, while all interrupt controllers are the machine's; afterwards they are where they were. While no processor runs.</summary>
    internal void WithSavedState(Action<ProcessorState[]> use)
    {
        ProcessorState[] states = new ProcessorState[_processors.Length];
        IHostedInterrupts? hosted = _partition!.HostedInterrupts;
        Save(states);
        if (hosted == null)
        {
            use(states);
            return;
        }

        _bus.Connect(null);
        Save(states);
        LocalApicState[] records = [.. _controllers.Select(static c => Copy(c))];
        try
        {
            use(states);
        }
        finally
        {
            Return(states, records);
            _bus.Connect(hosted);
        }
    }

    /// <summary>Marks what processors have written as dirty, as far as that is not done yet. While no processor runs.</summary>
    internal void CollectWrites() => _partition!.CollectWrites();

    /// <summary>Has pages that are clean now marked as dirty when a processor writes them. While no processor runs.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    internal void TrackWrites()
    {
        if (!_tracksWrites)
        {
            _partition!.TrackWrites();
            _tracksWrites = true;
        }

        foreach (IVirtualProcessor processor in _processors)
        {
            processor.ForgetWritablePages();
        }
    }

    /// <summary>Puts interrupt controllers, by <paramref name="restoreDevices"/>, and then the processors into a saved state. Before any processor has run.</summary>
    /// <exception cref="SnapshotException">A processor cannot be in its state, or the accelerator cannot go on with what the guest asks of its hypervisor.</exception>
    internal void Restore(ProcessorState[] states, Action restoreDevices)
    {
        _bus.Connect(null);
        restoreDevices();
        if (_settings.Personality is { } personality && _first.FindObstacle(personality) is { } obstacle)
        {
            throw new SnapshotException($"the accelerator '{AcceleratorName}' cannot go on with it: {obstacle}");
        }

        for (int i = 0; i < states.Length; i++)
        {
            if (!_processors[i].Restore(states[i]))
            {
                throw new SnapshotException($"the accelerator '{AcceleratorName}' refuses the state of processor {i}");
            }
        }

        _bus.Connect(_partition!.HostedInterrupts);
    }

    private static ProcessorCounters Add(ProcessorCounters a, ProcessorCounters b) => new(
        a.Exits + b.Exits,
        a.AssistedInstructions + b.AssistedInstructions,
        a.PortExits + b.PortExits,
        a.MmioExits + b.MmioExits,
        a.MsrExits + b.MsrExits,
        a.HaltExits + b.HaltExits);

    private static void Release(IPartition? partition, IVirtualProcessor[] processors)
    {
        foreach (IVirtualProcessor processor in processors)
        {
            processor.Dispose();
        }

        partition?.Dispose();
    }

    private static LocalApicState Copy(LocalApic controller)
    {
        LocalApicState state = new();
        controller.HandOver(state);
        controller.TakeBack(state);
        return state;
    }

    private void Save(ProcessorState[] states)
    {
        for (int i = 0; i < states.Length; i++)
        {
            _processors[i].Save(states[i] = new ProcessorState());
        }
    }

    // Everything as it was. The processors had these states, so they take them.
    private void Return(ProcessorState[] states, LocalApicState[] records)
    {
        for (int i = 0; i < states.Length; i++)
        {
            _controllers[i].TakeBack(records[i]);
            _processors[i].Restore(states[i]);
        }
    }

    private string? FindObstacle(IAccelerator target)
    {
        if (target.TscFrequency is { } frequency && frequency != _settings.TscFrequency)
        {
            return string.Create(
                CultureInfo.InvariantCulture,
                $"its time-stamp counters run at {frequency / 1e6:F0} MHz alone, and the guest knows them at {_settings.TscFrequency / 1e6:F0} MHz");
        }

        if (target.PhysicalAddressBits < _settings.PhysicalAddressBits)
        {
            return $"it has {target.PhysicalAddressBits} physical address bits, and the guest has {_settings.PhysicalAddressBits}";
        }

        if (_settings.Personality is { } personality && target.FindObstacle(personality) is { } obstacle)
        {
            return obstacle;
        }

        return target.Restrict(_settings.Cpuid).SequenceEqual(_settings.Cpuid) ? null : "it lacks processor features that the guest may be using";
    }

    private IVirtualProcessor[] Create(IPartition partition)
    {
        IVirtualProcessor[] processors = new IVirtualProcessor[_controllers.Length];
        int made = 0;
        try
        {
            for (; made < processors.Length; made++)
            {
                processors[made] = partition.CreateProcessor(made);
                partition.ConnectInterruptController(processors[made], _controllers[made]);
            }
        }
        catch
        {
            Release(null, processors[..made]);
            throw;
        }

        return processors;
    }
}
