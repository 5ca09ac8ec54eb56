using Lamina.Machine.Interrupts;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen;

/// <summary>What the hypervisor knows of one processor. With the domain's lock held.</summary>
internal sealed partial class XenProcessor(PersonalitySettings settings, EventChannels events, ProcessorInfo info, int index)
{
    /// <summary>Its struct vcpu_info.</summary>
    internal ProcessorInfo Info { get; } = info;

    /// <summary>Its struct vcpu_runstate_info.</summary>
    internal RunState RunState { get; } = new(settings.Memory);

    /// <summary>The timer that fires once.</summary>
    internal XenTimer SingleShot { get; } = new(settings.Gate, settings.Clock, events, index);

    /// <summary>The timer that fires again and again.</summary>
    internal XenTimer Periodic { get; } = new(settings.Gate, settings.Clock, events, index);

    /// <summary>The end of its waiting for event channels.</summary>
    internal PollLimit PollLimit { get; } = new(settings.Gate, settings.Clock);

    /// <summary>Its local APIC.</summary>
    internal ILocalInterruptController? Controller { get; set; }

    /// <summary>The processor itself.</summary>
    internal IProcessorSignals? Signals { get; set; }

    /// <summary>What it begins with, if <see cref="IsInitialized"/>.</summary>
    internal HvmContext Context { get; } = new();

    /// <summary>Whether the guest has said what it begins with, and it has not begun.</summary>
    internal bool IsInitialized { get; set; }

    /// <summary>Where else the clock is wanted; 0 for nowhere.</summary>
    internal ulong TimeArea { get; set; }

    internal void Reset()
    {
        Info.Reset();
        RunState.Reset();
        SingleShot.Cancel();
        Periodic.Cancel();
        PollLimit.Cancel();
        TimeArea = 0;
        IsInitialized = false;
        (Controller as IDirectVectors)?.ClearDirect();
    }

    internal void Start()
    {
        SingleShot.Start();
        Periodic.Start();
        PollLimit.Start();
    }

    internal void Stop()
    {
        SingleShot.Stop();
        Periodic.Stop();
        PollLimit.Stop();
    }
}
