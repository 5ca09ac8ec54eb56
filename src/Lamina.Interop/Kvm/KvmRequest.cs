namespace Lamina.Interop.Kvm;

/// <summary>Request numbers of the KVM interface (Linux, include/uapi/linux/kvm.h): direction, size of the structure, 0xAE, number.</summary>
public static class KvmRequest
{
    /// <summary>KVM_GET_API_VERSION, on the device.</summary>
    public const uint GetApiVersion = 0xae00;

    /// <summary>KVM_CREATE_VM, on the device.</summary>
    public const uint CreateMachine = 0xae01;

    /// <summary>KVM_CHECK_EXTENSION, on the device.</summary>
    public const uint CheckExtension = 0xae03;

    /// <summary>KVM_GET_VCPU_MMAP_SIZE, on the device.</summary>
    public const uint GetRunSize = 0xae04;

    /// <summary>KVM_GET_SUPPORTED_CPUID, on the device.</summary>
    public const uint GetSupportedCpuid = 0xc008_ae05;

    /// <summary>KVM_CREATE_VCPU.</summary>
    public const uint CreateProcessor = 0xae41;

    /// <summary>KVM_GET_DIRTY_LOG.</summary>
    public const uint GetDirtyLog = 0x4010_ae42;

    /// <summary>KVM_SET_USER_MEMORY_REGION.</summary>
    public const uint SetMemoryRegion = 0x4020_ae46;

    /// <summary>KVM_SET_TSS_ADDR.</summary>
    public const uint SetTaskStateAddress = 0xae47;

    /// <summary>KVM_SET_IDENTITY_MAP_ADDR.</summary>
    public const uint SetIdentityMapAddress = 0x4008_ae48;

    /// <summary>KVM_IOEVENTFD.</summary>
    public const uint SetDoorbell = 0x4040_ae79;

    /// <summary>KVM_RUN.</summary>
    public const uint Run = 0xae80;

    /// <summary>KVM_GET_REGS.</summary>
    public const uint GetRegisters = 0x8090_ae81;

    /// <summary>KVM_SET_REGS.</summary>
    public const uint SetRegisters = 0x4090_ae82;

    /// <summary>KVM_GET_SREGS.</summary>
    public const uint GetSystemRegisters = 0x8138_ae83;

    /// <summary>KVM_SET_SREGS.</summary>
    public const uint SetSystemRegisters = 0x4138_ae84;

    /// <summary>KVM_TRANSLATE.</summary>
    public const uint Translate = 0xc018_ae85;

    /// <summary>KVM_INTERRUPT.</summary>
    public const uint Interrupt = 0x4004_ae86;

    /// <summary>KVM_GET_MSRS.</summary>
    public const uint GetMsrs = 0xc008_ae88;

    /// <summary>KVM_SET_MSRS.</summary>
    public const uint SetMsrs = 0x4008_ae89;

    /// <summary>KVM_SET_SIGNAL_MASK.</summary>
    public const uint SetSignalMask = 0x4004_ae8b;

    /// <summary>KVM_SET_CPUID2.</summary>
    public const uint SetCpuid = 0x4008_ae90;

    /// <summary>KVM_NMI.</summary>
    public const uint NonMaskable = 0xae9a;

    /// <summary>KVM_GET_VCPU_EVENTS.</summary>
    public const uint GetEvents = 0x8040_ae9f;

    /// <summary>KVM_SET_VCPU_EVENTS.</summary>
    public const uint SetEvents = 0x4040_aea0;

    /// <summary>KVM_GET_DEBUGREGS.</summary>
    public const uint GetDebugRegisters = 0x8080_aea1;

    /// <summary>KVM_SET_DEBUGREGS.</summary>
    public const uint SetDebugRegisters = 0x4080_aea2;

    /// <summary>KVM_SET_TSC_KHZ.</summary>
    public const uint SetTscKilohertz = 0xaea2;

    /// <summary>KVM_GET_TSC_KHZ.</summary>
    public const uint GetTscKilohertz = 0xaea3;

    /// <summary>KVM_ENABLE_CAP.</summary>
    public const uint EnableCapability = 0x4068_aea3;

    /// <summary>KVM_GET_XSAVE.</summary>
    public const uint GetExtendedState = 0x9000_aea4;

    /// <summary>KVM_SET_XSAVE.</summary>
    public const uint SetExtendedState = 0x5000_aea5;

    /// <summary>KVM_GET_XSAVE2, for state of more than a page.</summary>
    public const uint GetExtendedState2 = 0x9000_aecf;

    /// <summary>KVM_GET_XCRS.</summary>
    public const uint GetExtendedControl = 0x8188_aea6;

    /// <summary>KVM_SET_XCRS.</summary>
    public const uint SetExtendedControl = 0x4188_aea7;

    /// <summary>KVM_X86_SET_MSR_FILTER.</summary>
    public const uint SetMsrFilter = 0x4188_aec6;

    /// <summary>KVM_CREATE_IRQCHIP.</summary>
    public const uint CreateControllers = 0xae60;

    /// <summary>KVM_IRQ_LINE.</summary>
    public const uint SetLine = 0x4008_ae61;

    /// <summary>KVM_GET_IRQCHIP.</summary>
    public const uint GetController = 0xc208_ae62;

    /// <summary>KVM_SET_IRQCHIP.</summary>
    public const uint SetController = 0x8208_ae63;

    /// <summary>KVM_REGISTER_COALESCED_MMIO.</summary>
    public const uint RegisterCoalesced = 0x4010_ae67;

    /// <summary>KVM_UNREGISTER_COALESCED_MMIO.</summary>
    public const uint UnregisterCoalesced = 0x4010_ae68;

    /// <summary>KVM_SET_GSI_ROUTING.</summary>
    public const uint SetRoutes = 0x4008_ae6a;

    /// <summary>KVM_IRQFD.</summary>
    public const uint SetInterruptEvent = 0x4020_ae76;

    /// <summary>KVM_CREATE_PIT2.</summary>
    public const uint CreateTimer = 0x4040_ae77;

    /// <summary>KVM_XEN_HVM_CONFIG.</summary>
    public const uint ConfigureXen = 0x4038_ae7a;

    /// <summary>KVM_SET_CLOCK.</summary>
    public const uint SetClock = 0x4030_ae7b;

    /// <summary>KVM_GET_CLOCK.</summary>
    public const uint GetClock = 0x8030_ae7c;

    /// <summary>KVM_GET_LAPIC.</summary>
    public const uint GetLocalApic = 0x8400_ae8e;

    /// <summary>KVM_SET_LAPIC.</summary>
    public const uint SetLocalApic = 0x4400_ae8f;

    /// <summary>KVM_GET_MP_STATE.</summary>
    public const uint GetRunState = 0x8004_ae98;

    /// <summary>KVM_SET_MP_STATE.</summary>
    public const uint SetRunState = 0x4004_ae99;

    /// <summary>KVM_GET_PIT2.</summary>
    public const uint GetTimer = 0x8070_ae9f;

    /// <summary>KVM_SET_PIT2.</summary>
    public const uint SetTimer = 0x4070_aea0;

    /// <summary>KVM_SIGNAL_MSI.</summary>
    public const uint SendMessage = 0x4020_aea5;

    /// <summary>KVM_RESET_DIRTY_RINGS.</summary>
    public const uint ResetDirtyRings = 0xaec7;

    /// <summary>KVM_KVMCLOCK_CTRL.</summary>
    public const uint ClockControl = 0xaead;

    /// <summary>The call's name in the kernel's documentation.</summary>
    public static string GetName(uint request) => request switch
    {
        GetApiVersion => "KVM_GET_API_VERSION",
        CreateMachine => "KVM_CREATE_VM",
        CheckExtension => "KVM_CHECK_EXTENSION",
        GetRunSize => "KVM_GET_VCPU_MMAP_SIZE",
        GetSupportedCpuid => "KVM_GET_SUPPORTED_CPUID",
        CreateProcessor => "KVM_CREATE_VCPU",
        GetDirtyLog => "KVM_GET_DIRTY_LOG",
        SetMemoryRegion => "KVM_SET_USER_MEMORY_REGION",
        SetTaskStateAddress => "KVM_SET_TSS_ADDR",
        SetIdentityMapAddress => "KVM_SET_IDENTITY_MAP_ADDR",
        SetDoorbell => "KVM_IOEVENTFD",
        Run => "KVM_RUN",
        GetRegisters => "KVM_GET_REGS",
        SetRegisters => "KVM_SET_REGS",
        GetSystemRegisters => "KVM_GET_SREGS",
        SetSystemRegisters => "KVM_SET_SREGS",
        Translate => "KVM_TRANSLATE",
        Interrupt => "KVM_INTERRUPT",
        GetMsrs => "KVM_GET_MSRS",
        SetMsrs => "KVM_SET_MSRS",
        SetSignalMask => "KVM_SET_SIGNAL_MASK",
        SetCpuid => "KVM_SET_CPUID2",
        NonMaskable => "KVM_NMI",
        GetEvents => "KVM_GET_VCPU_EVENTS",
        SetEvents => "KVM_SET_VCPU_EVENTS",
        GetDebugRegisters => "KVM_GET_DEBUGREGS",
        SetDebugRegisters => "KVM_SET_DEBUGREGS",
        SetTscKilohertz => "KVM_SET_TSC_KHZ",
        GetTscKilohertz => "KVM_GET_TSC_KHZ",
        EnableCapability => "KVM_ENABLE_CAP",
        GetExtendedState => "KVM_GET_XSAVE",
        GetExtendedState2 => "KVM_GET_XSAVE2",
        SetExtendedState => "KVM_SET_XSAVE",
        GetExtendedControl => "KVM_GET_XCRS",
        SetExtendedControl => "KVM_SET_XCRS",
        SetMsrFilter => "KVM_X86_SET_MSR_FILTER",
        CreateControllers => "KVM_CREATE_IRQCHIP",
        SetLine => "KVM_IRQ_LINE",
        GetController => "KVM_GET_IRQCHIP",
        SetController => "KVM_SET_IRQCHIP",
        RegisterCoalesced => "KVM_REGISTER_COALESCED_MMIO",
        UnregisterCoalesced => "KVM_UNREGISTER_COALESCED_MMIO",
        SetRoutes => "KVM_SET_GSI_ROUTING",
        SetInterruptEvent => "KVM_IRQFD",
        CreateTimer => "KVM_CREATE_PIT2",
        ConfigureXen => "KVM_XEN_HVM_CONFIG",
        SetClock => "KVM_SET_CLOCK",
        GetClock => "KVM_GET_CLOCK",
        GetLocalApic => "KVM_GET_LAPIC",
        SetLocalApic => "KVM_SET_LAPIC",
        GetRunState => "KVM_GET_MP_STATE",
        SetRunState => "KVM_SET_MP_STATE",
        GetTimer => "KVM_GET_PIT2",
        SetTimer => "KVM_SET_PIT2",
        SendMessage => "KVM_SIGNAL_MSI",
        ResetDirtyRings => "KVM_RESET_DIRTY_RINGS",
        ClockControl => "KVM_KVMCLOCK_CTRL",
        _ => $"KVM request 0x{request:x}",
    };
}
