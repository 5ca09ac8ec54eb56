using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Memory;

/// <summary>
/// Page-table walks for every paging mode (Intel SDM volume 3, chapter 4): none, 32-bit, PAE, 4-level. It alone knows WP, NX, SMEP, SMAP,
/// reserved bits and the accessed and dirty flags, which it sets atomically and only when the access is permitted.
/// </summary>
internal static unsafe class PageWalker
{
    private const ulong Present = 1;
    private const ulong Write = 2;
    private const ulong User = 4;
    private const ulong Accessed = 0x20;
    private const ulong Dirty = 0x40;
    private const ulong Large = 0x80;
    private const ulong GlobalPage = 0x100;
    private const ulong NoExecute = 1UL << 63;
    private const ulong AddressMask = 0x000f_ffff_ffff_f000;

    private const uint CodePresent = 1;
    private const uint CodeWrite = 2;
    private const uint CodeUser = 4;
    private const uint CodeReserved = 8;
    private const uint CodeFetch = 16;

    private const ulong Cr0WriteProtect = 1 << 16;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr4PageSizeExtension = 1 << 4;
    private const ulong Cr4Pae = 1 << 5;
    private const ulong Cr4GlobalPages = 1 << 7;
    private const ulong Cr4Smep = 1 << 20;
    private const ulong Cr4Smap = 1 << 21;
    private const ulong EferNxe = 1 << 11;

    /// <summary>Translates. On failure nothing has changed and <paramref name="code"/> is the #PF error code.</summary>
    /// <param name="c">The processor.</param>
    /// <param name="processor">Its managed half.</param>
    /// <param name="linear">Canonical linear address.</param>
    /// <param name="access">What is wanted.</param>
    /// <param name="user">With user privilege.</param>
    /// <param name="smapOff">User pages are open to this supervisor access (RFLAGS.AC, explicit access).</param>
    /// <param name="result">The translation.</param>
    /// <param name="code">Error code.</param>
    public static bool Walk(ProcessorContext* c, SoftwareProcessor processor, ulong linear, PageAccess access, bool user, bool smapOff, out PageTranslation result, out uint code)
    {
        result = default;
        code = 0;
        if ((c->Cr0 & Cr0Paging) == 0)
        {
            result.Physical = (uint)linear;
            result.PageSize = 4096;
            result.Writable = true;
            return true;
        }

        while (true)
        {
            bool done = c->LongMode ? WalkLong(c, processor, linear, access, user, smapOff, ref result, ref code, out bool again)
                : (c->Cr4 & Cr4Pae) != 0 ? WalkPae(c, processor, linear, access, user, smapOff, ref result, ref code, out again)
                : WalkLegacy(c, processor, linear, access, user, smapOff, ref result, ref code, out again);
            if (!again)
            {
                if (!done)
                {
                    bool noExecute = (c->Efer & EferNxe) != 0 && (c->Cr4 & Cr4Pae) != 0;
                    bool fetchBit = access == PageAccess.Execute && (noExecute || (c->Cr4 & Cr4Smep) != 0);
                    code |= (access == PageAccess.Write ? CodeWrite : 0) | (user ? CodeUser : 0) | (fetchBit ? CodeFetch : 0);
                }

                return done;
            }
        }
    }

    private static bool WalkLong(ProcessorContext* c, SoftwareProcessor p, ulong linear, PageAccess access, bool user, bool smapOff, ref PageTranslation result, ref uint code, out bool again)
    {
        ulong* tables = stackalloc ulong[4];
        ulong* entries = stackalloc ulong[4];
        ulong table = c->Cr3 & AddressMask;
        return WalkLevels(c, p, linear, 3, table, Write | User, tables, entries, access, user, smapOff, ref result, ref code, out again);
    }

    private static bool WalkPae(ProcessorContext* c, SoftwareProcessor p, ulong linear, PageAccess access, bool user, bool smapOff, ref PageTranslation result, ref uint code, out bool again)
    {
        again = false;
        ulong pointer = p.PageDirectoryPointers[(int)(linear >> 30) & 3];
        if ((pointer & Present) == 0)
        {
            return false;
        }

        ulong* tables = stackalloc ulong[4];
        ulong* entries = stackalloc ulong[4];
        return WalkLevels(c, p, linear, 1, pointer & AddressMask, Write | User, tables, entries, access, user, smapOff, ref result, ref code, out again);
    }

    // Levels of 512 eight-byte entries, from `level` (3 = PML4) down to 0 (page table).
    private static bool WalkLevels(
        ProcessorContext* c, SoftwareProcessor p, ulong linear, int level, ulong table, ulong rights, ulong* tables, ulong* entries, PageAccess access, bool user, bool smapOff, ref PageTranslation result, ref uint code, out bool again)
    {
        again = false;
        bool nxe = (c->Efer & EferNxe) != 0;
        ulong reserved = p.ReservedAddressBits | (nxe ? 0 : NoExecute);
        if (!c->LongMode)
        {
            // In PAE paging bits 62:52 are reserved (SDM volume 3, table 4-8 ff.).
            reserved |= 0x7ff0_0000_0000_0000;
        }

        int top = level;
        ulong noExecute = 0;
        ulong entry;
        ulong size;
        while (true)
        {
            ulong address = table + ((linear >> (12 + (9 * level))) & 511) * 8;
            if (!p.ReadPageTable(address, out entry) || (entry & Present) == 0)
            {
                return false;
            }

            tables[level] = address;
            entries[level] = entry;
            bool leaf = level == 0 || ((entry & Large) != 0 && level < 3);
            size = 1UL << (12 + (9 * level));
            ulong levelReserved = reserved;
            if (leaf && level > 0)
            {
                levelReserved |= (size - 1) & 0x000f_ffff_ffff_e000;
                if (level == 2 && (p.Features & ProcessorFeatures.Page1G) == 0)
                {
                    levelReserved |= Large;
                }
            }
            else if (level == 3)
            {
                levelReserved |= Large;
            }

            if ((entry & levelReserved) != 0)
            {
                code = CodePresent | CodeReserved;
                return false;
            }

            rights &= entry;
            noExecute |= entry & NoExecute;
            if (leaf)
            {
                break;
            }

            table = entry & AddressMask;
            level--;
        }

        if (!Permitted(c, rights, noExecute != 0, access, user, smapOff))
        {
            code = CodePresent;
            return false;
        }

        for (int l = top; l >= level; l--)
        {
            ulong wanted = entries[l] | Accessed | (l == level && access == PageAccess.Write ? Dirty : 0);
            if (wanted != entries[l] && !p.UpdatePageTable(tables[l], entries[l], wanted))
            {
                again = true;
                return false;
            }

            entries[l] = wanted;
        }

        result.Physical = (entry & AddressMask & ~(size - 1)) | (linear & (size - 1));
        result.PageSize = size;
        result.Global = (entry & GlobalPage) != 0 && (c->Cr4 & Cr4GlobalPages) != 0;
        result.Writable = (entries[level] & Dirty) != 0 && WriteAllowed(c, rights, user);
        return true;
    }

    private static bool WalkLegacy(ProcessorContext* c, SoftwareProcessor p, ulong linear, PageAccess access, bool user, bool smapOff, ref PageTranslation result, ref uint code, out bool again)
    {
        again = false;
        ulong directoryAddress = (c->Cr3 & 0xffff_f000) + ((linear >> 22) & 1023) * 4;
        if (!p.ReadPageTable32(directoryAddress, out uint directory) || (directory & Present) == 0)
        {
            return false;
        }

        bool large = (directory & Large) != 0 && (c->Cr4 & Cr4PageSizeExtension) != 0;
        ulong rights = directory & (Write | User);
        ulong entryAddress = 0;
        uint entry = directory;
        if (large)
        {
            // Bits 20:13 extend the address to 40 bits (PSE-36); bit 21 is reserved.
            ulong high = ((ulong)(directory >> 13) & 0xff) << 32;
            if ((directory & (1 << 21)) != 0 || (high & p.ReservedAddressBits) != 0)
            {
                code = CodePresent | CodeReserved;
                return false;
            }

            result.Physical = high | (directory & 0xffc0_0000) | (linear & 0x3f_ffff);
            result.PageSize = 1 << 22;
        }
        else
        {
            entryAddress = (directory & 0xffff_f000) + ((linear >> 12) & 1023) * 4;
            if (!p.ReadPageTable32(entryAddress, out entry) || (entry & Present) == 0)
            {
                return false;
            }

            rights &= entry;
            result.Physical = (entry & 0xffff_f000) | (linear & 0xfff);
            result.PageSize = 4096;
        }

        if (!Permitted(c, rights, false, access, user, smapOff))
        {
            code = CodePresent;
            return false;
        }

        uint dirty = access == PageAccess.Write ? (uint)Dirty : 0;
        uint wantedDirectory = directory | (uint)Accessed | (large ? dirty : 0);
        if (wantedDirectory != directory && !p.UpdatePageTable32(directoryAddress, directory, wantedDirectory))
        {
            again = true;
            return false;
        }

        uint wanted = large ? wantedDirectory : entry | (uint)Accessed | dirty;
        if (!large && wanted != entry && !p.UpdatePageTable32(entryAddress, entry, wanted))
        {
            again = true;
            return false;
        }

        result.Global = (wanted & GlobalPage) != 0 && (c->Cr4 & Cr4GlobalPages) != 0;
        result.Writable = (wanted & Dirty) != 0 && WriteAllowed(c, rights, user);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool WriteAllowed(ProcessorContext* c, ulong rights, bool user)
    {
        return (rights & Write) != 0 || (!user && (c->Cr0 & Cr0WriteProtect) == 0);
    }

    private static bool Permitted(ProcessorContext* c, ulong rights, bool noExecute, PageAccess access, bool user, bool smapOff)
    {
        bool userPage = (rights & User) != 0;
        if (user && !userPage)
        {
            return false;
        }

        if (access == PageAccess.Execute)
        {
            return !noExecute && (user || !userPage || (c->Cr4 & Cr4Smep) == 0);
        }

        if (!user && userPage && !smapOff && (c->Cr4 & Cr4Smap) != 0)
        {
            return false;
        }

        return access == PageAccess.Read || WriteAllowed(c, rights, user);
    }
}
