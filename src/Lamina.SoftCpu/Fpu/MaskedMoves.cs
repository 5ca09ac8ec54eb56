using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Moves with a mask, element by element: what is masked off is not accessed and cannot fault.</summary>
internal static unsafe class MaskedMoves
{
    private const int Rdi = 7;

    /// <summary>VMASKMOVPS/PD and VPMASKMOVD/Q from memory.</summary>
    public static bool Load<T>(ProcessorContext* c, Instruction* i)
        where T : unmanaged
    {
        if ((c->Gates & UnitGates.Avx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Avx);
        }

        // SAFETY: registers are 32 bytes of the context.
        byte* result = stackalloc byte[32];
        Unsafe.InitBlock(result, 0, 32);
        byte* mask = c->Vectors + (i->Vvvv * 32);
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        int length = Length(i);
        for (int n = 0; n < length; n += sizeof(T))
        {
            if ((mask[n + sizeof(T) - 1] & 0x80) != 0 && !GuestAccess.Load(c, i->Segment, Element(c, i, offset, n), out ((T*)result)[n / sizeof(T)]))
            {
                return false;
            }
        }

        Buffer.MemoryCopy(result, c->Vectors + (i->Reg * 32), 32, 32);
        return true;
    }

    /// <summary>VMASKMOVPS/PD and VPMASKMOVD/Q to memory.</summary>
    public static bool Store<T>(ProcessorContext* c, Instruction* i)
        where T : unmanaged
    {
        if ((c->Gates & UnitGates.Avx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Avx);
        }

        return Store<T>(c, i, GuestAccess.EffectiveAddress(c, i), c->Vectors + (i->Reg * 32), c->Vectors + (i->Vvvv * 32), Length(i));
    }

    /// <summary>MASKMOVQ.</summary>
    public static bool StoreMmxBytes(ProcessorContext* c, Instruction* i)
    {
        if ((c->Gates & UnitGates.Mmx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Mmx);
        }

        if (X87Image.IsErrorPending(c) && !X87Errors.Signal(c))
        {
            return false;
        }

        int top = X87Image.Top(c);
        byte* source = X87Image.Register(c, (i->Reg - top) & 7);
        byte* mask = X87Image.Register(c, (i->Rm - top) & 7);
        if (!Store<byte>(c, i, ImplicitAddress(c, i), source, mask, 8))
        {
            return false;
        }

        MmxState.Enter(c);
        return true;
    }

    /// <summary>MASKMOVDQU.</summary>
    public static bool StoreBytes(ProcessorContext* c, Instruction* i) => StoreBytes(c, i, UnitGates.Sse);

    /// <summary>VMASKMOVDQU.</summary>
    public static bool StoreBytesVex(ProcessorContext* c, Instruction* i) => StoreBytes(c, i, UnitGates.Avx);

    private static bool StoreBytes(ProcessorContext* c, Instruction* i, UnitGates gate)
    {
        if ((c->Gates & gate) == 0)
        {
            return UnitFaults.Unavailable(c, gate);
        }

        return Store<byte>(c, i, ImplicitAddress(c, i), c->Vectors + (i->Reg * 32), c->Vectors + (i->Rm * 32), 16);
    }

    private static bool Store<T>(ProcessorContext* c, Instruction* i, ulong offset, byte* source, byte* mask, int length)
        where T : unmanaged
    {
        // All elements must be writable before the first is written.
        for (int n = 0; n < length; n += sizeof(T))
        {
            if ((mask[n + sizeof(T) - 1] & 0x80) != 0)
            {
                _ = GuestAccess.Writable(c, i->Segment, Element(c, i, offset, n), sizeof(T), out _, out bool faulted);
                if (faulted)
                {
                    return false;
                }
            }
        }

        for (int n = 0; n < length; n += sizeof(T))
        {
            if ((mask[n + sizeof(T) - 1] & 0x80) != 0 && !GuestAccess.Store(c, i->Segment, Element(c, i, offset, n), ((T*)source)[n / sizeof(T)]))
            {
                return false;
            }
        }

        return true;
    }

    private static int Length(Instruction* i) => (i->Flags & InstructionFlags.VexL) != 0 ? 32 : 16;

    private static ulong ImplicitAddress(ProcessorContext* c, Instruction* i) => Element(c, i, c->Registers[Rdi], 0);

    // 64-bit code's address is cut to 32 bits once, before what lies behind its first element is added.
    private static ulong Element(ProcessorContext* c, Instruction* i, ulong offset, int n)
    {
        ulong address = offset + (uint)n;
        return i->AddressSize == 8 || (c->CodeSize == 8 && n != 0) ? address : i->AddressSize == 4 ? (uint)address : (ushort)address;
    }
}
