using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>State after power-on, INIT and start-up (Intel SDM volume 3, section 10.1 and table 10-1).</summary>
internal static unsafe class ResetState
{
    private const uint CodeAttributes = 0x9b;
    private const uint DataAttributes = 0x93;
    private const uint LdtAttributes = 0x82;
    private const uint TssAttributes = 0x8b;
    private const ulong CacheDisableNotWriteThrough = 0x6000_0000;

    /// <summary>Power-on. Processors other than the first wait for a start-up message.</summary>
    public static void PowerOn(ProcessorContext* c, SoftwareProcessor processor)
    {
        processor.Msrs.Reset();
        c->Star = c->Lstar = c->Cstar = c->Fmask = c->KernelGsBase = 0;
        c->SysenterCs = c->SysenterEsp = c->SysenterEip = c->TscAux = 0;
        c->Xcr0 = 1;
        new Span<byte>(c->Vectors, 512).Clear();
        ResetX87(c);
        c->Mxcsr = 0x1f80;
        Common(c, processor, CacheDisableNotWriteThrough);
    }

    /// <summary>INIT keeps caching bits, x87 and vector state, and most MSRs.</summary>
    public static void Init(ProcessorContext* c, SoftwareProcessor processor)
    {
        Common(c, processor, c->Cr0 & CacheDisableNotWriteThrough);
    }

    /// <summary>Start-up message: real mode at vector * 4096.</summary>
    public static void StartUp(ProcessorContext* c, byte vector)
    {
        ref SegmentCache cs = ref c->Segments[SegmentRegister.Cs];
        cs.Selector = (ushort)(vector << 8);
        cs.Base = (ulong)vector << 12;
        c->Rip = 0;
        c->WaitingForStartUp = false;
        ProcessorMode.Update(c);
    }

    /// <summary>x87 after FNINIT with all registers empty and zero.</summary>
    public static void ResetX87(ProcessorContext* c)
    {
        new Span<byte>(c->X87Image, 512).Clear();
        *(ushort*)c->X87Image = 0x37f;
        *(uint*)(c->X87Image + 24) = 0x1f80;
    }

    private static void Common(ProcessorContext* c, SoftwareProcessor processor, ulong cacheBits)
    {
        for (int n = 0; n < 16; n++)
        {
            c->Registers[n] = 0;
        }

        // EDX holds the processor signature.
        c->Registers[2] = processor.Cpuid.Get(1, 0).Eax;
        c->Registers[ProcessorContext.ZeroRegister] = 0;
        c->Rip = 0xfff0;
        for (int n = 0; n < 6; n++)
        {
            c->Segments[n] = new SegmentCache { Limit = 0xffff, Attributes = DataAttributes };
        }

        c->Segments[SegmentRegister.Cs] = new SegmentCache { Selector = 0xf000, Base = 0xffff_0000, Limit = 0xffff, Attributes = CodeAttributes };
        c->LocalDescriptorTable = new SegmentCache { Limit = 0xffff, Attributes = LdtAttributes };
        c->TaskRegister = new SegmentCache { Limit = 0xffff, Attributes = TssAttributes };
        c->GdtBase = c->IdtBase = 0;
        c->GdtLimit = c->IdtLimit = 0xffff;
        c->Cr0 = 0x10 | cacheBits;
        c->Cr2 = c->Cr3 = c->Cr4 = c->Efer = 0;
        for (int n = 0; n < 4; n++)
        {
            c->DebugAddress[n] = 0;
        }

        c->Dr6 = DebugUnit.Dr6Fixed;
        c->Dr7 = 0x400;
        c->Cpl = 0;
        c->SystemFlags = Flags.Reserved1;
        Flags.SetStatus(c, 0);
        c->InterruptHeld = true;
        c->InterruptShadow = c->StackSegmentShadow = c->NonMaskableBlocked = c->Halted = false;
        c->PendingDebugTraps = 0;
        c->WaitingForStartUp = processor.Index != 0;
        DebugUnit.Update(c);
        MemoryUnit.FlushTlb(c);
        c->NonMaskablePending = 0;
        processor.ForgetNonMaskable();
        Interlocked.And(ref c->Attention, ~(int)(AttentionBits.Step | AttentionBits.NonMaskable));
        if (c->WaitingForStartUp)
        {
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Halt);
        }
    }
}
