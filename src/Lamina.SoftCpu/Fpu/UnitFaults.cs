using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Which exception a register unit that is switched off raises (Intel SDM volume 3, sections 2.5 and 13.1).</summary>
internal static unsafe class UnitFaults
{
    private const ulong Emulation = 4;
    private const ulong TaskSwitched = 8;
    private const ulong OsFxsr = 1 << 9;
    private const ulong OsXmmExceptions = 1 << 10;
    private const ulong OsXsave = 1 << 18;

    /// <summary>Records #UD or #NM for an instruction that needs <paramref name="needed"/>, which are not all open.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static bool Unavailable(ProcessorContext* c, UnitGates needed)
    {
        bool emulation = (c->Cr0 & Emulation) != 0;
        bool undefined = false;
        if ((needed & UnitGates.Avx) != 0)
        {
            undefined |= !c->Protected || (c->Cr4 & OsXsave) == 0 || (c->Xcr0 & 6) != 6;
        }

        if ((needed & UnitGates.Sse) != 0)
        {
            undefined |= emulation || (c->Cr4 & OsFxsr) == 0;
        }

        if ((needed & UnitGates.Mmx) != 0)
        {
            undefined |= emulation;
        }

        return undefined ? Fault.InvalidOpcode(c) : Fault.DeviceNotAvailable(c);
    }

    /// <summary>XSAVE and its relatives: CR4.OSXSAVE, then CR0.TS.</summary>
    public static bool XsaveUsable(ProcessorContext* c)
    {
        if ((c->Cr4 & OsXsave) == 0)
        {
            return Fault.InvalidOpcode(c);
        }

        return (c->Cr0 & TaskSwitched) == 0 || Fault.DeviceNotAvailable(c);
    }

    /// <summary>FXSAVE and FXRSTOR save SSE state too.</summary>
    public static bool SavesSse(ProcessorContext* c) => (c->Cr4 & OsFxsr) != 0;

    /// <summary>CR4.OSXSAVE.</summary>
    public static bool XsaveEnabled(ProcessorContext* c) => (c->Cr4 & OsXsave) != 0;

    /// <summary>An unmasked SIMD exception: #XM, or #UD if the system has not said that it handles it.</summary>
    public static bool SimdException(ProcessorContext* c) =>
        (c->Cr4 & OsXmmExceptions) != 0 ? Fault.SimdFloatingPoint(c) : Fault.InvalidOpcode(c);
}
