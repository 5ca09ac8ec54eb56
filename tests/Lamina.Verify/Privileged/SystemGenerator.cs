using System.Buffers.Binary;

namespace Lamina.Verify.Privileged;

/// <summary>
/// Draws machines: descriptor tables, gates, task-state segments, page tables, stacks and registers that are mostly legal, or wrong in one place, and an instruction that meets them.
/// </summary>
internal sealed partial class SystemGenerator(SystemMode wanted, int steps = 0)
{
    private const int Code64 = 1;
    private const int FlatData = 5;
    private const int Code32 = 9;
    private const int Code16 = 13;
    private const int Conforming = 17;
    private const int ExpandDown = 19;
    private const int ExecuteOnly = 20;
    private const int LocalTable = 22;
    private const int CurrentTask = 24;
    private const int Tasks = 26;
    private const int Linked = 30;
    private const int Gates = 32;
    private const int TaskGate = 40;
    private const int Others = 42;
    private const int GlobalCount = 64;
    private const int LocalCount = 32;
    private const int VectorCount = 64;

    private CaseRandom _random;
    private MachineImage _m = new();
    private SystemMode _mode;
    private int _cpl;
    private int _codeSize;
    private int _kind;

    /// <summary>The case that a seed and a number determine.</summary>
    public void Make(ulong seed, ulong number, MachineImage machine)
    {
        _random = new CaseRandom(seed, number);
        _m = machine;
        Array.Clear(_m.General);
        Array.Clear(_m.Registers);
        Array.Clear(_m.Memory);
        if (steps != 0)
        {
            MakeProgramMachine();
            return;
        }

        _mode = wanted != SystemMode.All ? wanted : _random.Next(16) switch
        {
            < 5 => SystemMode.Protected,
            < 8 => SystemMode.Compatibility,
            < 15 => SystemMode.Long,
            _ => SystemMode.V86,
        };

        // Who may not do a thing at all is refused soon enough.
        _kind = _random.Next(_mode == SystemMode.V86 ? 20 : 24);
        bool isForKernel = _kind is 14 or 15 or 16 or >= 19 and not 22;
        _cpl = _mode == SystemMode.V86 ? 3 : isForKernel && !_random.OneIn(4) ? 0 : _random.Next(8) switch { < 3 => 0, 3 => 1, 4 => 2, _ => 3 };
        _codeSize = _mode == SystemMode.Long ? 8 : _mode == SystemMode.V86 || _random.OneIn(3) ? 2 : 4;
        MakeControl();
        MakePages();
        MakeTables();
        MakeTasks();
        MakeVectors();
        MakeCode();
        MakeSegments();
        MakeRegisters();
        MakeInstruction();
    }

    private bool IsLong => _mode is SystemMode.Compatibility or SystemMode.Long;

    private int CodePage => _cpl == 3 ? SystemLayout.UserCode : SystemLayout.KernelCode;

    private void MakeControl()
    {
        ulong cr0 = 0x11 | (_random.OneIn(2) ? 0x1_0000UL : 0) | (_random.OneIn(2) ? 0x20UL : 0) | (_random.OneIn(3) ? 0x4_0000UL : 0) | (_random.OneIn(4) ? 8UL : 0) | (_random.OneIn(4) ? 2UL : 0);
        bool pae = IsLong || _random.OneIn(2);
        bool paging = IsLong || !_random.OneIn(3);
        ulong cr4 = (pae ? 0x20UL : 0) | Sometimes(0x10) | Sometimes(0x80) | Sometimes(4) | Sometimes(8) | Sometimes(0x600) | Sometimes(0x1_0000) | Sometimes(0x4_0000);
        cr4 |= Rarely(0x800) | Rarely(0x10_0000) | Rarely(0x20_0000) | (IsLong ? Rarely(0x2_0000) : 0);
        _m[MachineRegister.Cr0] = cr0 | (paging ? 1UL << 31 : 0);
        _m[MachineRegister.Cr4] = cr4;
        _m[MachineRegister.Cr3] = SystemLayout.Root | ((cr4 & 0x2_0000) != 0 ? (ulong)_random.Next(3) : 0);
        _m[MachineRegister.Cr2] = _random.Next();
        _m[MachineRegister.Efer] = (IsLong ? 0x500UL : !paging ? Sometimes(0x100) : 0) | (_random.OneIn(4) ? 0 : 1UL) | Sometimes(0x800);
        _m[MachineRegister.Xcr0] = _random.OneIn(2) ? 7UL : 1;
        _m[MachineRegister.Dr6] = 0xffff_0ff0 | (ulong)_random.Next(16);
        _m[MachineRegister.Dr7] = 0x400 | (_random.OneIn(8) ? 0x2000UL : 0);
        for (int n = 0; n < 4; n++)
        {
            _m[MachineRegister.Dr0 + n] = IsLong ? _random.Next() : (uint)_random.Next();
        }
    }

    private ulong Sometimes(ulong bits) => _random.OneIn(2) ? bits : 0;

    private ulong Rarely(ulong bits) => _random.OneIn(4) ? bits : 0;

    private void MakePages()
    {
        const ulong all = 7;
        bool pae = (_m[MachineRegister.Cr4] & 0x20) != 0;
        bool executeDisable = pae && (_m[MachineRegister.Efer] & 0x800) != 0;
        if (IsLong)
        {
            Write64(SystemLayout.Root, SystemLayout.Pointers | all);
            Write64(SystemLayout.Root + (256 * 8), SystemLayout.Pointers | all);
            Write64(SystemLayout.Pointers, SystemLayout.Directory | all);
            Write64(SystemLayout.Directory, SystemLayout.Table | all);
        }
        else if (pae)
        {
            Write64(SystemLayout.Root, SystemLayout.Directory | 1);
            Write64(SystemLayout.Directory, SystemLayout.Table | all);
        }
        else
        {
            Write32(SystemLayout.Root, SystemLayout.Table | (uint)all);
        }

        MakeDirectory(pae, executeDisable);
        int code = CodePage / SystemLayout.PageSize;
        int wrong = _random.OneIn(2) ? _random.Next(SystemLayout.Pages) : -1;
        for (int n = 0; n < SystemLayout.Pages; n++)
        {
            bool isUser = n is SystemLayout.UserCode >> 12 or SystemLayout.UserStack >> 12 or SystemLayout.UserData >> 12 or 15 || _mode == SystemMode.V86;
            ulong entry = ((ulong)n << 12) | 3 | (isUser ? 4UL : 0) | Sometimes(0x20) | Sometimes(0x40);
            entry |= executeDisable && n is not (SystemLayout.KernelCode >> 12 or SystemLayout.UserCode >> 12) && _random.OneIn(4) ? 1UL << 63 : 0;
            if (n == wrong && n != code)
            {
                entry = _random.Next(6) switch
                {
                    0 or 1 => entry & ~1UL,
                    2 => entry & ~2UL,
                    3 => entry ^ 4,
                    4 when pae => entry | (1UL << (40 + _random.Next(12))),
                    5 when pae => entry ^ (1UL << 63),
                    _ => entry & ~2UL,
                };
            }

            if (pae)
            {
                Write64(SystemLayout.Table + (n * 8), entry);
            }
            else
            {
                Write32(SystemLayout.Table + (n * 4), (uint)entry);
            }
        }
    }

    // Now and then one large page has everything, or a table takes rights away from all of its pages.
    private void MakeDirectory(bool pae, bool executeDisable)
    {
        const ulong largePage = 0x83;
        ulong user = _cpl == 3 ? 4UL : 0;
        bool extends = (_m[MachineRegister.Cr4] & 0x10) != 0;
        int at = pae ? SystemLayout.Directory : SystemLayout.Root;
        switch (_random.Next(24))
        {
            case 0 when IsLong:
                Write64(SystemLayout.Pointers, largePage | user | Sometimes(0x60) | (_random.OneIn(8) ? 1UL << (13 + _random.Next(17)) : 0));
                break;
            case 1 or 2 when pae:
                Write64(at, largePage | user | Sometimes(0x60) | (_random.OneIn(8) ? 1UL << (13 + _random.Next(8)) : 0));
                break;
            case 1 or 2 when extends:
                Write32(at, (uint)(largePage | user | Sometimes(0x60) | (_random.OneIn(8) ? 1UL << 21 : 0)));
                break;
            case 3:
                _m.Memory[at] ^= (byte)(_random.OneIn(2) ? 2 : 4 & ~(int)user);
                break;
            case 4 when executeDisable && _random.OneIn(4):
                Write64(at, Read64(at) | (1UL << 63));
                break;
        }
    }

    // VMCALL wherever code may go, HLT elsewhere.
    private void MakeCode()
    {
        Span<byte> code = _m.Memory.AsSpan(SystemLayout.KernelCode, 2 * SystemLayout.PageSize);
        code.Fill(0xf4);
        for (int at = 0; at < code.Length; at += SystemLayout.Landing)
        {
            code[at] = 0x0f;
            code[at + 1] = 0x01;
            code[at + 2] = 0xc1;
        }
    }

    private void MakeSegments()
    {
        const ushort userLow = 0xd00;
        _m[MachineRegister.GdtBase] = Place(SystemLayout.Gdt);
        _m[MachineRegister.GdtLimit] = _random.OneIn(16) ? (ulong)_random.Next(GlobalCount * 8) : (GlobalCount * 8) - 1;
        _m[MachineRegister.IdtBase] = Place(SystemLayout.Idt);
        _m[MachineRegister.IdtLimit] = _random.OneIn(16) ? (ulong)_random.Next(VectorCount * 8) : (ulong)(VectorCount * (IsLong ? 16 : 8)) - 1;
        _m.Segments[MachineImage.LocalTable] = _random.OneIn(8)
            ? new SegmentImage(0, 0, 0, SegmentImage.Unusable)
            : new SegmentImage(LocalTable * 8, Place(SystemLayout.Ldt), _random.OneIn(8) ? (uint)_random.Next(LocalCount * 8) : (LocalCount * 8) - 1, 0x82);
        if (_mode == SystemMode.V86)
        {
            _m.Flags = 0x2_0002;
            for (int n = 0; n < 6; n++)
            {
                ushort selector = n switch { MachineImage.Cs => SystemLayout.UserCode >> 4, MachineImage.Ss => SystemLayout.UserStack >> 4, _ => userLow };
                _m.Segments[n] = new SegmentImage(selector, (uint)selector << 4, 0xffff, 0xf3);
            }
        }
        else
        {
            int code = _codeSize == 8 ? Code64 : _codeSize == 4 ? Code32 : Code16;
            _m.Segments[MachineImage.Cs] = Register((ushort)(((code + _cpl) * 8) | _cpl), isCode: true);
            _m.Segments[MachineImage.Ss] = _codeSize == 8 && _cpl < 3 && _random.OneIn(4)
                ? new SegmentImage((ushort)_cpl, 0, 0, SegmentImage.Unusable | ((uint)_cpl << 5))
                : Register((ushort)(((FlatData + _cpl) * 8) | _cpl), isCode: false);
            foreach (int n in (ReadOnlySpan<int>)[MachineImage.Es, MachineImage.Ds, MachineImage.Fs, MachineImage.Gs])
            {
                int level = _random.OneIn(3) ? _cpl + _random.Next(4 - _cpl) : 3;
                _m.Segments[n] = n != MachineImage.Ds && _random.OneIn(6) ? new SegmentImage((ushort)_random.Next(4), 0, 0, SegmentImage.Unusable) : Register((ushort)(((FlatData + level) * 8) | level), isCode: false);
            }

            if (_codeSize == 8)
            {
                _m.Segments[MachineImage.Fs] = _m.Segments[MachineImage.Fs] with { Base = Address() };
                _m.Segments[MachineImage.Gs] = _m.Segments[MachineImage.Gs] with { Base = Address() };
            }
        }

        _m.Cpl = _cpl;
    }

    // An address in long mode, where tables may lie high.
    private ulong Place(int offset) => IsLong && _random.OneIn(2) ? SystemLayout.High + (ulong)offset : (ulong)offset;

    private ulong Address() => _random.Next(4) switch
    {
        0 => 0,
        1 => SystemLayout.High,
        2 => _random.Next() >> 17,
        _ => (ulong)_random.Next(0x1000),
    };

    // What a register holds that was loaded from the table, as it was then.
    private SegmentImage Register(ushort selector, bool isCode)
    {
        DescriptorImage d = new(Read64(SystemLayout.Gdt + (selector & 0xfff8)));
        uint attributes = (uint)(isCode ? 0x9b : 0x93) | ((uint)(selector & 3) << 5);
        if (isCode)
        {
            attributes |= _codeSize == 8 ? 0xa000u : _codeSize == 4 ? 0xc000u : 0;
            return new SegmentImage(selector, 0, _codeSize == 2 && _random.OneIn(2) ? 0xffffu : uint.MaxValue, attributes);
        }

        attributes |= _random.OneIn(4) ? 0u : 0xc000;
        ulong start = _codeSize == 8 || !_random.OneIn(4) ? 0 : (ulong)_random.Next(0x80) << 8;
        uint limit = (attributes & 0xc000) != 0 ? uint.MaxValue : 0xffff;
        return _random.OneIn(12) ? new SegmentImage(selector, start, (uint)_random.Next(0x1_0000), attributes)
            : new SegmentImage(selector, start, limit, d.IsSegment ? attributes : attributes | 1);
    }

    private void MakeRegisters()
    {
        for (int n = 0; n < (IsLong ? 16 : 8); n++)
        {
            ulong value = _random.Next(4) switch { 0 => (ulong)_random.Next(0x1_0000), 1 => _random.Next() >> 32, 2 => (ulong)(long)(int)_random.Next(), _ => _random.Next() };
            _m.General[n] = _codeSize == 8 ? value : (uint)value;
        }

        int page = _cpl == 3 ? SystemLayout.UserStack : SystemLayout.KernelStack;
        int offset = _random.Next(16) switch
        {
            0 => _random.Next(0x1000),
            1 => 0xff8 - (8 * _random.Next(6)),
            2 => 8 * _random.Next(6),
            _ => 0x800 + (8 * _random.Next(0x80)),
        };
        SegmentImage stack = _m.Segments[MachineImage.Ss];
        _m.General[4] = _codeSize == 8 ? Place(page + offset) : (uint)((ulong)(page + offset) - stack.Base);
        if (_codeSize == 8 && _random.OneIn(32))
        {
            _m.General[4] = _random.OneIn(2) ? 0x0000_8000_0000_0000 - (8UL * (ulong)_random.Next(8)) : SystemLayout.High + (8UL * (ulong)_random.Next(8));
        }

        uint flags = 2 | ((uint)_random.Next() & 0x0cd5) | (_random.OneIn(2) ? 0x200u : 0) | ((uint)_random.Next(4) << 12);
        flags &= ~0x100u;
        flags |= _random.OneIn(8) ? 0x4_0000u : 0;
        flags |= _random.OneIn(8) ? 0x20_0000u : 0;
        flags |= _random.OneIn(16) ? 0x4000u : 0;
        flags |= _random.OneIn(16) ? 0x8_0000u : 0;
        flags |= _random.OneIn(16) ? 0x10_0000u : 0;
        _m.Flags = flags | (_mode == SystemMode.V86 ? 0x2_0000u : 0);
        _m.Rip = _codeSize == 8 ? Place(CodePage + SystemLayout.Instruction) : (ulong)(CodePage + SystemLayout.Instruction) - _m.Segments[MachineImage.Cs].Base;
        _m[MachineRegister.Star] = ((ulong)_random.Next(GlobalCount * 8) << 48) | ((ulong)_random.Next(GlobalCount * 8) << 32);
        _m[MachineRegister.Lstar] = Place(SystemLayout.KernelCode + Slot());
        _m[MachineRegister.Cstar] = _random.Next() >> 20;
        _m[MachineRegister.Fmask] = _random.Next() & 0x3f_7fd7;
        _m[MachineRegister.KernelGsBase] = Address();
        _m[MachineRegister.SysenterCs] = _random.OneIn(8) ? (ulong)_random.Next(4) : (ulong)_random.Next(0x1_0000);
        _m[MachineRegister.SysenterEsp] = IsLong ? Place(SystemLayout.KernelStack + 0xf00) : (uint)SystemLayout.KernelStack;
        _m[MachineRegister.SysenterEip] = Place(SystemLayout.KernelCode + Slot());
        _m[MachineRegister.TscAux] = (uint)_random.Next();
        _m[MachineRegister.Cr8] = (ulong)_random.Next(16);
        _m[MachineRegister.Event] = _random.Next(32) switch { 0 => 0x100UL | (uint)_random.Next(_random.OneIn(8) ? 256 : VectorCount), 1 => 0x202, _ => 0 };
    }

    // Where code may go on, behind the handlers of vectors.
    private int Slot() => 0x400 + (_random.Next(0x30) * SystemLayout.Landing);

    private void Write16(int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(_m.Memory.AsSpan(at), (ushort)value);

    private void Write32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_m.Memory.AsSpan(at), value);

    private void Write64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_m.Memory.AsSpan(at), value);

    private ulong Read64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(_m.Memory.AsSpan(at));
}
