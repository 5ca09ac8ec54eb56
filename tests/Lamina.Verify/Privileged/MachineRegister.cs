namespace Lamina.Verify.Privileged;

/// <summary>Registers of <see cref="MachineImage"/> beside general and segment registers; the names are those of test vectors.</summary>
internal enum MachineRegister
{
    Rip,
    Flags,
    Cpl,
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Cr8,
    Efer,
    Xcr0,
    Dr0,
    Dr1,
    Dr2,
    Dr3,
    Dr6,
    Dr7,
    GdtBase,
    GdtLimit,
    IdtBase,
    IdtLimit,
    Star,
    Lstar,
    Cstar,
    Fmask,
    KernelGsBase,
    SysenterCs,
    SysenterEsp,
    SysenterEip,
    TscAux,

    /// <summary>One: HLT waits for an interrupt.</summary>
    Halted,

    /// <summary>What comes before the instruction, in its place: a vector, and 100H of a maskable interrupt or 200H of an NMI; zero for nothing.</summary>
    Event,

    /// <summary>One: a load of SS holds off debug traps and interrupts.</summary>
    StackShadow,

    /// <summary>Most instructions of a program, which ends at VMCALL; zero: one instruction is executed.</summary>
    Steps,

    Count,
}
