namespace Lamina.SoftCpu;

/// <summary>Register units that the control registers let the guest use now (Intel SDM volume 3, sections 2.5 and 13.1).</summary>
[Flags]
internal enum UnitGates : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>x87: CR0.EM and CR0.TS are clear.</summary>
    X87 = 1,

    /// <summary>WAIT/FWAIT: not (CR0.MP and CR0.TS).</summary>
    Wait = 2,

    /// <summary>MMX: CR0.EM and CR0.TS are clear.</summary>
    Mmx = 4,

    /// <summary>SSE: CR4.OSFXSR set, CR0.EM and CR0.TS clear.</summary>
    Sse = 8,

    /// <summary>AVX: CR4.OSXSAVE and XCR0[2:1] set, CR0.TS clear, protected mode.</summary>
    Avx = 16,
}
