using System.Buffers.Binary;
using Lamina.Interop.Kvm;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>Between KVM's structures and the architectural state.</summary>
internal static class KvmStateTransfer
{
    private const int MxcsrOffset = 24;
    private const int LegacyUnused = 416;
    private const int HeaderOffset = 512;
    private const int VectorOffset = 576;
    private const ulong LegacyComponents = 3;

    // KVM_VCPUEVENT_VALID_NMI_PENDING and VALID_SHADOW.
    private const uint EventsValid = 1 | 4;
    private const byte ShadowOfSti = 2;

    public static void FromGeneral(in KvmRegisters r, ProcessorState state)
    {
        CopyGeneral(r, state.GeneralRegisters);
        state.Rip = r.Rip;
        state.Rflags = r.Rflags;
    }

    public static void ToGeneral(ProcessorState state, out KvmRegisters r) =>
        r = WithGeneral(new KvmRegisters { Rip = state.Rip, Rflags = state.Rflags | 2 }, state.GeneralRegisters);

    /// <summary>Copies the sixteen out, in the order of their numbers.</summary>
    public static void CopyGeneral(in KvmRegisters r, ulong[] g)
    {
        (g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]) = (r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi);
        (g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]) = (r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15);
    }

    /// <summary>The same with other values of the sixteen.</summary>
    public static KvmRegisters WithGeneral(in KvmRegisters r, ulong[] g)
    {
        return r with
        {
            Rax = g[0],
            Rcx = g[1],
            Rdx = g[2],
            Rbx = g[3],
            Rsp = g[4],
            Rbp = g[5],
            Rsi = g[6],
            Rdi = g[7],
            R8 = g[8],
            R9 = g[9],
            R10 = g[10],
            R11 = g[11],
            R12 = g[12],
            R13 = g[13],
            R14 = g[14],
            R15 = g[15],
        };
    }

    public static void FromSystem(in KvmSystemRegisters r, ProcessorState state)
    {
        state.Segments[0] = FromSegment(r.Es);
        state.Segments[1] = FromSegment(r.Cs);
        state.Segments[2] = FromSegment(r.Ss);
        state.Segments[3] = FromSegment(r.Ds);
        state.Segments[4] = FromSegment(r.Fs);
        state.Segments[5] = FromSegment(r.Gs);
        state.LocalDescriptorTable = FromSegment(r.Ldt);
        state.TaskRegister = FromSegment(r.Tr);
        state.GdtBase = r.Gdt.Base;
        state.GdtLimit = r.Gdt.Limit;
        state.IdtBase = r.Idt.Base;
        state.IdtLimit = r.Idt.Limit;
        state.Cr0 = r.Cr0;
        state.Cr2 = r.Cr2;
        state.Cr3 = r.Cr3;
        state.Cr4 = r.Cr4;
        state.Cr8 = r.Cr8;
    }

    /// <summary>Leaves EFER, CR8 and the APIC base as they are.</summary>
    public static void ToSystem(ProcessorState state, ref KvmSystemRegisters r)
    {
        r.Es = ToSegment(state.Segments[0]);
        r.Cs = ToSegment(state.Segments[1]);
        r.Ss = ToSegment(state.Segments[2]);
        r.Ds = ToSegment(state.Segments[3]);
        r.Fs = ToSegment(state.Segments[4]);
        r.Gs = ToSegment(state.Segments[5]);
        r.Ldt = ToSegment(state.LocalDescriptorTable);
        r.Tr = ToSegment(state.TaskRegister);
        r.Gdt = new KvmTable { Base = state.GdtBase, Limit = state.GdtLimit };
        r.Idt = new KvmTable { Base = state.IdtBase, Limit = state.IdtLimit };
        r.Cr0 = state.Cr0 | 0x10;
        r.Cr2 = state.Cr2;
        r.Cr3 = state.Cr3;
        r.Cr4 = state.Cr4;
        r.PendingVectors0 = r.PendingVectors1 = r.PendingVectors2 = r.PendingVectors3 = 0;
    }

    public static void FromEvents(in KvmEvents e, ProcessorState state)
    {
        state.InterruptShadow = e.InterruptShadow != 0;
        state.NonMaskablePending = (e.NonMaskablePending | e.NonMaskableInjected) != 0;
        state.NonMaskableBlocked = e.NonMaskableMasked != 0 && e.NonMaskableInjected == 0;
    }

    public static void ToEvents(ProcessorState state, ref KvmEvents e)
    {
        e.ExceptionInjected = e.ExceptionPending = e.InterruptInjected = e.NonMaskableInjected = 0;
        e.InterruptShadow = state.InterruptShadow ? e.InterruptShadow == 0 ? ShadowOfSti : e.InterruptShadow : (byte)0;
        e.NonMaskablePending = state.NonMaskablePending ? (byte)1 : (byte)0;
        e.NonMaskableMasked = state.NonMaskableBlocked ? (byte)1 : (byte)0;
        e.Flags = EventsValid;
    }

    public static void FromDebug(in KvmDebugRegisters r, ProcessorState state)
    {
        ulong[] d = state.DebugRegisters;
        (d[0], d[1], d[2], d[3], d[4], d[5]) = (r.Dr0, r.Dr1, r.Dr2, r.Dr3, r.Dr6, r.Dr7);
    }

    public static void ToDebug(ProcessorState state, out KvmDebugRegisters r)
    {
        const uint Dr6Ones = 0xffff_0ff0;
        const uint Dr7Ones = 0x400;
        ulong[] d = state.DebugRegisters;
        r = new KvmDebugRegisters { Dr0 = d[0], Dr1 = d[1], Dr2 = d[2], Dr3 = d[3], Dr6 = d[4] | Dr6Ones, Dr7 = d[5] | Dr7Ones };
    }

    /// <summary>After XCR0: vector state counts only as far as that goes.</summary>
    public static void FromExtended(ReadOnlySpan<byte> area, ProcessorState state)
    {
        Span<byte> to = state.XsaveArea;
        area[..ProcessorState.XsaveAreaSize].CopyTo(to);
        BinaryPrimitives.WriteUInt32LittleEndian(to[(MxcsrOffset + 4)..], 0xffff);
        to[LegacyUnused..VectorOffset].Clear();
        if ((state.Xcr0 & 4) == 0)
        {
            to[VectorOffset..].Clear();
        }

        BinaryPrimitives.WriteUInt64LittleEndian(to[HeaderOffset..], state.Xcr0);
    }

    public static void ToExtended(ProcessorState state, Span<byte> area)
    {
        area.Clear();
        state.XsaveArea.CopyTo(area);
        area[LegacyUnused..VectorOffset].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(area[HeaderOffset..], (state.Xcr0 & 4) | LegacyComponents);
        BinaryPrimitives.WriteUInt32LittleEndian(area[(MxcsrOffset + 4)..], 0);
    }

    private static SegmentState FromSegment(in KvmSegment s)
    {
        uint attributes = s.Type | ((uint)s.Ordinary << 4) | ((uint)s.Privilege << 5) | ((uint)s.Present << 7)
            | ((uint)s.Available << 12) | ((uint)s.Long << 13) | ((uint)s.Big << 14) | ((uint)s.Granular << 15) | ((uint)s.Unusable << 16);
        return new SegmentState(s.Selector, s.Base, s.Limit, attributes);
    }

    private static KvmSegment ToSegment(in SegmentState s)
    {
        uint a = s.Attributes;
        return new KvmSegment
        {
            Base = s.Base,
            Limit = s.Limit,
            Selector = s.Selector,
            Type = (byte)(a & 15),
            Ordinary = (byte)((a >> 4) & 1),
            Privilege = (byte)((a >> 5) & 3),
            Present = (byte)((a >> 7) & 1),
            Available = (byte)((a >> 12) & 1),
            Long = (byte)((a >> 13) & 1),
            Big = (byte)((a >> 14) & 1),
            Granular = (byte)((a >> 15) & 1),
            Unusable = (byte)((a >> 16) & 1),
        };
    }
}
