using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>MOV to and from control and debug registers, SMSW, LMSW, CLTS (Intel SDM volume 3, sections 2.5 and 18.2). Those that write set RIP.</summary>
internal static unsafe class ControlRegisterHandlers
{
    private const ulong Pe = 1;
    private const ulong Mp = 2;
    private const ulong Em = 4;
    private const ulong Ts = 8;
    private const ulong Et = 0x10;
    private const ulong Wp = 1 << 16;
    private const ulong Nw = 1 << 29;
    private const ulong Cd = 1 << 30;
    private const ulong Pg = 1UL << 31;
    private const ulong Cr0Defined = 0xe005_003f;
    private const ulong Cr4Pse = 0x10;
    private const ulong Cr4Pae = 0x20;
    private const ulong Cr4Pge = 0x80;
    private const ulong Cr4Umip = 0x800;
    private const ulong Cr4FsGsBase = 1 << 16;
    private const ulong Cr4Pcide = 1 << 17;
    private const ulong Cr4OsXsave = 1 << 18;
    private const ulong Cr4Smep = 1 << 20;
    private const ulong Cr4Smap = 1 << 21;
    private const ulong Lme = 1 << 8;
    private const ulong Lma = 1 << 10;

    public static bool MoveFromControl(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ulong value;
        switch (i->Reg)
        {
            case 0:
                value = c->Cr0;
                break;
            case 2:
                value = c->Cr2;
                break;
            case 3:
                value = c->Cr3;
                break;
            case 4:
                value = c->Cr4;
                break;
            case 8:
                value = SoftwareProcessor.Of(c).Controller?.TaskPriorityClass ?? 0;
                break;
            default:
                return Fault.InvalidOpcode(c);
        }

        c->Registers[i->Rm] = c->CodeSize == 8 ? value : (uint)value;
        return true;
    }

    public static bool MoveToControl(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ulong value = c->CodeSize == 8 ? c->Registers[i->Rm] : (uint)c->Registers[i->Rm];
        ulong next = BranchHandlers.Next(c, i);
        bool done;
        switch (i->Reg)
        {
            case 0:
                done = WriteCr0(c, value);
                break;
            case 2:
                c->Cr2 = value;
                done = true;
                break;
            case 3:
                done = WriteCr3(c, value);
                break;
            case 4:
                done = WriteCr4(c, value);
                break;
            case 8:
                done = WriteCr8(c, value);
                break;
            default:
                return Fault.InvalidOpcode(c);
        }

        if (done)
        {
            c->Rip = next;
        }

        return done;
    }

    /// <summary>Replaces CR0 with all checks.</summary>
    public static bool WriteCr0(ProcessorContext* c, ulong value)
    {
        ulong old = c->Cr0;
        if (value >> 32 != 0)
        {
            return Fault.GeneralProtection(c);
        }

        value = (value & Cr0Defined) | Et;
        bool paging = (value & Pg) != 0;
        bool wasPaging = (old & Pg) != 0;
        if ((paging && (value & Pe) == 0) || ((value & Nw) != 0 && (value & Cd) == 0))
        {
            return Fault.GeneralProtection(c);
        }

        ulong efer = c->Efer;
        if (paging && !wasPaging)
        {
            if ((efer & Lme) != 0)
            {
                // The checks of Intel SDM volume 3, section 9.8.5: the last is of a 16-bit TSS.
                if ((c->Cr4 & Cr4Pae) == 0 || c->Segments[SegmentRegister.Cs].IsLong || (c->TaskRegister.Type & 8) == 0)
                {
                    return Fault.GeneralProtection(c);
                }

                efer |= Lma;
            }
        }
        else if (!paging && wasPaging)
        {
            if (c->CodeSize == 8 || (c->Cr4 & Cr4Pcide) != 0)
            {
                return Fault.GeneralProtection(c);
            }

            efer &= ~Lma;
        }

        bool paePaging = paging && (c->Cr4 & Cr4Pae) != 0 && (efer & Lma) == 0;
        if (paePaging && ((old ^ value) & (Pg | Cd | Nw)) != 0 && !SoftwareProcessor.Of(c).LoadPageDirectoryPointers(c->Cr3))
        {
            return Fault.GeneralProtection(c);
        }

        c->Cr0 = value;
        c->Efer = efer;
        if (((old ^ value) & (Pg | Wp | Pe)) != 0)
        {
            MemoryUnit.FlushTlb(c);
        }

        ProcessorMode.Update(c);
        return true;
    }

    public static bool MoveFromDebug(ProcessorContext* c, Instruction* i)
    {
        if (!DebugAccess(c, i, out int register))
        {
            return false;
        }

        ulong value = register switch { 6 => c->Dr6, 7 => c->Dr7, _ => c->DebugAddress[register] };
        c->Registers[i->Rm] = c->CodeSize == 8 ? value : (uint)value;
        return true;
    }

    public static bool MoveToDebug(ProcessorContext* c, Instruction* i)
    {
        if (!DebugAccess(c, i, out int register))
        {
            return false;
        }

        ulong value = c->CodeSize == 8 ? c->Registers[i->Rm] : (uint)c->Registers[i->Rm];
        if (register >= 6 && value >> 32 != 0)
        {
            return Fault.GeneralProtection(c);
        }

        c->Rip = BranchHandlers.Next(c, i);
        switch (register)
        {
            case 6:
                c->Dr6 = (value & 0xe00f) | DebugUnit.Dr6Fixed;
                break;
            case 7:
                c->Dr7 = (value & 0xffff_23ff) | 0x400;
                break;
            default:
                c->DebugAddress[register] = value;
                break;
        }

        DebugUnit.Update(c);
        return true;
    }

    /// <summary>0F 06. Sets RIP.</summary>
    public static bool ClearTaskSwitched(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        c->Rip = BranchHandlers.Next(c, i);
        c->Cr0 &= ~Ts;
        ProcessorMode.Update(c);
        return true;
    }

    /// <summary>0F 01 /4.</summary>
    public static bool StoreMachineStatus(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0 && (c->Cr4 & Cr4Umip) != 0)
        {
            return Fault.GeneralProtection(c);
        }

        if (i->IsMemory)
        {
            return GuestAccess.Store(c, i, (ushort)c->Cr0);
        }

        switch (i->OperandSize)
        {
            case 2:
                Width16.SetRm(c, i, c->Cr0);
                break;
            case 4:
                Width32.SetRm(c, i, c->Cr0);
                break;
            default:
                Width64.SetRm(c, i, c->Cr0);
                break;
        }

        return true;
    }

    /// <summary>0F 01 /6: PE can be set but not cleared. Sets RIP.</summary>
    public static bool LoadMachineStatus(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        if (!Operand.LoadRm<Width16>(c, i, out ulong value))
        {
            return false;
        }

        ulong next = BranchHandlers.Next(c, i);
        ulong now = (c->Cr0 & ~(Mp | Em | Ts)) | (value & (Pe | Mp | Em | Ts));
        if (!WriteCr0(c, now))
        {
            return false;
        }

        c->Rip = next;
        return true;
    }

    /// <summary>Loads CR3, as MOV and a task switch do.</summary>
    public static bool WriteCr3(ProcessorContext* c, ulong value)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        const ulong noFlush = 1UL << 63;
        bool keep = (c->Cr4 & Cr4Pcide) != 0 && (value & noFlush) != 0;
        value &= keep ? ~noFlush : ulong.MaxValue;

        if (c->LongMode && (value & (p.ReservedAddressBits | 0xfff0_0000_0000_0000)) != 0)
        {
            return Fault.GeneralProtection(c);
        }

        bool paePaging = (c->Cr0 & Pg) != 0 && (c->Cr4 & Cr4Pae) != 0 && !c->LongMode;
        if (paePaging && !p.LoadPageDirectoryPointers(value))
        {
            return Fault.GeneralProtection(c);
        }

        MemoryUnit.LoadCr3(c, value, keep);
        return true;
    }

    private static bool WriteCr4(ProcessorContext* c, ulong value)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        ulong old = c->Cr4;
        bool paging = (c->Cr0 & Pg) != 0;
        if ((value & ~AllowedCr4(p.Features)) != 0 || (c->LongMode && (value & Cr4Pae) == 0))
        {
            return Fault.GeneralProtection(c);
        }

        bool enablesPcid = (value & ~old & Cr4Pcide) != 0;
        if (enablesPcid && (!c->LongMode || (c->Cr3 & 0xfff) != 0))
        {
            return Fault.GeneralProtection(c);
        }

        bool paePaging = paging && (value & Cr4Pae) != 0 && !c->LongMode;
        if (paePaging && ((old ^ value) & (Cr4Pae | Cr4Pge | Cr4Pse | Cr4Smep)) != 0 && !p.LoadPageDirectoryPointers(c->Cr3))
        {
            return Fault.GeneralProtection(c);
        }

        c->Cr4 = value;
        if (((old ^ value) & (Cr4Pae | Cr4Pge | Cr4Pse | Cr4Pcide | Cr4Smep | Cr4Smap)) != 0)
        {
            MemoryUnit.FlushTlb(c);
        }

        DebugUnit.Update(c);
        return true;
    }

    /// <summary>The bits of CR4 that a processor has.</summary>
    public static ulong AllowedCr4(ProcessorFeatures f)
    {
        // VME and PVI are not offered; TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT are.
        ulong allowed = 0x7fcUL;
        allowed |= (f & ProcessorFeatures.Umip) != 0 ? Cr4Umip : 0;
        allowed |= (f & ProcessorFeatures.FsGsBase) != 0 ? Cr4FsGsBase : 0;
        allowed |= (f & ProcessorFeatures.Pcid) != 0 ? Cr4Pcide : 0;
        allowed |= (f & ProcessorFeatures.Xsave) != 0 ? Cr4OsXsave : 0;
        allowed |= (f & ProcessorFeatures.Smep) != 0 ? Cr4Smep : 0;
        allowed |= (f & ProcessorFeatures.Smap) != 0 ? Cr4Smap : 0;
        return allowed;
    }

    private static bool WriteCr8(ProcessorContext* c, ulong value)
    {
        if (value > 15)
        {
            return Fault.GeneralProtection(c);
        }

        if (SoftwareProcessor.Of(c).Controller is { } controller)
        {
            controller.TaskPriorityClass = (byte)value;
        }

        Interlocked.Or(ref c->Attention, (int)AttentionBits.Interrupt);
        return true;
    }

    private static bool DebugAccess(ProcessorContext* c, Instruction* i, out int register)
    {
        register = i->Reg;
        if (register > 7)
        {
            return Fault.InvalidOpcode(c);
        }

        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        if (register is 4 or 5)
        {
            if ((c->Cr4 & 8) != 0)
            {
                return Fault.InvalidOpcode(c);
            }

            register += 2;
        }

        if ((c->Dr7 & 0x2000) != 0)
        {
            c->Dr6 |= DebugUnit.DebugRegisterAccess;
            c->Dr7 &= ~0x2000UL;
            return Fault.Raise(c, Fault.DebugVector);
        }

        return true;
    }
}
