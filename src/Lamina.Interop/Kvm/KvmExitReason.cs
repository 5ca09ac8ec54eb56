namespace Lamina.Interop.Kvm;

/// <summary>KVM_EXIT_* numbers.</summary>
public enum KvmExitReason
{
    /// <summary>The hardware gave a reason that KVM does not know.</summary>
    Unknown = 0,

    /// <summary>A port access.</summary>
    Port = 2,

    /// <summary>A debug event of the host.</summary>
    Debug = 4,

    /// <summary>HLT.</summary>
    Halt = 5,

    /// <summary>A memory-mapped access.</summary>
    Mmio = 6,

    /// <summary>An interrupt can be delivered now.</summary>
    InterruptWindow = 7,

    /// <summary>Triple fault.</summary>
    Shutdown = 8,

    /// <summary>The hardware refuses the guest's state.</summary>
    FailEntry = 9,

    /// <summary>A signal.</summary>
    Interrupted = 10,

    /// <summary>The task priority fell.</summary>
    TaskPriority = 11,

    /// <summary>KVM cannot go on; the number of the error says why.</summary>
    InternalError = 17,

    /// <summary>A level-triggered interrupt has ended, of which the I/O APIC is to know.</summary>
    EndOfInterrupt = 26,

    /// <summary>RDMSR.</summary>
    ReadMsr = 29,

    /// <summary>WRMSR.</summary>
    WriteMsr = 30,

    /// <summary>A dirty ring is full.</summary>
    DirtyRingFull = 31,

    /// <summary>VMCALL or VMMCALL, where these have been asked for.</summary>
    Xen = 34,
}
