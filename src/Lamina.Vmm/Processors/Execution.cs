using System.Globalization;
using Lamina.Chipset.Interrupts;
using Lamina.Interop;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Processors;

/// <summary>What executes the guest at present: an accelerator's partition and its processors. They can be exchanged for another accelerator's while the machine stands still.</summary>
internal sealed class Execution : IDisposable
{
    private readonly PartitionSettings _settings;
    private readonly LocalApic[] _controllers;
    private IPartition? _partition;
    private IVirtualProcessor[] _processors = [];
    private ulong _retiredBefore;
    private ProcessorCounters _countedBefore;

    /// <summary>Makes partition and processors, in the state after power-on.</summary>
    /// <exception cref="SystemCallException">The host refuses something.</exception>
    internal Execution(IAccelerator accelerator, PartitionSettings settings, LocalApic[] controllers)
    {
        _settings = settings;
        _controllers = controllers;
        AcceleratorName = accelerator.Name;
        try
        {
            _partition = accelerator.CreatePartition(settings);
            _processors = Create(_partition);
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

    /// <inheritdoc/>
    public void Dispose() => Release(_partition, _processors);

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
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException or OutOfMemoryException)
        {
            Release(partition, processors);
            return e.Message;
        }

        ProcessorState state = new();
        for (int i = 0; i < processors.Length; i++)
        {
            _processors[i].Save(state);
            if (!processors[i].Restore(state))
            {
                Release(partition, processors);
                return $"it refuses the state of processor {i}";
            }
        }

        _retiredBefore = InstructionsRetired;
        _countedBefore = Counters;
        Release(_partition, _processors);
        (_partition, _processors, AcceleratorName) = (partition, processors, target.Name);
        return null;
    }

    private static ProcessorCounters Add(ProcessorCounters a, ProcessorCounters b) => new(a.Exits + b.Exits, a.AssistedInstructions + b.AssistedInstructions);

    private static void Release(IPartition? partition, IVirtualProcessor[] processors)
    {
        foreach (IVirtualProcessor processor in processors)
        {
            processor.Dispose();
        }

        partition?.Dispose();
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
