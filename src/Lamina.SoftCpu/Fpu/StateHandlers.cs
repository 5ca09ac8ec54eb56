using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>EMMS, VZEROALL, VZEROUPPER, LDMXCSR and STMXCSR.</summary>
internal static unsafe class StateHandlers
{
    /// <summary>Bits of MXCSR that exist.</summary>
    public const uint MxcsrMask = 0xffff;

    /// <summary>EMMS.</summary>
    public static bool EmptyMmx(ProcessorContext* c, Instruction* i)
    {
        if ((c->Gates & UnitGates.Mmx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Mmx);
        }

        if (X87Image.IsErrorPending(c) && !X87Errors.Signal(c))
        {
            return false;
        }

        X87Image.AbridgedTags(c) = 0;
        X87Image.SetTop(c, 0);
        return true;
    }

    /// <summary>VZEROALL: all, or outside 64-bit mode the first eight registers.</summary>
    public static bool ZeroAll(ProcessorContext* c, Instruction* i)
    {
        if ((c->Gates & UnitGates.Avx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Avx);
        }

        Unsafe.InitBlock(c->Vectors, 0, c->CodeSize == 8 ? 512u : 256u);
        return true;
    }

    /// <summary>VZEROUPPER.</summary>
    public static bool ZeroUpper(ProcessorContext* c, Instruction* i)
    {
        if ((c->Gates & UnitGates.Avx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Avx);
        }

        int count = c->CodeSize == 8 ? 16 : 8;
        for (int n = 0; n < count; n++)
        {
            Unsafe.InitBlock(c->Vectors + (n * 32) + 16, 0, 16);
        }

        return true;
    }

    /// <summary>LDMXCSR.</summary>
    public static bool LoadMxcsr(ProcessorContext* c, Instruction* i) => LoadMxcsr(c, i, UnitGates.Sse);

    /// <summary>VLDMXCSR.</summary>
    public static bool LoadMxcsrVex(ProcessorContext* c, Instruction* i) => LoadMxcsr(c, i, UnitGates.Avx);

    /// <summary>STMXCSR.</summary>
    public static bool StoreMxcsr(ProcessorContext* c, Instruction* i) => StoreMxcsr(c, i, UnitGates.Sse);

    /// <summary>VSTMXCSR.</summary>
    public static bool StoreMxcsrVex(ProcessorContext* c, Instruction* i) => StoreMxcsr(c, i, UnitGates.Avx);

    private static bool LoadMxcsr(ProcessorContext* c, Instruction* i, UnitGates gate)
    {
        if ((c->Gates & gate) == 0)
        {
            return UnitFaults.Unavailable(c, gate);
        }

        if (!GuestAccess.Load(c, i, out uint value))
        {
            return false;
        }

        if ((value & ~MxcsrMask) != 0)
        {
            return Fault.GeneralProtection(c);
        }

        c->Mxcsr = value;
        return true;
    }

    private static bool StoreMxcsr(ProcessorContext* c, Instruction* i, UnitGates gate)
    {
        return (c->Gates & gate) != 0 ? GuestAccess.Store(c, i, c->Mxcsr) : UnitFaults.Unavailable(c, gate);
    }
}
