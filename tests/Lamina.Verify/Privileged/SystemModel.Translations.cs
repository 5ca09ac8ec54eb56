namespace Lamina.Verify.Privileged;

/// <summary>
/// Which translations a processor may keep, and which it must not (Intel SDM volume 3, section 4.10). The model keeps none: an access whose outcome depends on whether a processor has is not judged.
/// Any translation whose entries have their accessed flags set may have been made, also one that nothing used (section 4.10.2.3).
/// </summary>
internal sealed partial class SystemModel
{
    private const ulong GlobalPages = 0x80;
    private const ulong SmepBit = 1 << 20;
    private const ulong PhysicalExtension = 0x20;
    private const ulong Identifiers = 0x2_0000;
    private const ulong KeptBits = ~(AccessedBit | DirtyBit);

    private readonly List<KeptTranslation> _kept = [];
    private readonly PageWalk _ahead = new();

    private int Space => (this[MachineRegister.Cr4] & Identifiers) != 0 ? (int)(this[MachineRegister.Cr3] & 0xfff) : 0;

    private void BeginTranslations() => _kept.Clear();

    // An access is judged if whatever may be kept for its page is what the tables say.
    private void RequireSettled(ulong linear, PageWalk walk, Access access)
    {
        ulong page = linear >> 12;
        int space = Space;
        foreach (KeptTranslation kept in _kept)
        {
            if (kept.Page == page && (kept.Space == space || kept.IsGlobal) && !Agrees(kept, linear, walk, access, space))
            {
                throw new UnjudgedCase("a translation that may be kept");
            }
        }
    }

    private bool Agrees(in KeptTranslation kept, ulong linear, PageWalk walk, Access access, int space)
    {
        if (kept.Meaning != Meaning(walk))
        {
            return false;
        }

        for (int n = 0; n < kept.Upper && kept.Space == space; n++)
        {
            int level = walk.Top - n;
            ulong value = n switch { 0 => kept.First, 1 => kept.Second, _ => kept.Third };
            if (level < walk.Level || (walk.Entries[level] & KeptBits) != value || (walk.Entries[level] & AccessedBit) == 0)
            {
                return false;
            }
        }

        if (!kept.IsWhole)
        {
            return true;
        }

        if (!walk.IsWhole || kept.Size != walk.Size || kept.Frame != FrameOf(linear, walk) || kept.IsUser != walk.IsUser || kept.IsWritable != walk.IsWritable || kept.NoExecute != walk.NoExecute)
        {
            return false;
        }

        return IsAccessed(walk, walk.Level) && (access != Access.Write || !kept.IsDirty || (walk.Entries[walk.Level] & DirtyBit) != 0);
    }

    private static ulong FrameOf(ulong linear, PageWalk walk) => walk.Frame | (linear & (walk.Size - 1) & ~0xfffUL);

    private static bool IsAccessed(PageWalk walk, int lowest)
    {
        for (int n = walk.Top; n >= lowest; n--)
        {
            if ((walk.Entries[n] & AccessedBit) == 0)
            {
                return false;
            }
        }

        return true;
    }

    // The form of entries; whether bit 63 is reserved where it is set, and bit 7 of an entry of 32 bits means a large page.
    private int Meaning(PageWalk walk)
    {
        ulong cr4 = this[MachineRegister.Cr4];
        bool pae = (cr4 & PhysicalExtension) != 0;
        int meaning = (_m.IsLong ? 1 : 0) | (pae ? 2 : 0);
        for (int n = walk.Top; n >= walk.Level; n--)
        {
            meaning |= pae && (walk.Entries[n] & NoExecute) != 0 && (this[MachineRegister.Efer] & 0x800) != 0 ? 4 : 0;
            meaning |= !pae && n == 1 && (walk.Entries[n] & Large) != 0 && (cr4 & 0x10) != 0 ? 8 : 0;
        }

        return meaning;
    }

    // Remembers what may be kept after a walk.
    private void Keep(ulong linear, PageWalk walk)
    {
        bool whole = walk.IsWhole && IsAccessed(walk, walk.Level);
        int upper = 0;
        while (walk.Top - upper > walk.Level && (walk.Entries[walk.Top - upper] & AccessedBit) != 0)
        {
            upper++;
        }

        if (!whole && upper == 0)
        {
            return;
        }

        KeptTranslation kept = new()
        {
            Page = linear >> 12,
            Space = Space,
            IsWhole = whole,
            IsGlobal = whole && (walk.Entries[walk.Level] & 0x100) != 0 && (this[MachineRegister.Cr4] & GlobalPages) != 0,
            Frame = whole ? FrameOf(linear, walk) : 0,
            Size = whole ? walk.Size : 0,
            IsUser = whole && walk.IsUser,
            IsWritable = whole && walk.IsWritable,
            NoExecute = whole && walk.NoExecute,
            IsDirty = whole && (walk.Entries[walk.Level] & DirtyBit) != 0,
            Upper = upper,
            First = upper > 0 ? walk.Entries[walk.Top] & KeptBits : 0,
            Second = upper > 1 ? walk.Entries[walk.Top - 1] & KeptBits : 0,
            Third = upper > 2 ? walk.Entries[walk.Top - 2] & KeptBits : 0,
            Meaning = Meaning(walk),
        };
        if (!_kept.Contains(kept))
        {
            _kept.Add(kept);
        }
    }

    // Before anything that translations depend on changes: all that may have been made by now.
    private void KeepAll()
    {
        if (!_isProgram || (this[MachineRegister.Cr0] & Paging) == 0)
        {
            return;
        }

        for (int n = 0; n < SystemLayout.LinearPages; n++)
        {
            KeepAhead((ulong)n << 12);
        }

        int large = SystemLayout.LargePage((this[MachineRegister.Cr4] & PhysicalExtension) != 0) + SystemLayout.KernelData;
        for (int n = 0; n < SystemLayout.LargeParts; n++)
        {
            KeepAhead((ulong)(large + (n << 12)));
        }
    }

    // In long mode there is the same again above.
    private void KeepAhead(ulong linear)
    {
        for (int n = 0; n < (_m.IsLong ? 2 : 1); n++)
        {
            ulong address = linear + (n == 0 ? 0 : SystemLayout.High);
            Walk(address, _ahead);
            Keep(address, _ahead);
        }
    }

    // Section 4.10.4.1: MOV to CR3.
    private void ForgetSpace(int space)
    {
        for (int n = _kept.Count - 1; n >= 0; n--)
        {
            KeptTranslation kept = _kept[n];
            if (kept.Space != space)
            {
                continue;
            }

            if (kept.IsGlobal)
            {
                _kept[n] = kept with { Upper = 0, First = 0, Second = 0, Third = 0 };
            }
            else
            {
                _kept.RemoveAt(n);
            }
        }
    }

    private void ForgetAll() => _kept.Clear();

    private void ForgetSpaces()
    {
        foreach (int space in _kept.Select(static k => k.Space).Distinct().ToArray())
        {
            ForgetSpace(space);
        }
    }

    // INVLPG: all translations of the page, and all entries above pages, of the current space; global ones of any. Of a large page all parts, if the tables have it as one still.
    private void ForgetPage(ulong linear)
    {
        ulong size = 0x1000;
        if ((this[MachineRegister.Cr0] & Paging) != 0)
        {
            Walk(linear, _ahead);
            size = _ahead.IsWhole ? _ahead.Size : size;
        }

        int space = Space;
        for (int n = _kept.Count - 1; n >= 0; n--)
        {
            KeptTranslation kept = _kept[n];
            bool isHere = kept.Page == linear >> 12 || (kept.Size > 0x1000 && kept.Size == size && ((kept.Page << 12) & ~(size - 1)) == (linear & ~(size - 1)));
            if ((kept.Space == space || kept.IsGlobal) && isHere)
            {
                _kept.RemoveAt(n);
            }
            else if (kept.Space == space)
            {
                if (kept.IsWhole)
                {
                    _kept[n] = kept with { Upper = 0, First = 0, Second = 0, Third = 0 };
                }
                else
                {
                    _kept.RemoveAt(n);
                }
            }
        }
    }

    // INVPCID of type 0: what translates one address in a space; global translations may stay.
    private void ForgetPageOf(int space, ulong linear)
    {
        for (int n = _kept.Count - 1; n >= 0; n--)
        {
            KeptTranslation kept = _kept[n];
            if (kept.Space == space && kept.Page == linear >> 12)
            {
                if (kept.IsGlobal)
                {
                    _kept[n] = kept with { Upper = 0, First = 0, Second = 0, Third = 0 };
                }
                else
                {
                    _kept.RemoveAt(n);
                }
            }
        }
    }
}
