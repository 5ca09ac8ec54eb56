using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary>The page that KVM shares with the owner of a processor: <c>struct kvm_run</c>.</summary>
[StructLayout(LayoutKind.Explicit)]
public struct KvmRun
{
    /// <summary>Leave when an interrupt could be delivered.</summary>
    [FieldOffset(0)]
    public byte RequestInterruptWindow;

    /// <summary>Finish what is under way and leave.</summary>
    [FieldOffset(1)]
    public byte ImmediateExit;

    /// <summary>A <see cref="KvmExitReason"/>.</summary>
    [FieldOffset(8)]
    public uint ExitReason;

    /// <summary>An interrupt can be queued now.</summary>
    [FieldOffset(12)]
    public byte ReadyForInterrupt;

    /// <summary>RFLAGS.IF.</summary>
    [FieldOffset(13)]
    public byte InterruptFlag;

    /// <summary>State of the processor.</summary>
    [FieldOffset(14)]
    public ushort Flags;

    /// <summary>Task priority, both ways.</summary>
    [FieldOffset(16)]
    public ulong Cr8;

    /// <summary>IA32_APIC_BASE.</summary>
    [FieldOffset(24)]
    public ulong ApicBase;

    /// <summary>KVM_EXIT_IO: OUT rather than IN.</summary>
    [FieldOffset(32)]
    public byte PortIsWrite;

    /// <summary>KVM_EXIT_IO: width in bytes.</summary>
    [FieldOffset(33)]
    public byte PortSize;

    /// <summary>KVM_EXIT_IO: its address.</summary>
    [FieldOffset(34)]
    public ushort Port;

    /// <summary>KVM_EXIT_IO: how many accesses of a string instruction.</summary>
    [FieldOffset(36)]
    public uint PortCount;

    /// <summary>KVM_EXIT_IO: where in this page the data is.</summary>
    [FieldOffset(40)]
    public ulong PortDataOffset;

    /// <summary>KVM_EXIT_MMIO: guest-physical address.</summary>
    [FieldOffset(32)]
    public ulong MmioAddress;

    /// <summary>KVM_EXIT_MMIO: up to eight bytes.</summary>
    [FieldOffset(40)]
    public ulong MmioData;

    /// <summary>KVM_EXIT_MMIO: how many.</summary>
    [FieldOffset(48)]
    public uint MmioLength;

    /// <summary>KVM_EXIT_MMIO: a write.</summary>
    [FieldOffset(52)]
    public byte MmioIsWrite;

    /// <summary>KVM_EXIT_X86_RDMSR and WRMSR: set to raise #GP.</summary>
    [FieldOffset(32)]
    public byte MsrError;

    /// <summary>KVM_EXIT_X86_RDMSR and WRMSR: why they came.</summary>
    [FieldOffset(40)]
    public uint MsrReason;

    /// <summary>KVM_EXIT_X86_RDMSR and WRMSR: the register.</summary>
    [FieldOffset(44)]
    public uint MsrIndex;

    /// <summary>KVM_EXIT_X86_RDMSR and WRMSR: its value.</summary>
    [FieldOffset(48)]
    public ulong MsrData;

    /// <summary>KVM_EXIT_IOAPIC_EOI: the vector.</summary>
    [FieldOffset(32)]
    public byte EndedVector;

    /// <summary>KVM_EXIT_XEN: what it is, of which there are only hypercalls (1).</summary>
    [FieldOffset(32)]
    public uint XenType;

    /// <summary>KVM_EXIT_XEN: what the guest is to find in RAX.</summary>
    [FieldOffset(56)]
    public ulong XenResult;

    /// <summary>KVM_EXIT_FAIL_ENTRY: the hardware's reason.</summary>
    [FieldOffset(32)]
    public ulong FailureReason;

    /// <summary>KVM_EXIT_INTERNAL_ERROR: its number.</summary>
    [FieldOffset(32)]
    public uint InternalError;

    /// <summary>KVM_EXIT_INTERNAL_ERROR: words of data.</summary>
    [FieldOffset(36)]
    public uint InternalDataCount;

    /// <summary>KVM_EXIT_INTERNAL_ERROR: first word; for an emulation failure its flags.</summary>
    [FieldOffset(40)]
    public ulong InternalData0;

    /// <summary>KVM_EXIT_INTERNAL_ERROR: for an emulation failure the number of instruction bytes, and the bytes.</summary>
    [FieldOffset(48)]
    public ulong InternalData1;

    /// <summary>KVM_EXIT_INTERNAL_ERROR: the remaining bytes.</summary>
    [FieldOffset(56)]
    public ulong InternalData2;

    /// <summary>Which of the registers below KVM keeps up to date.</summary>
    [FieldOffset(288)]
    public ulong ValidRegisters;

    /// <summary>Which of them it is to load.</summary>
    [FieldOffset(296)]
    public ulong DirtyRegisters;

    /// <summary>General registers.</summary>
    [FieldOffset(304)]
    public KvmRegisters Registers;

    /// <summary>System registers.</summary>
    [FieldOffset(448)]
    public KvmSystemRegisters SystemRegisters;

    /// <summary>Events.</summary>
    [FieldOffset(760)]
    public KvmEvents Events;
}
