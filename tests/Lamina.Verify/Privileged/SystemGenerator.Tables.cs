namespace Lamina.Verify.Privileged;

/// <summary>Descriptor tables, gates and task-state segments.</summary>
internal sealed partial class SystemGenerator
{
    private const ulong FlatLimit = 0x000f_0000_0000_ffff;
    private const ulong Granular = 1UL << 55;
    private const ulong Big = 1UL << 54;
    private const ulong LongBit = 1UL << 53;
    private const ulong PresentBit = 1UL << 47;

    // A descriptor with a base and a limit in bytes.
    private static ulong Descriptor(int type, int dpl, uint address, uint limit, ulong flags = 0) =>
        (limit & 0xffff) | ((ulong)(limit & 0xf_0000) << 32) | ((ulong)(address & 0xff_ffff) << 16) | ((ulong)(address >> 24) << 56) | ((ulong)type << 40) | ((ulong)dpl << 45) | PresentBit | flags;

    private static ulong Gate(int type, int dpl, ushort selector, uint offset, int parameters) =>
        (offset & 0xffff) | ((ulong)(offset >> 16) << 48) | ((ulong)selector << 16) | ((ulong)parameters << 32) | ((ulong)type << 40) | ((ulong)dpl << 45) | PresentBit;

    private ulong Segment(int type, int dpl, ulong flags) => FlatLimit | ((ulong)(type | 0x10) << 40) | ((ulong)dpl << 45) | PresentBit | flags | (_random.OneIn(2) ? 1UL << 40 : 0);

    private ulong CodeFlags(int size) => size == 8 ? LongBit | Granular : size == 4 ? Big | Granular : 0;

    private void MakeTables()
    {
        int native = IsLong ? 8 : 4;
        for (int dpl = 0; dpl < 4; dpl++)
        {
            Set(Code64 + dpl, Segment(10, dpl, CodeFlags(native)));
            Set(FlatData + dpl, Segment(2, dpl, Big | Granular));
            Set(Code32 + dpl, Segment(10, dpl, CodeFlags(4)));
            Set(Code16 + dpl, Segment(10, dpl, _random.OneIn(2) ? Granular : 0));
        }

        Set(Conforming, Segment(14, _random.Next(4), CodeFlags(native)));
        Set(Conforming + 1, Segment(14, _random.Next(4), CodeFlags(_random.OneIn(2) ? 4 : 2)));
        Set(ExpandDown, Descriptor(0x16, _random.Next(4), 0, (uint)_random.Next(0x1_0000), Sometimes(Big)));
        Set(ExecuteOnly, Segment(8, _random.Next(4), CodeFlags(native)));
        SetPair(LocalTable, Descriptor(2, _random.Next(4), SystemLayout.Ldt, (LocalCount * 8) - 1));
        SetPair(CurrentTask, Descriptor(11, _random.Next(4), SystemLayout.Task, SystemLayout.TaskSize - 1));
        for (int n = 0; n < 2; n++)
        {
            bool is32 = IsLong || !_random.OneIn(3);
            SetPair(Tasks + (2 * n), Descriptor(is32 ? 9 : 1, _random.OneIn(2) ? 3 : _cpl, (uint)(SystemLayout.Task + ((1 + n) * SystemLayout.TaskSize)), TaskLimit(is32)));
        }

        bool linked32 = IsLong || !_random.OneIn(3);
        SetPair(Linked, Descriptor(linked32 ? 11 : 3, _random.Next(4), SystemLayout.Task + (3 * SystemLayout.TaskSize), TaskLimit(linked32)));
        for (int n = 0; n < 4; n++)
        {
            SetPair(Gates + (2 * n), CallGate());
        }

        SetPair(TaskGate, Gate(5, _random.OneIn(4) ? _random.Next(4) : 3, (ushort)((Tasks + (2 * _random.Next(2))) * 8), 0, 0));
        for (int n = Others; n < GlobalCount; n += 2)
        {
            SetPair(n, Any());
            if (!IsLong || _random.OneIn(2))
            {
                Set(n + 1, Any());
            }
        }

        for (int n = 0; n < LocalCount; n++)
        {
            Write64(SystemLayout.Ldt + (n * 8), _random.OneIn(2) ? Read64(SystemLayout.Gdt + (8 * (1 + _random.Next(20)))) : Any());
        }

        // Now and then one is wrong somewhere.
        for (int n = 0; n < 2; n++)
        {
            if (_random.OneIn(3))
            {
                int at = SystemLayout.Gdt + (8 * (1 + _random.Next(GlobalCount - 1)));
                int bit = _random.Next(8) switch { 0 => _random.Next(64), 1 => 47, 2 => 45 + _random.Next(2), 3 => 52 + _random.Next(4), 4 => 48 + _random.Next(4), _ => 40 + _random.Next(8) };
                Write64(at, Read64(at) ^ (1UL << bit));
            }
        }
    }

    private uint TaskLimit(bool is32)
    {
        uint least = is32 ? 0x67u : 0x2b;
        return _random.OneIn(12) ? least - 1 : _random.OneIn(2) ? least : SystemLayout.TaskSize - 1;
    }

    private ulong CallGate()
    {
        int level = _random.OneIn(3) ? _random.Next(_cpl + 1) : _random.OneIn(2) ? 0 : _cpl;
        bool is32 = IsLong || !_random.OneIn(3);
        ushort selector = _random.OneIn(5) ? (ushort)(Conforming * 8) : _random.OneIn(8) ? AnySelector() : (ushort)(((is32 ? Code64 : Code16) + level) * 8);
        int page = level == 3 ? SystemLayout.UserCode : SystemLayout.KernelCode;
        return Gate(is32 ? 12 : 4, _random.OneIn(8) ? _random.Next(4) : 3, selector, (uint)(page + Slot()), IsLong ? 0 : _random.Next(8) switch { < 4 => 0, 7 => _random.Next(32), _ => _random.Next(4) });
    }

    private ulong Any()
    {
        int dpl = _random.OneIn(2) ? _cpl : _random.Next(4);
        ulong absent = _random.OneIn(6) ? PresentBit : 0;
        uint address = (uint)_random.Next(8) << 12;
        uint limit = _random.Next(4) switch { 0 => (uint)_random.Next(0x1_0000), 1 => 0xffff, _ => 0xf_ffff };
        ulong flags = Sometimes(Granular) | Sometimes(Big) | (_random.OneIn(3) ? LongBit : 0) | Rarely(1UL << 52);
        return (_random.OneIn(3) ? Descriptor(_random.Next(16), dpl, address, limit, flags) : Descriptor(16 + _random.Next(16), dpl, address, limit, flags)) ^ absent;
    }

    private ushort AnySelector() => (ushort)(((_random.OneIn(8) ? _random.Next(GlobalCount + 8) : _random.OneIn(4) ? Others + _random.Next(GlobalCount - Others) : _random.Next(GlobalCount)) << 3) | (_random.OneIn(4) ? 4 : 0) | _random.Next(4));

    private void Set(int index, ulong value) => Write64(SystemLayout.Gdt + (index * 8), value);

    // In long mode system descriptors have an upper half.
    private void SetPair(int index, ulong value)
    {
        Set(index, value);
        bool isSystem = ((value >> 44) & 1) == 0;
        if (IsLong && isSystem)
        {
            ulong upper = 0;
            if (_random.OneIn(3))
            {
                upper = SystemLayout.High >> 32;
            }

            Set(index + 1, _random.OneIn(32) ? upper | ((ulong)_random.Next(32) << 40) : upper);
        }
    }

    private void MakeTasks()
    {
        bool is32 = IsLong || !_random.OneIn(5);
        _m.Segments[MachineImage.Task] = new SegmentImage(
            CurrentTask * 8, Place(SystemLayout.Task), _random.OneIn(16) ? (uint)_random.Next(0x70) : SystemLayout.TaskSize - 1, is32 ? 0x8bu : 0x83);
        for (int n = 0; n < 4; n++)
        {
            int at = SystemLayout.Task + (n * SystemLayout.TaskSize);
            if (IsLong)
            {
                MakeLongTask(at);
                continue;
            }

            bool form = n == 0 ? is32 : (Read64(SystemLayout.Gdt + (8 * (n == 3 ? Linked : Tasks + (2 * (n - 1))))) & (8UL << 40)) != 0;
            MakeTask(at, form);
            Write16(at, n == 0 ? (_random.OneIn(8) ? AnySelector() : Linked * 8) : _random.Next(0x1_0000));
        }
    }

    private void MakeLongTask(int at)
    {
        for (int n = 0; n < 10; n++)
        {
            // RSP0 to RSP2, a reserved word, IST1 to IST7.
            ulong pointer = Place(SystemLayout.InnerStacks + 0x100 + (n * 0x140) + _random.Next(16));
            pointer = _random.Next(24) switch { 0 => 0x0000_8000_0000_0000, 1 => SystemLayout.High, 2 => Place(SystemLayout.InnerStacks + 0x10), _ => pointer };
            Write64(at + 4 + (n * 8) + (n > 2 ? 8 : 0), pointer);
        }

        MakePorts(at);
    }

    // The permission map of ports: random, but of ones mostly.
    private void MakePorts(int at)
    {
        Write16(at + 0x66, _random.OneIn(6) ? _random.Next(0x500) : 0x68);
        for (int n = 0x68; n < SystemLayout.TaskSize - 4; n++)
        {
            _m.Memory[at + n] = (byte)(_random.OneIn(2) ? 0 : _random.Next(256));
        }
    }

    private void MakeTask(int at, bool is32)
    {
        int unit = is32 ? 4 : 2;
        for (int level = 0; level < 3; level++)
        {
            int slot = at + unit + (level * 2 * unit);
            int pointer = SystemLayout.InnerStacks + 0x400 + (level * 0x400);
            if (_random.OneIn(16))
            {
                pointer = SystemLayout.InnerStacks + (4 * _random.Next(12));
            }

            int selector = _random.OneIn(12) ? AnySelector() : ((FlatData + level) * 8) | level;
            if (is32)
            {
                Write32(slot, (uint)pointer);
            }
            else
            {
                Write16(slot, pointer);
            }

            Write16(slot + unit, selector);
        }

        if (is32)
        {
            Write32(at + 0x1c, (uint)_m[MachineRegister.Cr3]);
        }

        int next = _random.OneIn(3) ? _random.Next(4) : _random.OneIn(2) ? 0 : 3;
        int code = is32 && !_random.OneIn(8) ? Code32 : Code16;
        int first = at + (is32 ? 0x20 : 0x0e);
        uint flags = 2 | ((uint)_random.Next() & 0x7cd5) | (is32 ? (uint)_random.Next() & 0x24_0000 : 0);
        flags |= is32 && _random.OneIn(8) ? 0x2_0000u : 0;
        bool is86 = (flags & 0x2_0000) != 0;
        Put(first, 0, (uint)((next == 3 || is86 ? SystemLayout.UserCode : SystemLayout.KernelCode) + Slot()) - (is86 ? 0x8000u : 0), unit);
        if (_random.OneIn(12))
        {
            Put(first, 0, 0x20_8000, unit);
        }

        Put(first, 1, flags, unit);
        for (int n = 0; n < 8; n++)
        {
            uint value = n == 4 ? (uint)((next == 3 || is86 ? SystemLayout.UserStack : SystemLayout.KernelStack) + 0xf00) : (uint)_random.Next();
            Put(first, 2 + n, value, unit);
        }

        int wrong = _random.OneIn(3) ? _random.Next(7) : -1;
        for (int n = 0; n < (is32 ? 6 : 4); n++)
        {
            int selector = n switch { MachineImage.Cs => ((code + next) * 8) | next, MachineImage.Ss => ((FlatData + next) * 8) | next, _ => _random.OneIn(4) ? _random.Next(4) : ((FlatData + 3) * 8) | 3 };
            selector = n == wrong ? AnySelector() : is86 ? (n == MachineImage.Cs ? 0x800 : 0xb00) : selector;
            Put(first, 10 + n, (uint)selector, unit);
        }

        Write16(at + (is32 ? 0x60 : 0x2a), wrong == 6 ? AnySelector() : _random.OneIn(3) ? 0 : LocalTable * 8);
        if (is32)
        {
            Write16(at + 0x64, 0);
            MakePorts(at);
        }
    }

    private void Put(int first, int index, uint value, int unit)
    {
        if (unit == 4)
        {
            Write32(first + (index * 4), value);
        }
        else
        {
            Write16(first + (index * 2), (int)value);
        }
    }

    private void MakeVectors()
    {
        for (int vector = 0; vector < VectorCount; vector++)
        {
            int level = _random.Next(8) switch { < 5 => 0, 5 => _random.Next(_cpl + 1), 6 => _cpl, _ => _random.Next(4) };
            int dpl = _random.OneIn(2) ? 3 : _random.Next(4);
            bool is32 = IsLong || !_random.OneIn(4);
            ushort selector = _random.OneIn(10) ? (ushort)(Conforming * 8) : (ushort)(((Code64 + level) * 8) | level);
            int type = (is32 ? 14 : 6) | _random.Next(2);
            int page = level == 3 ? SystemLayout.UserCode : SystemLayout.KernelCode;
            int stack = IsLong && _random.OneIn(4) ? _random.Next(8) : 0;
            ulong gate = Gate(type, dpl, selector, (uint)(page + (vector * SystemLayout.Landing)), stack);
            ulong upper = 0;
            if (IsLong && _random.OneIn(3))
            {
                upper = SystemLayout.High >> 32;
            }

            switch (_random.Next(40))
            {
                case 0:
                    gate ^= PresentBit;
                    break;
                case 1:
                    gate ^= 1UL << (40 + _random.Next(5));
                    break;
                case 2:
                    gate = (gate & ~0xffff_0000UL) | ((ulong)AnySelector() << 16);
                    break;
                case 3 when IsLong:
                    upper = _random.Next() & 0xffff_ffff;
                    break;
                case 4 or 5 or 6 when !IsLong:
                    gate = Gate(5, dpl, (ushort)((Tasks + (2 * _random.Next(2))) * 8), 0, 0);
                    break;
            }

            if (IsLong)
            {
                Write64(SystemLayout.Idt + (vector * 16), gate);
                Write64(SystemLayout.Idt + (vector * 16) + 8, upper);
            }
            else
            {
                Write64(SystemLayout.Idt + (vector * 8), gate);
            }
        }
    }
}
