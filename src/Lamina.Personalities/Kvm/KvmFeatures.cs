namespace Lamina.Personalities.Kvm;

/// <summary>EAX of leaf 4000_0001H (Linux, Documentation/virt/kvm/x86/cpuid.rst).</summary>
[Flags]
internal enum KvmFeatures : uint
{
    None = 0,

    /// <summary>The clock at MSRs 11H and 12H.</summary>
    ClockSource = 1 << 0,

    /// <summary>Port accesses need no delays.</summary>
    NoIoDelay = 1 << 1,

    /// <summary>The clock at the MSRs of KVM's own range.</summary>
    ClockSource2 = 1 << 3,

    /// <summary>Stolen time.</summary>
    StealTime = 1 << 5,

    /// <summary>Interrupts are ended by a flag in memory.</summary>
    PvEndOfInterrupt = 1 << 6,

    /// <summary>KVM_HC_KICK_CPU wakes a processor from HLT.</summary>
    PvUnhalt = 1 << 7,

    /// <summary>A processor that does not execute can be told in memory to drop its translations when it does.</summary>
    PvTlbFlush = 1 << 9,

    /// <summary>KVM_HC_SEND_IPI.</summary>
    PvSendIpi = 1 << 11,

    /// <summary>The guest can tell that it polls itself.</summary>
    PollControl = 1 << 12,

    /// <summary>KVM_HC_SCHED_YIELD lets another processor have the host's.</summary>
    PvSchedYield = 1 << 13,

    /// <summary>The clock never goes backwards from one processor to another.</summary>
    ClockSourceStable = 1 << 24,
}
