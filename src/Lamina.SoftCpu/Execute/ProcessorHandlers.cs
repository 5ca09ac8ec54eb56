using System.Security.Cryptography;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>CPUID, time stamps, MSRs, TLB control, FS/GS bases, random numbers, CLAC and STAC.</summary>
internal static unsafe class ProcessorHandlers
{
    private const ulong Cr4Tsd = 4;
    private const ulong Cr4FsGsBase = 1 << 16;
    private const ulong Cr4OsXsave = 1 << 18;
    private const ulong Cr4Pcide = 1 << 17;

    /// <summary>0F A2.</summary>
    public static bool Cpuid(ProcessorContext* c, Instruction* i)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        uint leaf = (uint)c->Registers[0];
        uint subleaf = (uint)c->Registers[1];
        CpuidEntry e = p.Cpuid.Get(leaf, subleaf);
        uint apicId = p.Controller?.ApicId ?? (uint)p.Index;

        // The leaf that answers: one above the table's last is answered by that.
        switch (e.Leaf)
        {
            case 1:
                const uint osXsave = 1u << 27;
                const uint apic = 1u << 9;
                e = e with
                {
                    Ebx = (e.Ebx & 0x00ff_ffff) | (apicId << 24),
                    Ecx = (c->Cr4 & Cr4OsXsave) != 0 ? e.Ecx | osXsave : e.Ecx & ~osXsave,
                    Edx = p.Controller is { IsEnabled: false } ? e.Edx & ~apic : e.Edx,
                };
                break;
            case 0xb or 0x1f:
                e = e with { Edx = apicId };
                break;
            case 0xd when subleaf == 0:
                e = e with { Ebx = (c->Xcr0 & 4) != 0 ? 832u : 576u };
                break;
            case 0xd when subleaf == 1 && e.Eax != 0:
                e = e with { Ebx = (c->Xcr0 & 4) != 0 ? 832u : 576u };
                break;
        }

        c->Registers[0] = e.Eax;
        c->Registers[1] = e.Ecx;
        c->Registers[2] = e.Edx;
        c->Registers[3] = e.Ebx;
        return true;
    }

    /// <summary>0F 31.</summary>
    public static bool ReadTimeStamp(ProcessorContext* c, Instruction* i)
    {
        if ((c->Cr4 & Cr4Tsd) != 0 && c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ulong tsc = SoftwareProcessor.Of(c).Msrs.ReadTsc();
        c->Registers[0] = (uint)tsc;
        c->Registers[2] = tsc >> 32;
        return true;
    }

    /// <summary>0F 01 F9.</summary>
    public static bool ReadTimeStampAndProcessor(ProcessorContext* c, Instruction* i)
    {
        if (!ReadTimeStamp(c, i))
        {
            return false;
        }

        c->Registers[1] = (uint)c->TscAux;
        return true;
    }

    /// <summary>F3 0F C7 /7.</summary>
    public static bool ReadProcessorId(ProcessorContext* c, Instruction* i)
    {
        c->Registers[i->Rm] = (uint)c->TscAux;
        return true;
    }

    /// <summary>0F 33: there are no performance counters.</summary>
    public static bool ReadPerformanceCounter(ProcessorContext* c, Instruction* i) => Fault.GeneralProtection(c);

    /// <summary>0F 32.</summary>
    public static bool ReadMsr(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0 || !SoftwareProcessor.Of(c).Msrs.TryRead((uint)c->Registers[1], out ulong value))
        {
            return Fault.GeneralProtection(c);
        }

        c->Registers[0] = (uint)value;
        c->Registers[2] = value >> 32;
        return true;
    }

    /// <summary>0F 30. Sets RIP: EFER changes what follows.</summary>
    public static bool WriteMsr(ProcessorContext* c, Instruction* i)
    {
        ulong value = (c->Registers[2] << 32) | (uint)c->Registers[0];
        ulong next = BranchHandlers.Next(c, i);
        if (c->Cpl != 0 || !SoftwareProcessor.Of(c).Msrs.TryWrite((uint)c->Registers[1], value))
        {
            return Fault.GeneralProtection(c);
        }

        c->Rip = next;
        return true;
    }

    /// <summary>0F 01 C1 and D9: VMCALL, VMMCALL. Sets RIP.</summary>
    public static bool Hypercall(ProcessorContext* c, Instruction* i) => TryHypercall(c, i, byInstruction: true) || Fault.InvalidOpcode(c);

    /// <summary>Calls the hypervisor. Sets RIP.</summary>
    /// <returns><c>false</c>, with RIP as it was, if there is none, or it refuses.</returns>
    public static bool TryHypercall(ProcessorContext* c, Instruction* i, bool byInstruction)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        ulong next = BranchHandlers.Next(c, i);
        GuestCallEnd end = GuestCallEnd.GoOn;
        if (p.Partition.Personality is not { } personality || !personality.TryHypercall(new GuestCall(p.CreateCall(), ref end), byInstruction))
        {
            return false;
        }

        // As HLT before the instruction, where RIP stays, or behind it.
        c->Rip = end is GuestCallEnd.Repeat or GuestCallEnd.Continue ? c->Rip : next;
        if (end is GuestCallEnd.Repeat or GuestCallEnd.Halt)
        {
            c->Halted = true;
            c->HaltEndsMasked = end == GuestCallEnd.Halt;
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Halt);
        }

        return true;
    }

    /// <summary>0F 01 /7.</summary>
    public static bool InvalidatePage(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ulong linear = GuestAccess.EffectiveAddress(c, i) + c->SegmentBase[i->Segment];
        MemoryUnit.FlushTlbPage(c, c->CodeSize == 8 ? linear : (uint)linear);
        return true;
    }

    /// <summary>66 0F 38 82 (Intel SDM volume 2, INVPCID).</summary>
    public static bool InvalidatePcid(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (!GuestAccess.Load(c, i->Segment, offset, out ulong pcid) || !GuestAccess.Load(c, i->Segment, offset + 8, out ulong linear))
        {
            return false;
        }

        ulong type = c->CodeSize == 8 ? c->Registers[i->Reg] : (uint)c->Registers[i->Reg];
        bool pcidBad = type < 2 && (pcid >= 0x1000 || (pcid != 0 && (c->Cr4 & Cr4Pcide) == 0));
        if (type > 3 || pcidBad || (type == 0 && !MemoryUnit.IsCanonical(linear)))
        {
            return Fault.GeneralProtection(c);
        }

        switch (type)
        {
            case 0 when (int)pcid == MemoryUnit.SpaceOf(c):
                MemoryUnit.FlushTlbPage(c, linear);
                break;
            case 0 or 1:
                // More than the page of another space may go.
                MemoryUnit.FlushTlbSpace(c, (int)pcid);
                break;
            case 2:
                MemoryUnit.FlushTlb(c);
                break;
            default:
                MemoryUnit.FlushTlbSpaces(c);
                break;
        }

        return true;
    }

    /// <summary>0F 08, 0F 09: caches are coherent.</summary>
    public static bool InvalidateCaches(ProcessorContext* c, Instruction* i) => c->Cpl == 0 || Fault.GeneralProtection(c);

    /// <summary>F3 0F AE /0 to /3.</summary>
    public static bool SegmentBase(ProcessorContext* c, Instruction* i)
    {
        if ((c->Cr4 & Cr4FsGsBase) == 0)
        {
            return Fault.InvalidOpcode(c);
        }

        int operation = (i->ModRm >> 3) & 3;
        int segment = SegmentRegister.Fs + (operation & 1);
        bool wide = i->OperandSize == 8;
        if (operation < 2)
        {
            ulong value = c->Segments[segment].Base;
            c->Registers[i->Rm] = wide ? value : (uint)value;
            return true;
        }

        ulong address = wide ? c->Registers[i->Rm] : (uint)c->Registers[i->Rm];
        if (!MemoryUnit.IsCanonical(address))
        {
            return Fault.GeneralProtection(c);
        }

        c->Segments[segment].Base = address;
        c->SegmentBase[segment] = address;
        return true;
    }

    /// <summary>0F C7 /6 and /7: RDRAND, RDSEED.</summary>
    public static bool Random<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong value = 0;
        RandomNumberGenerator.Fill(new Span<byte>(&value, TWidth.Bytes));
        TWidth.SetRm(c, i, value);
        Flags.SetStatus(c, Flags.Carry);
        return true;
    }

    /// <summary>0F 01 CA, CB. Sets RIP: user pages open or close.</summary>
    public static bool AccessControl(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.InvalidOpcode(c);
        }

        bool set = i->ModRm == 0xcb;
        c->SystemFlags = set ? c->SystemFlags | Flags.AlignmentCheck : c->SystemFlags & ~Flags.AlignmentCheck;
        if (!c->WatchesData)
        {
            c->Tlb = c->TlbArrays + ((set && (c->Cr4 & (1 << 21)) != 0 ? Tlb.SupervisorWithoutSmap : Tlb.Supervisor) * TlbEntry.Stride);
            SoftwareProcessor.Of(c).Tlb.ForgetSlots();
        }

        return true;
    }
}
