using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>The kernel's KVM. What it cannot emulate the interpreter executes in its place.</summary>
public sealed class KvmAccelerator : IAccelerator, IDisposable
{
    // Below the firmware's place at the end of the first 4 GiB, where there is neither RAM nor a device.
    private const ulong ReservedPages = 0xfffb_c000;

    // KVM's local APIC timers count nanoseconds.
    private const ulong KvmTimerFrequency = 1_000_000_000;

    private static readonly (int Number, string Name)[] Needed =
    [
        (KvmCapability.UserMemory, "KVM_CAP_USER_MEMORY"),
        (KvmCapability.ExtendedCpuid, "KVM_CAP_EXT_CPUID"),
        (KvmCapability.Events, "KVM_CAP_VCPU_EVENTS"),
        (KvmCapability.DebugRegisters, "KVM_CAP_DEBUGREGS"),
        (KvmCapability.ExtendedState, "KVM_CAP_XSAVE"),
        (KvmCapability.ExtendedControl, "KVM_CAP_XCRS"),
        (KvmCapability.GetTscFrequency, "KVM_CAP_GET_TSC_KHZ"),
        (KvmCapability.SynchronizedRegisters, "KVM_CAP_SYNC_REGS"),
        (KvmCapability.ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
        (KvmCapability.UserSpaceMsr, "KVM_CAP_X86_USER_SPACE_MSR"),
        (KvmCapability.MsrFilter, "KVM_CAP_X86_MSR_FILTER"),
    ];

    // What controllers in KVM need. KVM_CAP_IRQCHIP and KVM_CAP_SPLIT_IRQCHIP are looked at one by one.
    private static readonly (int Number, string Name)[] NeededOfControllers =
    [
        (KvmCapability.RunStates, "KVM_CAP_MP_STATE"),
        (KvmCapability.Routes, "KVM_CAP_IRQ_ROUTING"),
        (KvmCapability.TscDeadline, "KVM_CAP_TSC_DEADLINE_TIMER"),
    ];

    private readonly KvmDevice _device;
    private readonly KvmOptions _options;
    private readonly KvmCpuid _cpuid;
    private readonly bool _anyTscFrequency;
    private readonly ulong _tscFrequency;
    private KvmParts? _spare;

    /// <summary>Opens <c>/dev/kvm</c>.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    /// <exception cref="NotSupportedException">This KVM lacks something that Lamina needs; the message names it.</exception>
    public KvmAccelerator(KvmOptions? options = null)
        : this(KvmCalls.Instance, options)
    {
    }

    internal KvmAccelerator(IKvmCalls calls, KvmOptions? options = null)
    {
        _options = options ?? new KvmOptions();
        _device = KvmDevice.Open(calls);
        try
        {
            Check(_device);
            Controllers = ChooseControllers();
            _cpuid = new KvmCpuid(_device.GetSupportedCpuid());
            _anyTscFrequency = _device.GetCapability(KvmCapability.TscControl) != 0;

            // Only a processor knows the frequency, so the first machine's first processor is made now.
            _spare = CreateParts();
            int kilohertz = _spare.FirstProcessor.GetTscKilohertz();
            SetsTime = CanSetTime(_spare.FirstProcessor);
            _tscFrequency = kilohertz > 0 ? (ulong)kilohertz * 1000 : throw new SystemCallException(KvmRequest.GetName(KvmRequest.GetTscKilohertz), -kilohertz);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name => "kvm";

    /// <inheritdoc/>
    public ulong? TscFrequency => _anyTscFrequency ? null : _tscFrequency;

    /// <inheritdoc/>
    public int PhysicalAddressBits => _cpuid.PhysicalAddressBits;

    /// <summary>Which interrupt controllers its machines have in KVM: not <see cref="KvmControllers.Auto"/>.</summary>
    public KvmControllers Controllers { get; }

    /// <summary>Guests' time-stamp counters can be set. A KVM without hardware shows them the host's.</summary>
    internal bool SetsTime { get; }

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid) => _cpuid.Restrict(HasClock ? cpuid : ParavirtualLeaves.Remove(cpuid), SetsTime);

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Extras => HasClock ? KvmCpuid.Clock : [];

    /// <inheritdoc/>
    public bool AnswersForKvm => true;

    /// <summary>Whether guests may call their hypervisor by VMCALL and VMMCALL: otherwise KVM answers these itself, as its own hypercalls.</summary>
    public bool HandsOverHypercalls => (_device.GetCapability(KvmCapability.XenGuests) & KvmMachine.InterceptedHypercalls) != 0;

    /// <inheritdoc/>
    public string? FindObstacle(IPersonality personality)
    {
        ArgumentNullException.ThrowIfNull(personality);
        return personality.HasHypercalls && !personality.HasHypercallPage ? $"it does not carry the hypervisor '{personality.Name}' that the guest sees"
            : personality.NeedsLocalApics && _options.Controllers is KvmControllers.Split or KvmControllers.On
                ? $"it has local APICs of its own, and the hypervisor '{personality.Name}' that the guest sees needs the machine's"
            : _options.Clock ? $"its guests have KVM's clock, which the hypervisor '{personality.Name}' does not have"
            : personality.UsesHypercallInstruction && !HandsOverHypercalls
                ? "the guest may be calling its hypervisor by VMCALL or VMMCALL, which this KVM answers itself (it lacks KVM_CAP_XEN_HVM)"
            : null;
    }

    private bool HasClock => _options.Clock && Controllers != KvmControllers.Off && _device.GetCapability(KvmCapability.ClockAdjustment) != 0;

    /// <inheritdoc/>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public IPartition CreatePartition(PartitionSettings settings)
    {
        if (settings.Personality is { } personality && FindObstacle(personality) is { } obstacle)
        {
            throw new NotSupportedException(obstacle);
        }

        KvmParts parts = Interlocked.Exchange(ref _spare, null) ?? CreateParts();
        if (settings.Personality is { NeedsLocalApics: true } && parts.Controllers != KvmControllers.Off)
        {
            parts.Dispose();
            parts = CreateParts(KvmControllers.Off);
        }

        if (parts.Controllers != KvmControllers.Off && settings.LocalTimerFrequency != KvmTimerFrequency)
        {
            parts.Dispose();
            parts = _options.Controllers == KvmControllers.Auto
                ? CreateParts(KvmControllers.Off)
                : throw new NotSupportedException($"KVM's local APIC timers run at {KvmTimerFrequency} Hz, and the guest is told of {settings.LocalTimerFrequency} Hz; leave the interrupt controllers to Lamina.");
        }

        try
        {
            return new KvmPartition(parts, settings, _anyTscFrequency, _device.GetCapability(KvmCapability.ExitOnEmulationFailure) != 0);
        }
        catch
        {
            parts.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Interlocked.Exchange(ref _spare, null)?.Dispose();
        _device.Dispose();
    }

    private static void Check(KvmDevice device)
    {
        int version = device.ApiVersion;
        if (version != KvmDevice.ExpectedApiVersion)
        {
            throw new NotSupportedException($"{KvmDevice.DefaultPath} answers version {version} of its interface, not {KvmDevice.ExpectedApiVersion}.");
        }

        string[] missing = [.. Needed.Where(c => device.GetCapability(c.Number) == 0).Select(c => c.Name)];
        if (missing.Length > 0)
        {
            throw new NotSupportedException($"the KVM of this kernel is too old or too small: it lacks {string.Join(", ", missing)}.");
        }
    }

    private static bool CanSetTime(KvmVirtualProcessor processor)
    {
        // Left there: it is set before the processor runs, and 0 means "as it is" to KVM.
        const ulong Ahead = 1UL << 60;
        return processor.TrySetMsr(KvmMsrs.TimeStampCounter, Ahead) && processor.TryGetMsr(KvmMsrs.TimeStampCounter, out ulong value) && value >= Ahead;
    }

    // Messages are sent directly, or else as events.
    private string[] FindMissing(int capability, string name)
    {
        IEnumerable<string> missing = NeededOfControllers.Prepend((capability, name)).Where(c => _device.GetCapability(c.Item1) == 0).Select(static c => c.Item2);
        bool sends = _device.GetCapability(KvmCapability.Messages) != 0 || _device.GetCapability(KvmCapability.InterruptEvents) != 0;
        return [.. missing, .. sends ? (string[])[] : ["KVM_CAP_SIGNAL_MSI and KVM_CAP_IRQFD"]];
    }

    private KvmControllers ChooseControllers()
    {
        KvmControllers wanted = _options.Controllers == KvmControllers.Auto ? KvmControllers.Split : _options.Controllers;
        string[] missing = wanted switch
        {
            KvmControllers.Split => FindMissing(KvmCapability.SplitControllers, "KVM_CAP_SPLIT_IRQCHIP"),
            KvmControllers.On => [.. FindMissing(KvmCapability.Controllers, "KVM_CAP_IRQCHIP"), .. _device.GetCapability(KvmCapability.Timer) == 0 ? (string[])["KVM_CAP_PIT2"] : []],
            _ => [],
        };
        return missing.Length == 0 ? wanted
            : _options.Controllers == KvmControllers.Auto ? KvmControllers.Off
            : throw new NotSupportedException($"this kernel's KVM cannot have the interrupt controllers: it lacks {string.Join(", ", missing)}.");
    }

    // Before the processors are made. 0: there are none.
    private static int EnableDirtyRings(KvmMachine machine)
    {
        foreach (int capability in (int[])[KvmCapability.DirtyRingOrdered, KvmCapability.DirtyRing])
        {
            if (machine.GetCapability(capability) >= KvmDirtyRing.Entries * KvmDirtyRing.EntrySize)
            {
                machine.Enable(capability, KvmDirtyRing.Entries * KvmDirtyRing.EntrySize);
                return KvmDirtyRing.Entries;
            }
        }

        return 0;
    }

    private KvmParts CreateParts() => CreateParts(Controllers);

    private KvmParts CreateParts(KvmControllers controllers)
    {
        KvmMachine machine = _device.CreateMachine();
        try
        {
            machine.SetReservedPages(ReservedPages);
            if (controllers == KvmControllers.Split)
            {
                machine.CreateLocalApics(KvmInterrupts.PinCount);
            }
            else if (controllers == KvmControllers.On)
            {
                machine.CreateControllers();
                machine.CreateTimer();
            }

            int entries = _options.DirtyRings ? EnableDirtyRings(machine) : 0;
            return new KvmParts(machine, machine.CreateProcessor(0), controllers, entries);
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }
}
