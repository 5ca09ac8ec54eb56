using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Memory;

/// <summary>
/// Data accesses of the running program: segmentation, then paging, then RAM or device. Every method answers <c>false</c> after recording a fault
/// (<see cref="Execute.Fault"/>); nothing has been written then. An access that crosses a page is checked on both pages first.
/// </summary>
internal static unsafe class GuestAccess
{
    private const ulong PageMask = ~0xfffUL;

    /// <summary>Offset of the memory operand in its segment, truncated to the address size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong EffectiveAddress(ProcessorContext* c, Instruction* i)
    {
        ulong address = c->Registers[i->Base] + (c->Registers[i->Index] << i->Scale) + (ulong)(long)i->Displacement;
        if ((i->Flags & InstructionFlags.RipRelative) != 0)
        {
            address += c->Rip + i->Length;
        }

        return i->AddressSize == 8 ? address : i->AddressSize == 4 ? (uint)address : (ushort)address;
    }

    /// <summary>Reads the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load<T>(ProcessorContext* c, Instruction* i, out T value)
        where T : unmanaged => Load(c, i->Segment, EffectiveAddress(c, i), out value);

    /// <summary>Writes the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store<T>(ProcessorContext* c, Instruction* i, T value)
        where T : unmanaged => Store(c, i->Segment, EffectiveAddress(c, i), value);

    /// <summary>Reads at an offset in a segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load<T>(ProcessorContext* c, int segment, ulong offset, out T value)
        where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        if (!Linear(c, segment, offset, sizeof(T), false, out ulong linear))
        {
            return false;
        }

        TlbEntry* entry = TlbEntry.ForRead(c->Tlb, linear);
        if (((linear + (ulong)(sizeof(T) - 1)) & PageMask) == entry->Tag)
        {
            // SAFETY: the tag says that all bytes lie in a page of guest RAM mapped at linear + addend.
            value = Unsafe.ReadUnaligned<T>((byte*)((nint)linear + entry->Addend));
            return true;
        }

        fixed (T* p = &value)
        {
            return MemoryUnit.LoadSlow(c, segment, linear, (byte*)p, sizeof(T));
        }
    }

    /// <summary>Writes at an offset in a segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store<T>(ProcessorContext* c, int segment, ulong offset, T value)
        where T : unmanaged
    {
        if (!Linear(c, segment, offset, sizeof(T), true, out ulong linear))
        {
            return false;
        }

        TlbEntry* entry = TlbEntry.ForWrite(c->Tlb, linear);
        if (((linear + (ulong)(sizeof(T) - 1)) & PageMask) == entry->Tag)
        {
            // SAFETY: as in Load, and the page is writable and holds no code.
            Unsafe.WriteUnaligned((byte*)((nint)linear + entry->Addend), value);
            return true;
        }

        return MemoryUnit.StoreSlow(c, segment, linear, (byte*)&value, sizeof(T));
    }

    /// <summary>
    /// The host address of a writable operand that lies in one page of plain RAM, for a read-modify-write; null if it must go the slow way
    /// (device, page crossing, code page) or has faulted: then <paramref name="faulted"/> tells which.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Writable(ProcessorContext* c, int segment, ulong offset, int size, out ulong linear, out bool faulted)
        => WritableInParts(c, segment, offset, size, size, out linear, out faulted);

    /// <summary>The same for an operand of which the processor looks at some bytes first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* WritableInParts(ProcessorContext* c, int segment, ulong offset, int size, int first, out ulong linear, out bool faulted)
    {
        if (!Linear(c, segment, offset, size, true, out linear))
        {
            faulted = true;
            return null;
        }

        TlbEntry* entry = TlbEntry.ForWrite(c->Tlb, linear);
        if (((linear + (ulong)(size - 1)) & PageMask) == entry->Tag)
        {
            faulted = false;
            return (byte*)((nint)linear + entry->Addend);
        }

        return MemoryUnit.WritableSlow(c, segment, linear, size, first, out faulted);
    }

    /// <summary>The host address of readable bytes in one page of RAM, from the TLB alone; null if it does not know.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* ReadableCached(ProcessorContext* c, ulong linear)
    {
        TlbEntry* entry = TlbEntry.ForRead(c->Tlb, linear);
        return (linear & PageMask) == entry->Tag ? (byte*)((nint)linear + entry->Addend) : null;
    }

    /// <summary>The same for writable bytes of a page that nobody watches.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* WritableCached(ProcessorContext* c, ulong linear)
    {
        TlbEntry* entry = TlbEntry.ForWrite(c->Tlb, linear);
        return (linear & PageMask) == entry->Tag ? (byte*)((nint)linear + entry->Addend) : null;
    }

    /// <summary>
    /// Copies <paramref name="length"/> (at most 4096) bytes from guest memory; they may cross one page. The processor touches the <paramref name="first"/> of them before
    /// it looks at whether the others are at canonical addresses.
    /// </summary>
    public static bool LoadBytes(ProcessorContext* c, int segment, ulong offset, byte* destination, int length, int first)
    {
        return Linear(c, segment, offset, length, false, out ulong linear) && MemoryUnit.Load(c, segment, linear, destination, length, first);
    }

    /// <summary>Copies a far pointer, of <paramref name="length"/> bytes with its selector.</summary>
    public static bool LoadFarPointer(ProcessorContext* c, int segment, ulong offset, byte* destination, int length, int first)
    {
        return Linear(c, segment, offset, length, false, out ulong linear) && MemoryUnit.LoadFarPointer(c, segment, linear, destination, length, first);
    }

    /// <summary>Copies <paramref name="length"/> (at most 4096) bytes to guest memory; they may cross one page. All or nothing.</summary>
    public static bool StoreBytes(ProcessorContext* c, int segment, ulong offset, byte* source, int length, int first)
    {
        return Linear(c, segment, offset, length, true, out ulong linear) && MemoryUnit.Store(c, segment, linear, source, length, first);
    }

    /// <summary>Segment limit and type checks, and the linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Linear(ProcessorContext* c, int segment, ulong offset, int size, bool write, out ulong linear)
    {
        if (c->CodeSize == 8)
        {
            // Canonical form is checked on a TLB miss: no entry exists for other addresses.
            linear = offset + c->SegmentBase[segment];
            return true;
        }

        return SegmentChecks.Check(c, segment, (uint)offset, size, write, out linear);
    }

    /// <summary>Reads a linear address with supervisor privilege, whatever the CPL: descriptor tables and task-state segments.</summary>
    public static bool LoadSystem<T>(ProcessorContext* c, ulong linear, out T value)
        where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        fixed (T* p = &value)
        {
            return MemoryUnit.LoadAs(c, linear, (byte*)p, sizeof(T), user: false);
        }
    }

    /// <summary>Writes a linear address with supervisor privilege.</summary>
    public static bool StoreSystem<T>(ProcessorContext* c, ulong linear, T value)
        where T : unmanaged => MemoryUnit.StoreAs(c, linear, (byte*)&value, sizeof(T), user: false);
}
