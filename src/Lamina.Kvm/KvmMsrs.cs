using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>Model-specific registers by who holds them (Intel SDM volume 4).</summary>
internal static class KvmMsrs
{
    public const uint TimeStampCounter = 0x10;
    public const uint ApicBase = 0x1b;
    public const uint TscAdjust = 0x3b;
    public const uint SpecCtrl = 0x48;
    public const uint TscDeadline = 0x6e0;
    public const uint X2ApicFirst = 0x800;
    public const uint X2ApicLast = 0x8ff;
    public const uint WallClock = 0x4b56_4d00;
    public const uint SystemTime = 0x4b56_4d01;
    public const uint Efer = 0xc000_0080;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;

    /// <summary>Those of our local APIC. Accesses in the x2APIC range come to us without being asked for, because KVM has no local APIC.</summary>
    public static KvmMsrSpan[] OfController { get; } = [new(ApicBase), new(TscDeadline)];

    /// <summary>Those of hypervisors: the range of all others, and KVM's own, old and new. A personality answers for them, so that nothing of a guest is in registers that nobody saves.</summary>
    public static KvmMsrSpan[] OfPersonality { get; } = [new(HypercallPage, 0x200), new(WallClock, 0x100), new(OldWallClock, 2)];

    /// <summary>Xen's hypercall page, and the first of the range.</summary>
    public const uint HypercallPage = 0x4000_0000;

    /// <summary>HV_X64_MSR_TSC_INVARIANT_CONTROL (Top-Level Functional Specification, section 12.7.4): KVM too hides the invariant counter in CPUID until it is set.</summary>
    public const uint InvariantTscControl = 0x4000_0118;

    private const uint OldWallClock = 0x11;

    /// <summary>Those of a saved state that KVM may hold, in the order of the software processor's.</summary>
    public static ReadOnlySpan<uint> Saved =>
    [
        TimeStampCounter, TscAdjust, SpecCtrl, 0x1a0, 0x174, 0x175, 0x176, 0x277, 0x2ff, 0x250, 0x258, 0x259,
        0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
        0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
        0x17a, WallClock, SystemTime, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102, 0xc000_0103,
    ];

    /// <summary>Whether our local APIC answers.</summary>
    public static bool IsOfController(uint index) => index is ApicBase or TscDeadline or (>= X2ApicFirst and <= X2ApicLast);
}
