using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_vcpu_events</c>.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct KvmEvents
{
    /// <summary>An exception is being delivered.</summary>
    public byte ExceptionInjected;

    /// <summary>Its vector.</summary>
    public byte ExceptionVector;

    /// <summary>It has an error code.</summary>
    public byte ExceptionHasCode;

    /// <summary>An exception awaits delivery.</summary>
    public byte ExceptionPending;

    /// <summary>Its error code.</summary>
    public uint ExceptionCode;

    /// <summary>An interrupt is being delivered.</summary>
    public byte InterruptInjected;

    /// <summary>Its vector.</summary>
    public byte InterruptVector;

    /// <summary>It is an INT instruction.</summary>
    public byte InterruptSoft;

    /// <summary>After STI (2) or a load of SS (1).</summary>
    public byte InterruptShadow;

    /// <summary>An NMI is being delivered.</summary>
    public byte NonMaskableInjected;

    /// <summary>NMIs await delivery.</summary>
    public byte NonMaskablePending;

    /// <summary>NMIs are blocked until IRET.</summary>
    public byte NonMaskableMasked;

    /// <summary>Nothing.</summary>
    public byte Padding1;

    /// <summary>Vector of a start-up message.</summary>
    public uint StartUpVector;

    /// <summary>Which optional fields count.</summary>
    public uint Flags;

    /// <summary>SMM state.</summary>
    public uint SystemManagement;

    /// <summary>A triple fault awaits delivery.</summary>
    public byte TripleFaultPending;

    /// <summary>Nothing.</summary>
    public byte Padding2;

    /// <summary>Nothing.</summary>
    public ushort Padding3;

    /// <summary>Nothing.</summary>
    public ulong Padding4;

    /// <summary>Nothing.</summary>
    public ulong Padding5;

    /// <summary>Nothing.</summary>
    public uint Padding6;

    /// <summary>Nothing.</summary>
    public ushort Padding7;

    /// <summary>Nothing.</summary>
    public byte Padding8;

    /// <summary>The payload counts.</summary>
    public byte ExceptionHasPayload;

    /// <summary>CR2 or DR6 of a pending exception.</summary>
    public ulong ExceptionPayload;
}
