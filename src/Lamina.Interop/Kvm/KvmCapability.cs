namespace Lamina.Interop.Kvm;

/// <summary>KVM_CAP_* numbers that Lamina asks for.</summary>
public static class KvmCapability
{
    /// <summary>The interrupt controllers.</summary>
    public const int Controllers = 0;

    /// <summary>The run state of processors can be read and set.</summary>
    public const int RunStates = 14;

    /// <summary>Memory-mapped writes can be gathered; the value is the page of the ring.</summary>
    public const int CoalescedMemory = 15;

    /// <summary>Global system interrupts can be routed.</summary>
    public const int Routes = 25;

    /// <summary>Events raise interrupts.</summary>
    public const int InterruptEvents = 32;

    /// <summary>The interval timer.</summary>
    public const int Timer = 33;

    /// <summary>Writes signal events.</summary>
    public const int Doorbells = 36;

    /// <summary>Guests of Xen; the value says what is done for them (KVM_XEN_HVM_CONFIG_*).</summary>
    public const int XenGuests = 38;

    /// <summary>The paravirtual clock can be read and set.</summary>
    public const int ClockAdjustment = 39;

    /// <summary>Local APIC timers by the time-stamp counter.</summary>
    public const int TscDeadline = 72;

    /// <summary>Messages can be sent.</summary>
    public const int Messages = 77;

    /// <summary>Events by writes of any length.</summary>
    public const int DoorbellsOfAnyLength = 122;

    /// <summary>Local APICs without the other interrupt controllers.</summary>
    public const int SplitControllers = 121;

    /// <summary>How x2APIC identifiers are told.</summary>
    public const int ExtendedApicInterface = 129;

    /// <summary>Port writes can be gathered.</summary>
    public const int CoalescedPorts = 162;

    /// <summary>A ring of dirty pages; the value is its largest size.</summary>
    public const int DirtyRing = 192;

    /// <summary>The same, with ordered accesses.</summary>
    public const int DirtyRingOrdered = 223;

    /// <summary>Guest RAM at addresses of this process.</summary>
    public const int UserMemory = 3;

    /// <summary>Extended CPUID tables.</summary>
    public const int ExtendedCpuid = 7;

    /// <summary>Most processors of a VM.</summary>
    public const int MaximumProcessors = 66;

    /// <summary>Events that await delivery can be read and set.</summary>
    public const int Events = 41;

    /// <summary>Debug registers.</summary>
    public const int DebugRegisters = 50;

    /// <summary>The XSAVE area.</summary>
    public const int ExtendedState = 55;

    /// <summary>XCR0.</summary>
    public const int ExtendedControl = 56;

    /// <summary>The time-stamp counter can have any frequency.</summary>
    public const int TscControl = 60;

    /// <summary>The frequency of the time-stamp counter is known.</summary>
    public const int GetTscFrequency = 61;

    /// <summary>Registers in the shared page.</summary>
    public const int SynchronizedRegisters = 74;

    /// <summary>A flag in the shared page makes KVM_RUN return at once.</summary>
    public const int ImmediateExit = 136;

    /// <summary>Accesses to MSRs that KVM lacks come to us.</summary>
    public const int UserSpaceMsr = 188;

    /// <summary>So do those that are filtered.</summary>
    public const int MsrFilter = 189;

    /// <summary>Instructions of programs that cannot be emulated come to us too.</summary>
    public const int ExitOnEmulationFailure = 204;

    /// <summary>Size of the XSAVE area.</summary>
    public const int ExtendedStateSize = 208;
}
