using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Memory;

/// <summary>The slow half of every access: page walks, devices, code pages, page crossings, watched addresses.</summary>
internal static unsafe class MemoryUnit
{
    private const ulong PageMask = ~0xfffUL;

    /// <summary>Reads bytes at a linear address with the current privilege, recording a fault if it fails.</summary>
    public static bool LoadSlow(ProcessorContext* c, int segment, ulong linear, byte* destination, int size)
    {
        return Load(c, segment, linear, destination, size, size);
    }

    /// <summary>The same for an operand that the processor reads in parts.</summary>
    /// <param name="c">The processor.</param>
    /// <param name="segment">The segment, which says which exception an address that is not canonical is.</param>
    /// <param name="linear">The address.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <param name="size">How many there are.</param>
    /// <param name="first">Bytes of the first part, whose page is looked at before the others are known to be at canonical addresses.</param>
    public static bool Load(ProcessorContext* c, int segment, ulong linear, byte* destination, int size, int first)
    {
        return Check(c, segment, linear, size, first, PageAccess.Read) && Access(c, linear, destination, size, PageAccess.Read, c->Cpl == 3, SmapOff(c), InUse(c));
    }

    /// <summary>The same for a far pointer: one of 32 bits is aligned to 2 bytes, others are to 4 (Intel SDM volume 3, table 6-7; AMD processors have 4 for those of 80 bits, too).</summary>
    public static bool LoadFarPointer(ProcessorContext* c, int segment, ulong linear, byte* destination, int size, int first)
    {
        int alignment = size == 4 ? 2 : 4;
        return Check(c, segment, linear, size, first, PageAccess.Read, alignment) && Access(c, linear, destination, size, PageAccess.Read, c->Cpl == 3, SmapOff(c), InUse(c));
    }

    /// <summary>Writes bytes at a linear address with the current privilege.</summary>
    public static bool StoreSlow(ProcessorContext* c, int segment, ulong linear, byte* source, int size)
    {
        return Store(c, segment, linear, source, size, size);
    }

    /// <summary>The same for an operand that the processor writes in parts.</summary>
    public static bool Store(ProcessorContext* c, int segment, ulong linear, byte* source, int size, int first)
    {
        return Check(c, segment, linear, size, first, PageAccess.Write) && Access(c, linear, source, size, PageAccess.Write, c->Cpl == 3, SmapOff(c), InUse(c));
    }

    /// <summary>See <see cref="GuestAccess.Writable"/>.</summary>
    public static byte* WritableSlow(ProcessorContext* c, int segment, ulong linear, int size, int first, out bool faulted)
    {
        faulted = true;
        if (!Check(c, segment, linear, size, first, PageAccess.Write))
        {
            return null;
        }

        SoftwareProcessor p = SoftwareProcessor.Of(c);
        if (((linear ^ (linear + (ulong)size - 1)) & PageMask) != 0)
        {
            // Both pages must be writable before anything is read.
            faulted = !Translate(c, p, linear, PageAccess.Write, c->Cpl == 3, SmapOff(c), InUse(c), out _, out _)
                || !Translate(c, p, Wrap(c, (linear + (ulong)size - 1) & PageMask), PageAccess.Write, c->Cpl == 3, SmapOff(c), InUse(c), out _, out _);
            return null;
        }

        if (!Translate(c, p, linear, PageAccess.Write, c->Cpl == 3, SmapOff(c), InUse(c), out ulong physical, out byte* host))
        {
            return null;
        }

        faulted = false;
        return host == null || p.IsCodePage(physical) || c->WatchesData ? null : host;
    }

    /// <summary>Reads with the given privilege, whatever the CPL; a supervisor access is an implicit one (SMAP applies).</summary>
    public static bool LoadAs(ProcessorContext* c, ulong linear, byte* destination, int size, bool user)
    {
        return CheckCanonical(c, linear, size) && Access(c, linear, destination, size, PageAccess.Read, user, false, user ? c->UserTlb : c->TlbArrays + (Tlb.Supervisor * TlbEntry.Stride));
    }

    /// <summary>Writes with the given privilege, whatever the CPL.</summary>
    public static bool StoreAs(ProcessorContext* c, ulong linear, byte* source, int size, bool user)
    {
        return CheckCanonical(c, linear, size) && Access(c, linear, source, size, PageAccess.Write, user, false, user ? c->UserTlb : c->TlbArrays + (Tlb.Supervisor * TlbEntry.Stride));
    }

    /// <summary>Translates a canonical instruction address with the current privilege, recording #PF if it fails.</summary>
    public static bool TranslateFetch(ProcessorContext* c, ulong linear, out PageTranslation translation)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        if (!PageWalker.Walk(c, p, linear, PageAccess.Execute, c->Cpl == 3, false, out translation, out uint code))
        {
            return Fault.Page(c, linear, code);
        }

        NoteSize(p, linear, translation.PageSize);
        return true;
    }

    /// <summary>Drops all translations, global ones too.</summary>
    public static void FlushTlb(ProcessorContext* c)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        p.Tlb.FlushAll();
        p.FlushFetches(global: true);
    }

    /// <summary>Drops all translations but those of global pages.</summary>
    public static void FlushTlbLocal(ProcessorContext* c)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        p.Tlb.FlushLocal();
        p.FlushFetches(global: false);
    }

    /// <summary>Drops the translations of all address spaces, but those of global pages.</summary>
    public static void FlushTlbSpaces(ProcessorContext* c)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        p.Tlb.FlushSpaces();
        p.FlushFetchSpaces();
    }

    /// <summary>Drops the translations of one process-context identifier, but those of global pages.</summary>
    public static void FlushTlbSpace(ProcessorContext* c, int identifier)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        if (identifier == SpaceOf(c))
        {
            FlushTlbLocal(c);
        }
        else if (p.Spaces.Find(identifier) is var space and >= 0)
        {
            p.Tlb.FlushSpace(space);
            p.FlushFetchSpace(space);
        }
    }

    /// <summary>Loads CR3 with a valid value, in the bits that may be set.</summary>
    /// <param name="c">The processor.</param>
    /// <param name="value">The value.</param>
    /// <param name="keep">Nothing of the space that it names is to be dropped.</param>
    public static void LoadCr3(ProcessorContext* c, ulong value, bool keep)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        int from = SpaceOf(c);
        c->Cr3 = value;
        int to = SpaceOf(c);
        if (from == to)
        {
            if (!keep)
            {
                FlushTlbLocal(c);
            }

            return;
        }

        keep &= p.Spaces.Switch(from, to);
        int space = p.Spaces.Current;
        p.Tlb.SwitchSpace(space);
        p.SwitchFetches(space);
        if (!keep)
        {
            FlushTlbLocal(c);
        }

        c->UserTlb = p.Tlb.UserArray;
        c->UserJumps = p.Jumps.Array(8, user: true);
        ProcessorMode.SelectTlb(c);
    }

    /// <summary>The current process-context identifier; 0 if there are none.</summary>
    public static int SpaceOf(ProcessorContext* c)
    {
        const ulong pcide = 1 << 17;
        return (c->Cr4 & pcide) != 0 ? (int)(c->Cr3 & 0xfff) : 0;
    }

    /// <summary>Drops the translations of one linear address.</summary>
    public static void FlushTlbPage(ProcessorContext* c, ulong linear)
    {
        SoftwareProcessor p = SoftwareProcessor.Of(c);
        if (p.Tlb.MayBeLarge(linear))
        {
            // Entries are fragments of 4 KiB: a larger page has many.
            FlushTlb(c);
            return;
        }

        p.Tlb.FlushPage(linear);
        p.FlushFetchPage(linear);
    }

    private static bool Access(ProcessorContext* c, ulong linear, byte* data, int size, PageAccess access, bool user, bool smapOff, TlbEntry* array)
    {
        int first = Math.Min(size, 4096 - (int)(linear & 0xfff));
        if (first == size && array != null && !c->WatchesData && Tlb.Refill(array, linear & PageMask, access == PageAccess.Write) is var entry && entry != null)
        {
            byte* cached = (byte*)((nint)linear + entry->Addend);
            Copy(access == PageAccess.Write ? data : cached, access == PageAccess.Write ? cached : data, size);
            return true;
        }

        SoftwareProcessor p = SoftwareProcessor.Of(c);
        if (!Translate(c, p, linear, access, user, smapOff, array, out ulong physical, out byte* host))
        {
            return false;
        }

        if (first < size)
        {
            ulong next = Wrap(c, linear + (ulong)first);
            if (!Translate(c, p, next, access, user, smapOff, array, out ulong physical2, out byte* host2))
            {
                return false;
            }

            Transfer(p, physical, host, data, first, access);
            Transfer(p, physical2, host2, data + first, size - first, access);
        }
        else
        {
            Transfer(p, physical, host, data, size, access);
        }

        if (c->WatchesData)
        {
            DebugUnit.DataAccess(c, linear, size, access == PageAccess.Write);
        }

        return true;
    }

    private static bool Translate(ProcessorContext* c, SoftwareProcessor p, ulong linear, PageAccess access, bool user, bool smapOff, TlbEntry* array, out ulong physical, out byte* host)
    {
        if (!PageWalker.Walk(c, p, linear, access, user, smapOff, out PageTranslation t, out uint code))
        {
            physical = 0;
            host = null;
            return Fault.Page(c, linear, code);
        }

        physical = t.Physical;
        host = p.HostAddress(physical);
        NoteSize(p, linear, t.PageSize);
        if (access == PageAccess.Write && host != null)
        {
            p.BeforeWrite(host);
        }

        if (host != null && array != null)
        {
            // Writes to a code page are told one by one.
            bool write = access == PageAccess.Write;
            if (!write || (t.Writable && p.BeginWrites(physical)))
            {
                p.Tlb.Fill(array, linear & PageMask, (nint)(host - (byte*)linear), write, t.Global);
            }
        }

        return true;
    }

    // The TLB of the current privilege; null: it must stay empty.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TlbEntry* InUse(ProcessorContext* c) => c->Tlb != c->TlbArrays + (Tlb.AlwaysMiss * TlbEntry.Stride) ? c->Tlb : null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NoteSize(SoftwareProcessor p, ulong linear, ulong pageSize)
    {
        if (pageSize > 4096)
        {
            p.Tlb.NoteLargePage(linear, pageSize);
        }
    }

    private static void Transfer(SoftwareProcessor p, ulong physical, byte* host, byte* data, int size, PageAccess access)
    {
        if (host == null)
        {
            p.AccessDevice(physical, data, size, access == PageAccess.Write);
        }
        else if (access == PageAccess.Write)
        {
            Copy(data, host, size);
            p.Written(physical, size);
        }
        else
        {
            Copy(host, data, size);
        }
    }

    // One access for the natural sizes, so that aligned ones stay atomic.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(byte* source, byte* destination, int size)
    {
        switch (size)
        {
            case 1:
                *destination = *source;
                break;
            case 2:
                Unsafe.WriteUnaligned(destination, Unsafe.ReadUnaligned<ushort>(source));
                break;
            case 4:
                Unsafe.WriteUnaligned(destination, Unsafe.ReadUnaligned<uint>(source));
                break;
            case 8:
                Unsafe.WriteUnaligned(destination, Unsafe.ReadUnaligned<ulong>(source));
                break;
            default:
                Buffer.MemoryCopy(source, destination, size, size);
                break;
        }
    }

    private static bool Check(ProcessorContext* c, int segment, ulong linear, int size, int first, PageAccess access, int alignment = 0)
    {
        if (c->LongMode && c->CodeSize == 8 && (!IsCanonical(linear) || !IsCanonical(linear + (ulong)size - 1)))
        {
            // A first part that lies at canonical addresses has its page fault first. It is aligned, or so small that it lies in one page.
            if (IsCanonical(linear) && IsCanonical(linear + (ulong)first - 1) && !Translate(c, SoftwareProcessor.Of(c), linear, access, c->Cpl == 3, SmapOff(c), InUse(c), out _, out _))
            {
                return false;
            }

            return segment == SegmentRegister.Ss ? Fault.StackFault(c) : Fault.GeneralProtection(c);
        }

        const uint ac = Flags.AlignmentCheck;
        alignment = alignment != 0 ? alignment : (size & (size - 1)) == 0 && size <= 8 ? size : 1;
        bool misaligned = (linear & (ulong)(alignment - 1)) != 0;
        return !misaligned || c->Cpl != 3 || (c->SystemFlags & ac) == 0 || (c->Cr0 & (1 << 18)) == 0 || Fault.AlignmentCheck(c);
    }

    private static bool CheckCanonical(ProcessorContext* c, ulong linear, int size)
    {
        return !c->LongMode || (IsCanonical(linear) && IsCanonical(linear + (ulong)size - 1)) || Fault.GeneralProtection(c);
    }

    /// <summary>Bits 63:47 are all equal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Wrap(ProcessorContext* c, ulong linear) => c->LongMode ? linear : (uint)linear;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool SmapOff(ProcessorContext* c) => (c->SystemFlags & Flags.AlignmentCheck) != 0;
}
