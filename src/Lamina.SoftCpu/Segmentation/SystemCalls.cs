using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT and SWAPGS (Intel SDM volume 2). They use no descriptors: the segments are flat by definition.</summary>
internal static unsafe class SystemCalls
{
    private const ulong EferSyscallEnable = 1;
    private const ulong Cr0ProtectionEnable = 1;
    private const uint ReturnFlags = 0x3c_7fd7;
    private const int Rcx = 1;
    private const int Rdx = 2;
    private const int Rsp = 4;
    private const int R11 = 11;

    /// <summary>0F 05.</summary>
    public static bool Call(ProcessorContext* c, Instruction* i)
    {
        if (c->CodeSize != 8 || (c->Efer & EferSyscallEnable) == 0)
        {
            return Fault.InvalidOpcode(c);
        }

        bool stepping = (c->SystemFlags & Flags.Trap) != 0;
        uint flags = Flags.Get(c) & ~Flags.Resume;
        c->Registers[Rcx] = c->Rip + i->Length;
        c->Registers[R11] = flags;
        c->Rip = c->Lstar;
        ushort selector = (ushort)((c->Star >> 32) & 0xfffc);
        SetFlat(ref c->Segments[SegmentRegister.Cs], selector, SegmentAttributes.LongCode);
        SetFlat(ref c->Segments[SegmentRegister.Ss], (ushort)(selector + 8), SegmentAttributes.FlatData);
        c->Cpl = 0;
        ProcessorMode.SelectTlb(c);
        flags &= ~(uint)c->Fmask;
        Flags.Set(c, flags);
        return !stepping || (flags & Flags.Trap) != 0 || TrapFlag.Cancel(c);
    }

    /// <summary>0F 07.</summary>
    public static bool Return(ProcessorContext* c, Instruction* i)
    {
        if (c->CodeSize != 8 || (c->Efer & EferSyscallEnable) == 0)
        {
            return Fault.InvalidOpcode(c);
        }

        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        bool to64 = i->OperandSize == 8;
        ulong rip = to64 ? c->Registers[Rcx] : (uint)c->Registers[Rcx];
        if (!SystemMemory.IsCanonical(rip))
        {
            return Fault.GeneralProtection(c);
        }

        ushort selector = (ushort)((c->Star >> 48) + (to64 ? 16u : 0));
        SetFlat(ref c->Segments[SegmentRegister.Cs], (ushort)(selector | 3), (to64 ? SegmentAttributes.LongCode : SegmentAttributes.FlatCode) | SegmentAttributes.User);
        SetFlat(ref c->Segments[SegmentRegister.Ss], (ushort)(((c->Star >> 48) + 8) | 3), SegmentAttributes.FlatData | SegmentAttributes.User);
        c->Rip = rip;
        c->Cpl = 3;
        if (to64)
        {
            ProcessorMode.SelectTlb(c);
        }
        else
        {
            ProcessorMode.Update(c);
        }

        bool stepping = (c->SystemFlags & Flags.Trap) != 0;
        uint flags = (uint)c->Registers[R11] & ReturnFlags;
        Flags.Set(c, flags);
        if ((flags & Flags.Trap) != 0)
        {
            return TrapFlag.TrapNow(c);
        }

        return !stepping || TrapFlag.Cancel(c);
    }

    /// <summary>0F 34.</summary>
    public static bool Enter(ProcessorContext* c, Instruction* i)
    {
        if ((c->Cr0 & Cr0ProtectionEnable) == 0 || (c->SysenterCs & 0xfffc) == 0)
        {
            return Fault.GeneralProtection(c);
        }

        ushort selector = (ushort)(c->SysenterCs & 0xfffc);
        uint code = c->LongMode ? SegmentAttributes.LongCode : SegmentAttributes.FlatCode;
        SetFlat(ref c->Segments[SegmentRegister.Cs], selector, code);
        SetFlat(ref c->Segments[SegmentRegister.Ss], (ushort)(selector + 8), SegmentAttributes.FlatData);
        c->Registers[Rsp] = c->LongMode ? c->SysenterEsp : (uint)c->SysenterEsp;
        c->Rip = c->LongMode ? c->SysenterEip : (uint)c->SysenterEip;
        c->Cpl = 0;
        c->SystemFlags &= ~(Flags.Virtual8086 | Flags.Interrupt | Flags.Resume);
        ProcessorMode.Update(c);
        return true;
    }

    /// <summary>0F 35.</summary>
    public static bool Exit(ProcessorContext* c, Instruction* i)
    {
        if ((c->Cr0 & Cr0ProtectionEnable) == 0 || (c->SysenterCs & 0xfffc) == 0 || c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        bool to64 = i->OperandSize == 8;
        ulong pointer = c->Registers[Rcx];
        ulong rip = c->Registers[Rdx];
        if (!to64)
        {
            pointer = (uint)pointer;
            rip = (uint)rip;
        }
        else if (!SystemMemory.IsCanonical(pointer) || !SystemMemory.IsCanonical(rip))
        {
            return Fault.GeneralProtection(c);
        }

        ushort selector = (ushort)((c->SysenterCs + (to64 ? 32u : 16u)) | 3);
        SetFlat(ref c->Segments[SegmentRegister.Cs], selector, (to64 ? SegmentAttributes.LongCode : SegmentAttributes.FlatCode) | SegmentAttributes.User);
        SetFlat(ref c->Segments[SegmentRegister.Ss], (ushort)(selector + 8), SegmentAttributes.FlatData | SegmentAttributes.User);
        c->Registers[Rsp] = pointer;
        c->Rip = rip;
        c->Cpl = 3;
        ProcessorMode.Update(c);
        return true;
    }

    /// <summary>0F 01 F8.</summary>
    public static bool SwapGs(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        ref SegmentCache gs = ref c->Segments[SegmentRegister.Gs];
        ulong kernel = c->KernelGsBase;
        c->KernelGsBase = gs.Base;
        gs.Base = kernel;
        c->SegmentBase[SegmentRegister.Gs] = kernel;
        return true;
    }

    private static void SetFlat(ref SegmentCache s, ushort selector, uint attributes)
    {
        s.Selector = selector;
        s.Base = 0;
        s.Limit = uint.MaxValue;
        s.Attributes = attributes;
    }
}
