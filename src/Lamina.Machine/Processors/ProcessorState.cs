namespace Lamina.Machine.Processors;

/// <summary>The architectural state of one x86-64 processor, the same for every accelerator: a VM saved under one goes on under another.</summary>
public sealed class ProcessorState
{
    /// <summary>Bytes of the XSAVE area kept here: legacy region, header, and AVX state in the standard format (Intel SDM volume 1, section 13.4).</summary>
    public const int XsaveAreaSize = 832;

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.</summary>
    public ulong[] GeneralRegisters { get; } = new ulong[16];

    /// <summary>Instruction pointer.</summary>
    public ulong Rip { get; set; }

    /// <summary>RFLAGS.</summary>
    public ulong Rflags { get; set; }

    /// <summary>ES, CS, SS, DS, FS, GS.</summary>
    public SegmentState[] Segments { get; } = new SegmentState[6];

    /// <summary>LDTR.</summary>
    public SegmentState LocalDescriptorTable { get; set; }

    /// <summary>TR.</summary>
    public SegmentState TaskRegister { get; set; }

    /// <summary>GDTR base.</summary>
    public ulong GdtBase { get; set; }

    /// <summary>GDTR limit.</summary>
    public ushort GdtLimit { get; set; }

    /// <summary>IDTR base.</summary>
    public ulong IdtBase { get; set; }

    /// <summary>IDTR limit.</summary>
    public ushort IdtLimit { get; set; }

    /// <summary>CR0.</summary>
    public ulong Cr0 { get; set; }

    /// <summary>CR2.</summary>
    public ulong Cr2 { get; set; }

    /// <summary>CR3.</summary>
    public ulong Cr3 { get; set; }

    /// <summary>CR4.</summary>
    public ulong Cr4 { get; set; }

    /// <summary>CR8 (task priority class).</summary>
    public ulong Cr8 { get; set; }

    /// <summary>DR0 to DR3, DR6, DR7.</summary>
    public ulong[] DebugRegisters { get; } = new ulong[6];

    /// <summary>XCR0.</summary>
    public ulong Xcr0 { get; set; }

    /// <summary>x87, SSE and AVX state.</summary>
    public byte[] XsaveArea { get; } = new byte[XsaveAreaSize];

    /// <summary>Model-specific registers that the processor holds (not those of its local APIC), by ascending index.</summary>
    public List<MsrValue> Msrs { get; } = [];

    /// <summary>The processor executed HLT and waits.</summary>
    public bool Halted { get; set; }

    /// <summary>The processor waits for a start-up message.</summary>
    public bool WaitingForStartUp { get; set; }

    /// <summary>The processor stands still until its hypervisor has it go on.</summary>
    public bool StandsStill { get; set; }

    /// <summary>Interrupts are held off for one instruction, after STI or a load of SS.</summary>
    public bool InterruptShadow { get; set; }

    /// <summary>A non-maskable interrupt is pending.</summary>
    public bool NonMaskablePending { get; set; }

    /// <summary>Non-maskable interrupts are blocked until IRET.</summary>
    public bool NonMaskableBlocked { get; set; }

    /// <summary>Whether an x86-64 processor can be in this state, as far as one register limits another.</summary>
    /// <param name="reservedAddressBits">Bits above the width of physical addresses.</param>
    public bool IsPossible(ulong reservedAddressBits)
    {
        const uint ExtendedFeatures = 0xc000_0080;
        const int MxcsrOffset = 24;
        ulong efer = 0;
        foreach (MsrValue msr in Msrs)
        {
            efer = msr.Index == ExtendedFeatures ? msr.Value : efer;
        }

        bool protection = (Cr0 & 1) != 0;
        bool paging = (Cr0 & (1UL << 31)) != 0;
        bool addressExtension = (Cr4 & 0x20) != 0;
        bool active = (efer & 0x400) != 0;
        bool enabled = (efer & 0x100) != 0;
        return (!paging || protection)
            && active == (enabled && paging)
            && (!active || addressExtension)
            && Cr0 >> 32 == 0
            && (Cr3 & reservedAddressBits) == 0
            && (Xcr0 & ~7UL) == 0 && (Xcr0 & 6) != 4
            && (active || Rip <= uint.MaxValue)
            && DebugRegisters[4] >> 32 == 0 && DebugRegisters[5] >> 32 == 0
            && (BitConverter.ToUInt32(XsaveArea, MxcsrOffset) & 0xffff_0000) == 0;
    }
}
