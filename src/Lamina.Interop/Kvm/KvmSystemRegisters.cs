using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_sregs</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSystemRegisters
{
    /// <summary>CS.</summary>
    public KvmSegment Cs;

    /// <summary>DS.</summary>
    public KvmSegment Ds;

    /// <summary>ES.</summary>
    public KvmSegment Es;

    /// <summary>FS.</summary>
    public KvmSegment Fs;

    /// <summary>GS.</summary>
    public KvmSegment Gs;

    /// <summary>SS.</summary>
    public KvmSegment Ss;

    /// <summary>TR.</summary>
    public KvmSegment Tr;

    /// <summary>LDT.</summary>
    public KvmSegment Ldt;

    /// <summary>GDTR.</summary>
    public KvmTable Gdt;

    /// <summary>IDTR.</summary>
    public KvmTable Idt;

    /// <summary>CR0.</summary>
    public ulong Cr0;

    /// <summary>CR2.</summary>
    public ulong Cr2;

    /// <summary>CR3.</summary>
    public ulong Cr3;

    /// <summary>CR4.</summary>
    public ulong Cr4;

    /// <summary>CR8.</summary>
    public ulong Cr8;

    /// <summary>EFER.</summary>
    public ulong Efer;

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong ApicBase;

    /// <summary>A bit for an interrupt that was queued and not delivered.</summary>
    public ulong PendingVectors0;

    /// <summary>Vectors 64 to 127.</summary>
    public ulong PendingVectors1;

    /// <summary>Vectors 128 to 191.</summary>
    public ulong PendingVectors2;

    /// <summary>Vectors 192 to 255.</summary>
    public ulong PendingVectors3;
}
