namespace Lamina.Verify.Privileged;

/// <summary>
/// Machines with a program: of 64-bit code, or of 32-bit code in protected mode with PAE or 32-bit paging, that begins at CPL 0. Tables, stacks and handlers are in order; what is drawn is what the program does.
/// Pages 24 to 31 are aliases of the pages that data and functions are in, page 23 is the program's for CPL 3, and a second set of page tables, each of which is one page, maps the same pages in its own way.
/// </summary>
internal sealed partial class SystemGenerator
{
    /// <summary>Most steps of a program.</summary>
    public const int MaximumSteps = 32;

    private const int UserStackPage = SystemLayout.UserStack >> 12;
    private const int UserCodePage = SystemLayout.UserCode >> 12;
    private const int FirstAlias = 24;
    private const int TableAlias = 19;
    private const int DescriptorAlias = 20;
    private const int UserAlias = 23;
    private const int FirstTarget = SystemLayout.KernelData >> 12;
    private const int LargeEntry = SystemLayout.LinearPages;
    private const int SystemCodes = Gates;
    private const int Functions = 8;
    private const int FunctionSize = 0x40;
    private const ulong GlobalBit = 0x100;
    private const ulong NoExecute = 1UL << 63;

    // Entries as the program has left them, in both sets of tables: what is likely to be allowed.
    private readonly ulong[][] _entries = [new ulong[SystemLayout.LinearPages + 1], new ulong[SystemLayout.LinearPages + 1]];
    private ulong _cr0;
    private ulong _cr4;
    private ulong _efer;
    private int _set;
    private int _identifier;
    private bool _pae;
    private bool _isMixed;
    private int _shared;

    private void MakeProgramMachine()
    {
        const ulong wholeMachine = 0x8000_0033;
        const ulong alwaysOn = 0x600;
        _mode = wanted == SystemMode.Protected || (wanted != SystemMode.Long && _random.OneIn(3)) ? SystemMode.Protected : SystemMode.Long;
        _cpl = 0;
        _codeSize = IsLong ? 8 : 4;
        _pae = IsLong || _random.OneIn(2);
        _isMixed = !IsLong && _random.OneIn(3);
        _shared = _random.Next(0x1_0000) & _random.Next(0x1_0000);
        _cr0 = wholeMachine | Sometimes(1 << 16);
        _cr4 = alwaysOn | (_pae ? 0x20UL : 0) | Sometimes(0x10) | Sometimes(0x80) | Sometimes(0x10_0000) | Sometimes(0x20_0000) | Rarely(0x800) | (IsLong ? Rarely(0x2_0000) : 0);
        _efer = (IsLong ? 0x501UL : 0) | (_random.OneIn(4) ? 0 : 0x800UL);
        _set = 0;
        _identifier = 0;
        _m[MachineRegister.Cr0] = _cr0;
        _m[MachineRegister.Cr4] = _cr4;
        _m[MachineRegister.Cr3] = SystemLayout.Root;
        _m[MachineRegister.Efer] = _efer;
        _m[MachineRegister.Xcr0] = 1;
        _m[MachineRegister.Dr6] = 0xffff_0ff0;
        _m[MachineRegister.Dr7] = 0x400;
        MakeProgramPages();
        MakeProgramTables();
        MakeFunctions();
        MakeCode();
        MakeProgramRegisters();
        MakeProgram();
    }

    private bool HasIdentifiers => (_cr4 & 0x2_0000) != 0;

    private void MakeProgramPages()
    {
        const ulong all = 7;
        if (IsLong)
        {
            Write64(SystemLayout.Root, SystemLayout.Pointers | all);
            Write64(SystemLayout.Root + (256 * 8), SystemLayout.Pointers | all);
            Write64(SystemLayout.Pointers, SystemLayout.Directory | all);
            Write64(SystemLayout.Directory, SystemLayout.Table | all);
        }
        else if (_pae)
        {
            Write64(SystemLayout.Root, SystemLayout.Directory | 1);
            Write64(SystemLayout.Directory, SystemLayout.Table | all);
        }
        else
        {
            Write32(SystemLayout.Root, SystemLayout.Table | (uint)all);
        }

        if (!IsLong && IsPae(1))
        {
            Write64(SystemLayout.Root + OtherPointers, SystemLayout.OtherTable | 1);
        }

        for (int set = 0; set < 2; set++)
        {
            for (int n = 0; n <= LargeEntry; n++)
            {
                _entries[set][n] = FirstEntry(n, set);
                SetEntry(set, n);
            }
        }

        // The other table is its own directory, and all that is above it.
        ulong self = SystemLayout.OtherTable | all;
        _entries[1][0] = self;
        SetEntry(1, 0);
        if (IsLong)
        {
            Write64(SystemLayout.OtherTable + (256 * 8), self);
        }
    }

    /// <summary>Where the other four pointers of PAE paging are, behind the first.</summary>
    private const int OtherPointers = 0x20;

    private ulong FirstEntry(int page, int set)
    {
        const ulong kernel = 3;
        const ulong user = 7;
        if (page == LargeEntry)
        {
            return DrawLarge();
        }

        if (page >= FirstAlias || page is FirstTarget or FirstTarget + 1 or FirstTarget + 2)
        {
            return DrawEntry(page < FirstAlias && set == 0 ? page : -1);
        }

        ulong frame = (ulong)(page & 15) << 12;
        return page switch
        {
            UserAlias => frame | user,
            UserStackPage => frame | user | Sometimes(0x60),
            UserCodePage => frame | user,
            >= SystemLayout.Pages and not (TableAlias or DescriptorAlias) => 0,
            _ => frame | kernel | (IsShared(page) ? 0x60 | (set == 0 || _random.OneIn(2) ? GlobalBit : 0) : Sometimes(0x60)),
        };
    }

    // Kernel pages that are global are those of both sets of tables, as what is kept of one set is used in the other.
    private bool IsShared(int page) => (_shared & (1 << page)) != 0;

    // An entry of a page of data or functions; the frame is one of these.
    private ulong DrawEntry(int page = -1)
    {
        int frame = page >= 0 ? page : FirstTarget + _random.Next(3);
        ulong entry = ((ulong)frame << 12) | (_random.OneIn(10) ? 0 : 1UL) | (_random.OneIn(4) ? 0 : 2UL) | Sometimes(4) | (_random.OneIn(3) ? 0x20UL : 0) | (_random.OneIn(6) ? 0x40UL : 0) | (_random.OneIn(3) ? GlobalBit : 0);
        return entry | (_pae && !_isMixed && (_efer & 0x800) != 0 && _random.OneIn(6) ? NoExecute : 0);
    }

    private ulong DrawLarge() => DrawEntry(0) | 0x80;

    // One entry has the whole of a large page.
    private static int EntryOf(int page) => Math.Min(page, LargeEntry);

    private int PlaceOfEntry(int set, int page)
    {
        int size = EntrySize(set);
        return EntryOf(page) < LargeEntry ? TableOf(set) + (page * size)
            : size + (set != 0 ? SystemLayout.OtherTable : size == 8 ? SystemLayout.Directory : SystemLayout.Root);
    }

    private static int TableOf(int set) => set == 0 ? SystemLayout.Table : SystemLayout.OtherTable;

    // Mixed ones have PAE paging in one set of tables, and 32-bit paging in the other.
    private bool IsPae(int set) => _pae ^ (_isMixed && set != 0);

    private int EntrySize(int set) => IsPae(set) ? 8 : 4;

    private void SetEntry(int set, int page)
    {
        int at = PlaceOfEntry(set, page);
        if (IsPae(set))
        {
            Write64(at, _entries[set][page]);
        }
        else
        {
            Write32(at, (uint)_entries[set][page]);
        }
    }

    // A loaded CR3.
    private ulong RootOf(int set, int identifier) =>
        (set == 0 ? SystemLayout.Root : IsLong || !IsPae(set) ? SystemLayout.OtherTable : SystemLayout.Root + (ulong)OtherPointers) | (HasIdentifiers ? (ulong)identifier : 0);

    private void MakeProgramTables()
    {
        int native = IsLong ? 8 : 4;
        for (int dpl = 0; dpl < 4; dpl++)
        {
            Set(Code64 + dpl, Segment(10, dpl, CodeFlags(native)));
            Set(FlatData + dpl, Segment(2, dpl, Big | Granular));
            Set(Code32 + dpl, Segment(10, dpl, CodeFlags(4)));
        }

        // What SYSCALL, SYSENTER and their returns take for granted.
        for (int n = 0; n < 3; n++)
        {
            int dpl = n == 0 ? 0 : 3;
            Set(SystemCodes + (2 * n), Segment(10, dpl, CodeFlags(n == 1 ? 4 : native)));
            Set(SystemCodes + (2 * n) + 1, Segment(2, dpl, Big | Granular));
        }

        SetPair(LocalTable, Descriptor(2, 0, SystemLayout.Ldt, (LocalCount * 8) - 1));
        SetPair(CurrentTask, Descriptor(11, 0, SystemLayout.Task, SystemLayout.TaskSize - 1));
        SetPair(Tasks, Descriptor(9, 0, SystemLayout.Task + SystemLayout.TaskSize, SystemLayout.TaskSize - 1));
        for (int n = Others; n < GlobalCount; n++)
        {
            Set(n, AnyData());
        }

        for (int n = 0; n < LocalCount; n++)
        {
            Write64(SystemLayout.Ldt + (n * 8), AnyData());
        }

        for (int n = 0; n < 2; n++)
        {
            int at = SystemLayout.Task + (n * SystemLayout.TaskSize);
            ulong stack = SystemLayout.InnerStacks + 0x700UL + (ulong)(n * 0x800);
            if (IsLong)
            {
                Write64(at + 4, Place((int)stack));
            }
            else
            {
                Write32(at + 4, (uint)stack);
                Write32(at + 8, FlatData * 8);
            }

            Write16(at + 0x66, 0x68);
        }

        for (int vector = 0; vector < VectorCount; vector++)
        {
            SetVector(vector, SystemLayout.KernelCode + (ulong)(vector * SystemLayout.Landing));
        }
    }

    // A segment of data somewhere in the pages that programs work on.
    private ulong AnyData() => Descriptor(0x12 | (_random.OneIn(4) ? 1 : 0), 3, (uint)(FirstTarget + _random.Next(3)) << 12, 0xf_ffff, Big | Granular);

    private void SetVector(int vector, ulong handler)
    {
        ulong gate = Gate(14 | _random.Next(2), 3, Code64 * 8, (uint)handler, 0);
        if (IsLong)
        {
            Write64(SystemLayout.Idt + (vector * 16), gate);
            Write64(SystemLayout.Idt + (vector * 16) + 8, handler >> 32);
        }
        else
        {
            Write64(SystemLayout.Idt + (vector * 8), gate);
        }
    }

    // lea edx, [rdx+N]; ret. The one at the end of each page goes on in the next.
    private void MakeFunctions()
    {
        for (int page = FirstTarget; page < FirstTarget + 3; page++)
        {
            int at = page << 12;
            for (int n = 0; n < SystemLayout.PageSize; n += 8)
            {
                Write64(at + n, _random.Next());
            }

            for (int n = 0; n < Functions; n++)
            {
                ((ReadOnlySpan<byte>)[0x8d, 0x52, (byte)(_random.Next(127) + 1), 0xc3]).CopyTo(_m.Memory.AsSpan(at + ((n + 1) * FunctionSize)));
            }

            ((ReadOnlySpan<byte>)[0x8d, 0x92, (byte)_random.Next(256)]).CopyTo(_m.Memory.AsSpan(at + SystemLayout.PageSize - 3));
            ((ReadOnlySpan<byte>)[(byte)_random.Next(256), (byte)_random.Next(256), 0, 0xc3]).CopyTo(_m.Memory.AsSpan(at));
        }
    }

    private void MakeProgramRegisters()
    {
        const uint flatData = 0xc093;
        const uint user = 0x60;
        _m[MachineRegister.GdtBase] = Place(SystemLayout.Gdt);
        _m[MachineRegister.GdtLimit] = (GlobalCount * 8) - 1;
        _m[MachineRegister.IdtBase] = Place(SystemLayout.Idt);
        _m[MachineRegister.IdtLimit] = (ulong)(VectorCount * (IsLong ? 16 : 8)) - 1;
        _m.Segments[MachineImage.LocalTable] = new SegmentImage(LocalTable * 8, SystemLayout.Ldt, (LocalCount * 8) - 1, 0x82);
        _m.Segments[MachineImage.Task] = new SegmentImage(CurrentTask * 8, SystemLayout.Task, SystemLayout.TaskSize - 1, 0x8b);
        _m.Segments[MachineImage.Cs] = new SegmentImage(Code64 * 8, 0, uint.MaxValue, IsLong ? 0xa09bu : 0xc09b);
        _m.Segments[MachineImage.Ss] = new SegmentImage(FlatData * 8, 0, uint.MaxValue, flatData);
        foreach (int n in (ReadOnlySpan<int>)[MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs])
        {
            _m.Segments[n] = new SegmentImage(((FlatData + 3) * 8) | 3, 0, uint.MaxValue, flatData | user);
        }

        if (IsLong)
        {
            _m.Segments[MachineImage.Gs] = _m.Segments[MachineImage.Gs] with { Base = Target() };
            _m[MachineRegister.KernelGsBase] = Target();
        }

        for (int n = 0; n < (IsLong ? 16 : 8); n++)
        {
            _m.General[n] = (uint)_random.Next();
        }

        _m.General[4] = Place(SystemLayout.KernelStack + 0xe00);
        _m.Flags = 2 | ((_cr4 & 0x20_0000) != 0 && _random.OneIn(2) ? 0x4_0000u : 0);
        _m.Rip = Place(SystemLayout.KernelCode + SystemLayout.Instruction);
        _m[MachineRegister.Star] = ((ulong)((SystemCodes + 2) * 8) << 48) | ((ulong)(SystemCodes * 8) << 32);
        _m[MachineRegister.Fmask] = _random.Next() & 0x3f_7fd7;
        _m[MachineRegister.SysenterCs] = SystemCodes * 8;
        _m[MachineRegister.SysenterEsp] = Place(SystemLayout.InnerStacks + 0x500);
        _m[MachineRegister.Steps] = 400;
        _m.Cpl = 0;
    }
}
