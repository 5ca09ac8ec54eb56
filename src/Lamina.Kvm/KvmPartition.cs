using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>One VM of KVM. Where the interrupt controllers are the machine's, KVM is told of one interrupt at a time.</summary>
internal sealed partial class KvmPartition : IPartition, IOverlayListener
{
    // KVM_MSR_EXIT_REASON_INVAL, UNKNOWN and FILTER.
    private const ulong AllMsrReasons = 7;
    private readonly KvmMachine _machine;
    private readonly bool _setsTscFrequency;
    private readonly KvmDoorbells? _doorbells;
    private readonly KvmGatheredWrites? _gathered;
    private readonly int _writeRingPage;
    private readonly int _ringEntries;
    private readonly List<KvmProcessor> _processors = [];
    private KvmVirtualProcessor? _first;

    /// <summary>Makes one of <paramref name="parts"/>, which it then owns.</summary>
    public KvmPartition(KvmParts parts, PartitionSettings settings, bool setsTscFrequency, bool emulationExits)
    {
        (_machine, _first) = (parts.Machine, parts.FirstProcessor);
        Interrupts = parts.Controllers == KvmControllers.Off ? null : new KvmInterrupts(_machine, parts.Controllers == KvmControllers.On);
        Settings = settings;
        CounterLead = new KvmCounterLead(settings.TscFrequency);
        _ringEntries = parts.DirtyRingEntries;
        _setsTscFrequency = setsTscFrequency;
        _machine.Enable(KvmCapability.UserSpaceMsr, AllMsrReasons);
        KvmMsrSpan[] intercepted = [.. Interrupts is null ? KvmMsrs.OfController : [], .. settings.Personality is null ? [] : KvmMsrs.OfPersonality];
        if (intercepted.Length > 0)
        {
            _machine.InterceptMsrs(intercepted);
        }

        if (settings.Personality is { HasHypercallPage: true } && HandsOverHypercalls(_machine))
        {
            _machine.InterceptHypercalls(KvmMsrs.HypercallPage);
        }

        if (emulationExits)
        {
            // Otherwise a program in ring 3 gets #UD for an instruction that KVM does not know.
            _machine.Enable(KvmCapability.ExitOnEmulationFailure, 1);
        }

        MapMemory(0);
        if (_machine.GetCapability(KvmCapability.Doorbells) != 0)
        {
            _doorbells = new KvmDoorbells(_machine);
            settings.Mmio.SetListener(_doorbells);
        }

        _writeRingPage = _machine.GetCapability(KvmCapability.CoalescedMemory);
        if (_writeRingPage != 0 && _machine.GetCapability(KvmCapability.CoalescedPorts) != 0)
        {
            _gathered = new KvmGatheredWrites(_machine, settings.Ports, ports: true);
            settings.Ports.SetListener(_gathered);
        }

        if (!settings.Memory.TryAddOverlayListener(this))
        {
            throw new NotSupportedException("KVM refuses memory where the guest has it, beside its RAM.");
        }
    }

    public PartitionSettings Settings { get; }

    /// <summary>How the processors' time-stamp counters were set last.</summary>
    public KvmCounterLead CounterLead { get; }

    /// <summary>Its processors. They are all made before one runs.</summary>
    public ReadOnlySpan<KvmProcessor> Processors => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_processors);

    /// <summary>Whether VMCALL and VMMCALL can come here, and not to KVM's own hypercalls.</summary>
    public static bool HandsOverHypercalls(KvmMachine machine) => (machine.GetCapability(KvmCapability.XenGuests) & KvmMachine.InterceptedHypercalls) != 0;

    /// <summary>Guests have KVM's paravirtual clock.</summary>
    public bool HasClock => Settings.Cpuid.Any(static e => e.Leaf == ParavirtualLeaves.KvmFeatures);

    /// <summary>Has KVM's paravirtual clock show the machine clock.</summary>
    public void SetClock() => _machine.SetClock(Settings.Clock.Now);

    /// <summary>How often KVM took a doorbell itself.</summary>
    public ulong Rings => _doorbells?.Rings ?? 0;

    /// <summary>The interrupt controllers that KVM has; null if it has none.</summary>
    public KvmInterrupts? Interrupts { get; }

    /// <inheritdoc/>
    public IHostedInterrupts? HostedInterrupts => Interrupts;

    /// <summary>What the interpreter is made of where it has to help. A KVM without hardware shows guests the host's features whatever it is told, and so they are to work.</summary>
    public PartitionSettings AssistSettings => KvmHost.HasHardware ? Settings : Settings with { Cpuid = KvmCpuid.WithHostFeatures(Settings.Cpuid) };

    /// <inheritdoc/>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public IVirtualProcessor CreateProcessor(int index)
    {
        KvmVirtualProcessor processor = (index == 0 ? Interlocked.Exchange(ref _first, null) : null) ?? _machine.CreateProcessor(index);
        try
        {
            if (_setsTscFrequency && processor.SetTscKilohertz((uint)(Settings.TscFrequency / 1000)) is var error and < 0)
            {
                throw new SystemCallException(KvmRequest.GetName(KvmRequest.SetTscKilohertz), -error);
            }

            if (_ringEntries != 0)
            {
                _rings.Add(new KvmDirtyRing(processor));
            }

            KvmProcessor made = new(this, processor, index);
            _processors.Add(made);
            Interrupts?.Add(made);
            return made;
        }
        catch
        {
            processor.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">KVM has the local APICs, and this one cannot be handed over.</exception>
    public void ConnectInterruptController(IVirtualProcessor processor, ILocalInterruptController controller)
    {
        if (Interrupts is not null && controller is not ILocalApicRecord)
        {
            throw new ArgumentException("KVM has the local APICs, and this one cannot be handed over to it.", nameof(controller));
        }

        ((KvmProcessor)processor).Controller = controller;
    }

    /// <summary>Starts or ends the logging of guest writes.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void SetDirtyLog(bool enabled) => MapMemory(enabled ? KvmMachine.LogDirtyPages : 0);

    // Their slots are those after the regions'. What is written there is in no image of RAM and so not logged.
    bool IOverlayListener.TryMap(int page, ulong address, nint host) => _machine.TrySetMemory(SlotOf(page), 0, address, GuestMemory.PageSize, host) >= 0;

    void IOverlayListener.Unmap(int page) => _ = _machine.TrySetMemory(SlotOf(page), 0, 0, 0, 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_doorbells is not null)
        {
            Settings.Mmio.RemoveListener(_doorbells);
            _doorbells.Dispose();
        }

        if (_gathered is not null)
        {
            Settings.Ports.RemoveListener(_gathered);
        }

        Settings.Memory.RemoveOverlayListener(this);
        Interrupts?.Dispose();
        _first?.Dispose();
        _machine.Dispose();
    }

    /// <summary>Does what KVM has gathered. On a processor's thread.</summary>
    public unsafe void DrainGathered(KvmVirtualProcessor processor) => _gathered?.Drain(processor.GetWriteRing(_writeRingPage));

    private uint SlotOf(int page) => (uint)(Settings.Memory.Regions.Length + page);

    private void MapMemory(uint flags)
    {
        for (int n = 0; n < Settings.Memory.Regions.Length; n++)
        {
            GuestMemoryRegion region = Settings.Memory.Regions[n];
            _machine.SetMemory((uint)n, flags, region.Address, region.Length, region.HostAddress);
        }
    }
}
