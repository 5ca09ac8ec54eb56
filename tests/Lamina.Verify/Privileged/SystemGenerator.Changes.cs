namespace Lamina.Verify.Privileged;

/// <summary>Changes of translations and protection in programs.</summary>
internal sealed partial class SystemGenerator
{
    private void ChangeEntry()
    {
        int set = _random.OneIn(6) ? _set ^ 1 : _set;
        int page = TargetPage();
        int index = EntryOf(page);
        ulong old = _entries[set][index];
        ulong entry = _random.Next(index == LargeEntry ? 5 : 8) switch
        {
            0 => old ^ 1,
            1 => old ^ 2,
            2 => old ^ 4,
            3 => old ^ GlobalBit,
            4 => old & ~0x60UL,
            5 => (old & ~0xf000UL) | ((ulong)(FirstTarget + _random.Next(3)) << 12),
            _ => DrawEntry(),
        };
        entry |= _random.OneIn(3) ? 1UL : 0;
        _entries[set][index] = entry;
        int alias = _pages && set == 0 && EntryOf(page) < LargeEntry && _random.OneIn(3) ? (TableAlias << 12) - TableOf(set) : 0;
        WriteTable(Place(PlaceOfEntry(set, page) + alias), entry, IsPae(set));
        bool isNew = (old & 1) == 0 && _random.OneIn(2);
        bool isGlobal = ((old | entry) & GlobalBit) != 0 && (_cr4 & 0x80) != 0;
        if (isNew || _random.OneIn(12))
        {
            return;
        }

        if (set == _set && index < LargeEntry)
        {
            Invalidate(page, isGlobal);
        }
        else if (set == _set || isGlobal || HasIdentifiers)
        {
            // Parts of a large page that is none any more, or of another space.
            InvalidateAll();
        }
    }

    private void WriteTable(ulong linear, ulong entry, bool isWide)
    {
        LoadRegister(Rbx, linear);
        LoadRegister(Rax, IsLong ? entry : (uint)entry);
        if (IsLong)
        {
            Assemble(0x48);
        }

        Assemble(0x89, 0x03);
        if (isWide && !IsLong)
        {
            LoadRegister(Rax, entry >> 32);
            Assemble(0x89, 0x43, 0x04);
        }
    }

    private void Invalidate(int page, bool isGlobal)
    {
        switch (_random.Next(8))
        {
            case 0 or 1 when !isGlobal:
                LoadSpace(RootOf(_set, _identifier));
                break;
            case 2:
                InvalidateAll();
                break;
            case 3:
                InvalidateSpaces(page, isGlobal);
                break;
            default:
                ulong linear = AddressOf(page);
                InvalidatePage(linear);
                if (IsLong && !_random.OneIn(12))
                {
                    InvalidatePage(linear ^ SystemLayout.High);
                }

                break;
        }
    }

    private void InvalidatePage(ulong linear)
    {
        LoadRegister(Rbx, linear | (uint)_random.Next(0x1000));
        Assemble(0x0f, 0x01, 0x3b);
    }

    private void LoadSpace(ulong root)
    {
        LoadRegister(Rax, root);
        Assemble(0x0f, 0x22, 0xd8);
    }

    private void LoadCr0(ulong value)
    {
        LoadRegister(Rax, value);
        Assemble(0x0f, 0x22, 0xc0);
    }

    private void LoadCr4(ulong value)
    {
        LoadRegister(Rax, value);
        Assemble(0x0f, 0x22, 0xe0);
    }

    // CR4.PGE, there and back.
    private void InvalidateAll()
    {
        LoadCr4(_cr4 ^ 0x80);
        LoadCr4(_cr4);
    }

    // A constant in memory that instructions take operands from.
    private ulong Constant(ulong first, ulong second)
    {
        int at = _constants;
        _constants += 16;
        Write64(at, first);
        Write64(at + 8, second);
        return Place(at);
    }

    private void InvalidateSpaces(int page, bool isGlobal)
    {
        int type = isGlobal ? 2 : _random.Next(4);
        ulong at = Constant(type < 2 && HasIdentifiers ? (ulong)_identifier : 0, AddressOf(page));
        LoadRegister(Rbx, at);
        LoadRegister(Rcx, (ulong)type);
        Assemble(0x66, 0x0f, 0x38, 0x82, 0x0b);
    }

    private void SwitchSpace()
    {
        if (_isMixed)
        {
            SwitchForm();
            return;
        }

        _set ^= 1;
        _identifier = HasIdentifiers ? (_random.OneIn(4) ? _random.Next(3) : _set) : 0;
        ulong root = RootOf(_set, _identifier);
        LoadSpace(root | (HasIdentifiers && _random.OneIn(2) ? 1UL << 63 : 0));
        if ((_cr4 & 0x80) != 0 && _random.OneIn(2))
        {
            // Global pages of data are not the same in both.
            InvalidateAll();
        }
    }

    // To the other form of tables, without paging in between.
    private void SwitchForm()
    {
        LoadCr0(_cr0 & ~(1UL << 31));
        _set ^= 1;
        _cr4 ^= 0x20;
        LoadCr4(_cr4);
        LoadSpace(RootOf(_set, 0));
        LoadCr0(_cr0);
    }

    private void SwitchPaging()
    {
        LoadCr0(_cr0 & ~(1UL << 31));
        _pages = false;
        for (int n = 1 + _random.Next(3); n > 0; n--)
        {
            if (_random.OneIn(2))
            {
                Access();
            }
            else
            {
                CallFunction(FindPage(write: false, fetch: true));
            }
        }

        if (_random.OneIn(2))
        {
            ChangeEntry();
        }

        _pages = true;
        LoadCr0(_cr0);
    }

    private void ChangeControl()
    {
        int bit = _random.Next(6) switch { 0 or 1 => 20, 2 or 3 => 21, 4 => 7, _ => 4 };
        if (_random.OneIn(3))
        {
            _cr0 ^= 1 << 16;
            LoadCr0(_cr0);
        }
        else if (IsLong && _identifier == 0 && _random.OneIn(4))
        {
            _cr4 ^= 0x2_0000;
            LoadCr4(_cr4);
        }
        else
        {
            _cr4 ^= 1UL << bit;
            LoadCr4(_cr4);
        }
    }

    // User pages are the kernel's for a while, by an entry above them.
    private void ChangeUpper()
    {
        if (_set != 0)
        {
            return;
        }

        _isUpperKernel = !_isUpperKernel;
        int at = IsLong || IsPae(0) ? SystemLayout.Directory : SystemLayout.Root;
        WriteTable(Place(at), SystemLayout.Table | (_isUpperKernel ? PageTableRights & ~4UL : PageTableRights), IsPae(0));
        if ((_cr4 & 0x80) != 0 || _random.OneIn(2))
        {
            InvalidateAll();
        }
        else
        {
            LoadSpace(RootOf(_set, _identifier));
        }
    }

    private void WriteRegister(uint index, ulong value)
    {
        LoadRegister(Rcx, index);
        LoadRegister(Rax, (uint)value);
        LoadRegister(Rdx, value >> 32);
        Assemble(0x0f, 0x30);
    }

    // No manual says that this drops anything.
    private void ChangeNoExecute()
    {
        if (!IsLong && !IsPae(_set))
        {
            return;
        }

        _efer ^= 0x800;
        WriteRegister(0xc000_0080, _efer);
        InvalidateAll();
    }

    private void OpenUserPages()
    {
        if ((_cr4 & 0x20_0000) != 0 || _random.OneIn(4))
        {
            _isOpen = !_isOpen;
            Assemble(0x0f, 0x01, (byte)(_isOpen ? 0xcb : 0xca));
        }
        else if (IsLong)
        {
            LoadRegister(Rax, (ulong)_random.Next(16));
            Assemble(0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc0, 0x50);
        }
    }
}
