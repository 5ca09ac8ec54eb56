using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>FXSAVE and FXRSTOR, and the legacy region of XSAVE areas (Intel SDM volume 1, sections 10.5 and 13.4.1).</summary>
internal static unsafe class LegacyState
{
    /// <summary>Bytes of the region.</summary>
    public const int Length = 512;

    private const int MxcsrOffset = 24;
    private const int MaskOffset = 28;
    private const int XmmOffset = 160;

    /// <summary>FXSAVE.</summary>
    public static bool Save(ProcessorContext* c, Instruction* i)
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (!Available(c) || !IsAligned(c, i, offset, 15, Length, write: true))
        {
            return false;
        }

        // The bytes behind the registers stay as they are, but must be there.
        _ = GuestAccess.Writable(c, i->Segment, offset, Length, out _, out bool faulted);
        if (faulted)
        {
            return false;
        }

        byte* area = c->Scratch;
        int length = XmmOffset;
        WriteX87(c, area, IsWide(i));
        *(uint*)(area + MxcsrOffset) = 0;
        *(uint*)(area + MaskOffset) = 0;
        if (UnitFaults.SavesSse(c))
        {
            WriteMxcsr(c, area);
            WriteXmm(c, area);
            length += RegisterCount(c) * 16;
        }

        return GuestAccess.StoreBytes(c, i->Segment, offset, area, length, length);
    }

    /// <summary>FXRSTOR.</summary>
    public static bool Restore(ProcessorContext* c, Instruction* i)
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* area = c->Scratch;
        if (!Available(c) || !IsAligned(c, i, offset, 15, Length, write: false) || !GuestAccess.LoadBytes(c, i->Segment, offset, area, Length, Length))
        {
            return false;
        }

        if (UnitFaults.SavesSse(c))
        {
            if ((*(uint*)(area + MxcsrOffset) & ~StateHandlers.MxcsrMask) != 0)
            {
                return Fault.GeneralProtection(c);
            }

            c->Mxcsr = *(uint*)(area + MxcsrOffset);
            ReadXmm(c, area);
        }

        ReadX87(c, area, IsWide(i));
        return true;
    }

    /// <summary>Stores the x87 part.</summary>
    /// <param name="c">The processor.</param>
    /// <param name="area">The region.</param>
    /// <param name="wide">64-bit pointers (REX.W), else 32-bit ones with selectors, which are zero.</param>
    public static void WriteX87(ProcessorContext* c, byte* area, bool wide)
    {
        Buffer.MemoryCopy(c->X87Image, area, 24, 24);
        area[5] = 0;
        if (!wide)
        {
            *(uint*)(area + 12) = 0;
            *(uint*)(area + 20) = 0;
        }

        for (int n = 0; n < 8; n++)
        {
            byte* register = area + X87Image.Registers + (n * 16);
            Buffer.MemoryCopy(X87Image.Register(c, n), register, 16, 10);
            *(ushort*)(register + 10) = 0;
            *(uint*)(register + 12) = 0;
        }
    }

    /// <summary>Loads the x87 part.</summary>
    public static void ReadX87(ProcessorContext* c, byte* area, bool wide)
    {
        Buffer.MemoryCopy(area, c->X87Image, 24, 24);
        c->X87Image[5] = 0;
        X87Image.Opcode(c) &= 0x7ff;
        if (!wide)
        {
            *(uint*)(c->X87Image + 12) = 0;
            *(uint*)(c->X87Image + 20) = 0;
        }

        for (int n = 0; n < 8; n++)
        {
            Buffer.MemoryCopy(area + X87Image.Registers + (n * 16), X87Image.Register(c, n), 10, 10);
        }

        X87Image.SetControl(c, X87Image.Control(c));
    }

    /// <summary>Stores MXCSR and its mask.</summary>
    public static void WriteMxcsr(ProcessorContext* c, byte* area)
    {
        *(uint*)(area + MxcsrOffset) = c->Mxcsr;
        *(uint*)(area + MaskOffset) = StateHandlers.MxcsrMask;
    }

    /// <summary>Stores the XMM registers that the mode has.</summary>
    public static void WriteXmm(ProcessorContext* c, byte* area)
    {
        int count = RegisterCount(c);
        for (int n = 0; n < count; n++)
        {
            Buffer.MemoryCopy(c->Vectors + (n * 32), area + XmmOffset + (n * 16), 16, 16);
        }
    }

    /// <summary>Loads them.</summary>
    public static void ReadXmm(ProcessorContext* c, byte* area)
    {
        int count = RegisterCount(c);
        for (int n = 0; n < count; n++)
        {
            Buffer.MemoryCopy(area + XmmOffset + (n * 16), c->Vectors + (n * 32), 16, 16);
        }
    }

    /// <summary>Vector registers in the current mode.</summary>
    public static int RegisterCount(ProcessorContext* c) => c->CodeSize == 8 ? 16 : 8;

    /// <summary>REX.W.</summary>
    public static bool IsWide(Instruction* i) => (i->Rex & 8) != 0;

    /// <summary>Checks the alignment of an area: segment faults first, then #GP.</summary>
    public static bool IsAligned(ProcessorContext* c, Instruction* i, ulong offset, uint mask, int length, bool write)
    {
        return GuestAccess.Linear(c, i->Segment, offset, length, write, out ulong linear) && ((linear & mask) == 0 || Fault.GeneralProtection(c));
    }

    private static bool Available(ProcessorContext* c) => (c->Gates & UnitGates.X87) != 0 || Fault.DeviceNotAvailable(c);
}
