using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>Derived state: recomputed whenever a control register, EFER, CS, SS, RFLAGS.VM/AC or the privilege level changes.</summary>
internal static unsafe class ProcessorMode
{
    private const ulong ProtectionEnable = 1;
    private const ulong MonitorCoprocessor = 2;
    private const ulong Emulation = 4;
    private const ulong TaskSwitched = 8;
    private const ulong AlignmentMask = 1 << 18;
    private const ulong OsFxsr = 1 << 9;
    private const ulong OsXsave = 1 << 18;
    private const ulong Smap = 1 << 21;
    private const ulong LongModeActive = 1 << 10;

    /// <summary>Recomputes mode, sizes, effective segment bases, gates and the TLB in use. Does not change <see cref="ProcessorContext.Cpl"/> except for real and virtual-8086 mode.</summary>
    public static void Update(ProcessorContext* c)
    {
        bool pe = (c->Cr0 & ProtectionEnable) != 0;
        c->Virtual8086 = pe && (c->SystemFlags & Flags.Virtual8086) != 0;
        c->Protected = pe && !c->Virtual8086;
        c->LongMode = (c->Efer & LongModeActive) != 0;
        if (!pe)
        {
            c->Cpl = 0;
        }
        else if (c->Virtual8086)
        {
            c->Cpl = 3;
        }

        ref SegmentCache cs = ref c->Segments[SegmentRegister.Cs];
        bool long64 = c->LongMode && c->Protected && cs.IsLong;
        c->CodeSize = long64 ? (byte)8 : cs.IsBig ? (byte)4 : (byte)2;
        c->StackSize = long64 ? (byte)8 : c->Segments[SegmentRegister.Ss].IsBig ? (byte)4 : (byte)2;
        for (int i = 0; i < 6; i++)
        {
            c->SegmentBase[i] = long64 && i < SegmentRegister.Fs ? 0 : c->Segments[i].Base;
        }

        c->SystemCallsEnabled = long64 && (c->Efer & 1) != 0;
        UpdateGates(c, pe);
        SelectTlb(c);
    }

    /// <summary>Recomputes the TLB and the jump cache in use: enough where only the privilege level has changed.</summary>
    public static void SelectTlb(ProcessorContext* c)
    {
        bool user = c->Cpl == 3;
        bool ac = (c->SystemFlags & Flags.AlignmentCheck) != 0;
        int array = c->WatchesData ? Tlb.AlwaysMiss
            : !user ? (ac && (c->Cr4 & Smap) != 0 ? Tlb.SupervisorWithoutSmap : Tlb.Supervisor)
            : ac && (c->Cr0 & AlignmentMask) != 0 ? Tlb.AlwaysMiss : Tlb.User;
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        c->Tlb = array == Tlb.User ? c->UserTlb : c->TlbArrays + (array * TlbEntry.Stride);
        c->Jumps = p.Jumps.Array(c->CodeSize, user);
        p.Tlb.ForgetSlots();
    }

    private static void UpdateGates(ProcessorContext* c, bool pe)
    {
        UnitGates gates = UnitGates.None;
        bool ts = (c->Cr0 & TaskSwitched) != 0;
        bool em = (c->Cr0 & Emulation) != 0;
        if (!ts && !em)
        {
            gates |= UnitGates.X87 | UnitGates.Mmx;
            if ((c->Cr4 & OsFxsr) != 0)
            {
                gates |= UnitGates.Sse;
            }
        }

        if (!ts || (c->Cr0 & MonitorCoprocessor) == 0)
        {
            gates |= UnitGates.Wait;
        }

        if (!ts && pe && !c->Virtual8086 && (c->Cr4 & OsXsave) != 0 && (c->Xcr0 & 6) == 6)
        {
            gates |= UnitGates.Avx;
        }

        c->Gates = gates;
    }
}
