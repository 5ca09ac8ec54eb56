using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>XSAVE, XSAVEOPT, XSAVEC, XRSTOR, XGETBV and XSETBV for x87, SSE and AVX state (Intel SDM volume 1, chapter 13).</summary>
internal static unsafe class ExtendedState
{
    private const ulong X87 = 1;
    private const ulong Sse = 2;
    private const ulong Avx = 4;
    private const ulong Compact = 1UL << 63;
    private const uint InitialMxcsr = 0x1f80;
    private const int Rax = 0;
    private const int Rcx = 1;
    private const int Rdx = 2;
    private const int Header = 512;
    private const int HeaderLength = 64;
    private const int AvxOffset = 576;
    private const int AvxLength = 256;

    // Bytes that are touched first.
    private const int FirstPart = 64;

    private const int AreaLength = AvxOffset + AvxLength;

    /// <summary>XGETBV.</summary>
    public static bool GetControl(ProcessorContext* c, Instruction* i)
    {
        if (!UnitFaults.XsaveEnabled(c))
        {
            return Fault.InvalidOpcode(c);
        }

        uint register = (uint)c->Registers[Rcx];
        if (register > 1 || (register == 1 && i->Data == 0))
        {
            return Fault.GeneralProtection(c);
        }

        ulong value = register == 0 ? c->Xcr0 : c->Xcr0 & InUse(c);
        c->Registers[Rax] = (uint)value;
        c->Registers[Rdx] = value >> 32;
        return true;
    }

    /// <summary>XSETBV.</summary>
    public static bool SetControl(ProcessorContext* c, Instruction* i)
    {
        if (!UnitFaults.XsaveEnabled(c))
        {
            return Fault.InvalidOpcode(c);
        }

        ulong value = Mask(c);
        bool valid = (value & X87) != 0 && (value & ~(ulong)i->Immediate) == 0 && ((value & Avx) == 0 || (value & Sse) != 0);
        if (c->Cpl != 0 || (uint)c->Registers[Rcx] != 0 || !valid)
        {
            return Fault.GeneralProtection(c);
        }

        c->Xcr0 = value;
        ProcessorMode.Update(c);
        return true;
    }

    /// <summary>XSAVE and XSAVEOPT (which may skip what is unchanged, and does not).</summary>
    public static bool Save(ProcessorContext* c, Instruction* i)
    {
        if (!Begin(c, i, true, out ulong offset, out ulong mask, out int length))
        {
            return false;
        }

        // Parts that are not saved keep their bytes.
        byte* area = c->Scratch;
        if (!Prepare(c, i, offset, area, length))
        {
            return false;
        }

        ulong inUse = InUse(c);
        ulong* header = (ulong*)(area + Header);
        header[0] = (header[0] & ~mask) | (inUse & mask);
        bool optimize = ((i->ModRm >> 3) & 7) == 6;
        WriteParts(c, i, area, optimize ? mask & inUse : mask);
        if ((mask & (Sse | Avx)) != 0)
        {
            LegacyState.WriteMxcsr(c, area);
        }

        return GuestAccess.StoreBytes(c, i->Segment, offset, area, length, FirstPart);
    }

    /// <summary>XSAVEC.</summary>
    public static bool SaveCompact(ProcessorContext* c, Instruction* i)
    {
        if (!Begin(c, i, true, out ulong offset, out ulong mask, out int length))
        {
            return false;
        }

        byte* area = c->Scratch;
        if (!Prepare(c, i, offset, area, length))
        {
            return false;
        }

        ulong saved = InUse(c) & mask;
        ulong* header = (ulong*)(area + Header);
        header[0] = saved;
        header[1] = mask | Compact;
        WriteParts(c, i, area, saved);
        if ((saved & Sse) != 0)
        {
            LegacyState.WriteMxcsr(c, area);
        }

        return GuestAccess.StoreBytes(c, i->Segment, offset, area, length, FirstPart);
    }

    /// <summary>XRSTOR, of both formats.</summary>
    public static bool Restore(ProcessorContext* c, Instruction* i)
    {
        if (!Begin(c, i, false, out ulong offset, out ulong mask, out _))
        {
            return false;
        }

        byte* area = c->Scratch;
        if (!GuestAccess.LoadBytes(c, i->Segment, offset, area, Header + HeaderLength, FirstPart))
        {
            return false;
        }

        ulong* header = (ulong*)(area + Header);
        bool compact = (header[1] & Compact) != 0;
        ulong present = header[0];
        bool valid = header[2] == 0 && (present & ~c->Xcr0) == 0;
        if (compact)
        {
            ulong format = header[1] & ~Compact;
            valid &= i->Data != 0 && (format & ~c->Xcr0) == 0 && (present & ~format) == 0 && IsZero(header + 3, 5);
        }
        else
        {
            valid &= header[1] == 0;
        }

        if (!valid)
        {
            return Fault.GeneralProtection(c);
        }

        ulong load = mask & present;
        if ((load & Avx) != 0 && !GuestAccess.LoadBytes(c, i->Segment, offset + AvxOffset, area + AvxOffset, AvxLength, FirstPart))
        {
            return false;
        }

        // MXCSR belongs to SSE in the compacted format, to SSE and AVX whatever XSTATE_BV says in the standard one.
        bool loadsMxcsr = compact ? (load & Sse) != 0 : (mask & (Sse | Avx)) != 0;
        uint mxcsr = *(uint*)(area + X87Image.Mxcsr);
        if (loadsMxcsr && (mxcsr & ~StateHandlers.MxcsrMask) != 0)
        {
            return Fault.GeneralProtection(c);
        }

        c->Mxcsr = loadsMxcsr ? mxcsr : compact && (mask & Sse) != 0 ? InitialMxcsr : c->Mxcsr;
        ReadParts(c, i, area, mask, load);
        return true;
    }

    /// <summary>The components that are not in their initial state.</summary>
    public static ulong InUse(ProcessorContext* c)
    {
        ulong xmm = c->Mxcsr ^ InitialMxcsr;
        ulong upper = 0;
        for (int n = 0; n < 16; n++)
        {
            ulong* vector = (ulong*)(c->Vectors + (n * 32));
            xmm |= vector[0] | vector[1];
            upper |= vector[2] | vector[3];
        }

        return (X87Image.IsInitial(c) ? 0 : X87) | (xmm == 0 ? 0 : Sse) | (upper == 0 ? 0 : Avx);
    }

    private static bool Begin(ProcessorContext* c, Instruction* i, bool write, out ulong offset, out ulong mask, out int length)
    {
        mask = Mask(c) & c->Xcr0;
        length = (mask & Avx) != 0 ? AreaLength : Header + HeaderLength;
        offset = GuestAccess.EffectiveAddress(c, i);
        return UnitFaults.XsaveUsable(c) && LegacyState.IsAligned(c, i, offset, 63, length, write);
    }

    // Reads what may stay as it is. A page that is not there is missed by a write.
    private static bool Prepare(ProcessorContext* c, Instruction* i, ulong offset, byte* area, int length)
    {
        _ = GuestAccess.WritableInParts(c, i->Segment, offset, length, FirstPart, out _, out bool faulted);
        return !faulted && GuestAccess.LoadBytes(c, i->Segment, offset, area, length, FirstPart);
    }

    private static void WriteParts(ProcessorContext* c, Instruction* i, byte* area, ulong parts)
    {
        if ((parts & X87) != 0)
        {
            LegacyState.WriteX87(c, area, LegacyState.IsWide(i));
        }

        if ((parts & Sse) != 0)
        {
            LegacyState.WriteXmm(c, area);
        }

        if ((parts & Avx) != 0)
        {
            int count = LegacyState.RegisterCount(c);
            for (int n = 0; n < count; n++)
            {
                Buffer.MemoryCopy(c->Vectors + (n * 32) + 16, area + AvxOffset + (n * 16), 16, 16);
            }
        }
    }

    private static void ReadParts(ProcessorContext* c, Instruction* i, byte* area, ulong mask, ulong load)
    {
        if ((load & X87) != 0)
        {
            LegacyState.ReadX87(c, area, LegacyState.IsWide(i));
        }
        else if ((mask & X87) != 0)
        {
            X87Image.Initialize(c);
            Unsafe.InitBlock(c->X87Image + X87Image.Registers, 0, 128);
        }

        // What is not in the area becomes zero.
        if ((mask & Sse) != 0)
        {
            if ((load & Sse) == 0)
            {
                Unsafe.InitBlock(area, 0, LegacyState.Length);
            }

            LegacyState.ReadXmm(c, area);
        }

        if ((mask & Avx) != 0)
        {
            if ((load & Avx) == 0)
            {
                Unsafe.InitBlock(area + AvxOffset, 0, AvxLength);
            }

            int count = LegacyState.RegisterCount(c);
            for (int n = 0; n < count; n++)
            {
                Buffer.MemoryCopy(area + AvxOffset + (n * 16), c->Vectors + (n * 32) + 16, 16, 16);
            }
        }
    }

    private static ulong Mask(ProcessorContext* c) => (uint)c->Registers[Rax] | (c->Registers[Rdx] << 32);

    private static bool IsZero(ulong* words, int count)
    {
        ulong any = 0;
        for (int n = 0; n < count; n++)
        {
            any |= words[n];
        }

        return any == 0;
    }
}
