namespace Lamina.Interop.Kvm;

/// <summary>KVM_CAP_* numbers that Lamina asks for.</summary>
public static class KvmCapability
{
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
