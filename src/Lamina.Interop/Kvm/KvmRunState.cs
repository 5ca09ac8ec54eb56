namespace Lamina.Interop.Kvm;

/// <summary>KVM_MP_STATE_* of processors whose local APIC KVM has.</summary>
public enum KvmRunState
{
    /// <summary>It runs.</summary>
    Runnable = 0,

    /// <summary>It was never started.</summary>
    Uninitialized = 1,

    /// <summary>It has had INIT, and waits for the start-up message.</summary>
    InitReceived = 2,

    /// <summary>HLT.</summary>
    Halted = 3,

    /// <summary>It has had the start-up message.</summary>
    StartUpReceived = 4,
}
