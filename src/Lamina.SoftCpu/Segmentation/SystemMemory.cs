using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Descriptor tables, task-state segments and new stacks: accesses whose privilege does not come from the CPL.</summary>
internal static unsafe class SystemMemory
{
    private const ulong PageMask = ~0xfffUL;

    /// <summary>Reads with supervisor privilege.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load<T>(ProcessorContext* c, ulong linear, out T value)
        where T : unmanaged
    {
        if (!c->LongMode)
        {
            linear = (uint)linear;
        }

        TlbEntry* entry = TlbEntry.ForRead(c->TlbArrays + (Tlb.Supervisor * TlbEntry.Stride), linear);
        if (((linear + (ulong)(sizeof(T) - 1)) & PageMask) == entry->Tag)
        {
            // SAFETY: the tag says that all bytes lie in a page of guest RAM mapped at linear + addend.
            value = Unsafe.ReadUnaligned<T>((byte*)((nint)linear + entry->Addend));
            return true;
        }

        return GuestAccess.LoadSystem(c, linear, out value);
    }

    /// <summary>Writes with supervisor privilege.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store<T>(ProcessorContext* c, ulong linear, T value)
        where T : unmanaged => Store(c, linear, &value, sizeof(T), user: false);

    /// <summary>Writes bytes with the given privilege; all or nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store(ProcessorContext* c, ulong linear, void* source, int size, bool user)
    {
        if (!c->LongMode)
        {
            linear = (uint)linear;
        }

        TlbEntry* entry = TlbEntry.ForWrite(user ? c->UserTlb : c->TlbArrays + (Tlb.Supervisor * TlbEntry.Stride), linear);
        if (((linear + (ulong)(size - 1)) & PageMask) == entry->Tag && !c->WatchesData)
        {
            // SAFETY: as in Load, and the page is writable and holds no code.
            Unsafe.CopyBlockUnaligned((byte*)((nint)linear + entry->Addend), source, (uint)size);
            return true;
        }

        return MemoryUnit.StoreAs(c, linear, (byte*)source, size, user);
    }

    /// <summary>48-bit linear addresses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;
}
