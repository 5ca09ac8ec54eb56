using System.Buffers.Binary;

namespace Lamina.Verify.Privileged;

/// <summary>
/// What programs do: accesses, calls, and between them changes of what these depend on. Where a processor may keep what was changed, it is told to drop it (Intel SDM volume 3, section 4.10.4), by any of the ways that there are;
/// now and then it is not, and the model judges no access that this makes uncertain.
/// </summary>
internal sealed partial class SystemGenerator
{
    private const int Rax = 0;
    private const int Rcx = 1;
    private const int Rdx = 2;
    private const int Rsp = 4;
    private const int Rdi = 7;
    private const int InterruptReturn = 0x1f;
    private const int FirstGate = 0x20;
    private const int CodeEnd = 0xf40;
    private const uint PushedFlags = 2;
    private const ulong PageTableRights = 7;

    private int _at;
    private ulong _codeBase;
    private bool _isUser;
    private bool _pages;
    private bool _isOpen;

    // In a loop, which EDI counts.
    private bool _loops;
    private bool _isUpperKernel;
    private bool _hasCall;
    private bool _hasEnter;
    private bool _hasTask;
    private int _gate;
    private int _constants;
    private ulong _gs;
    private ulong _kernelGs;

    private void MakeProgram()
    {
        _at = SystemLayout.KernelCode + SystemLayout.Instruction;
        _codeBase = _m.Rip - (ulong)_at;
        _isUser = false;
        _pages = true;
        _isOpen = (_m.Flags & 0x4_0000) != 0;
        _isUpperKernel = false;
        _loops = false;
        (_hasCall, _hasEnter, _hasTask) = (false, false, false);
        _gate = FirstGate;
        _constants = SystemLayout.KernelStack;
        (_gs, _kernelGs) = (_m.Segments[MachineImage.Gs].Base, _m[MachineRegister.KernelGsBase]);
        byte[] back = IsLong ? [0x48, 0xcf] : [0xcf];
        back.CopyTo(_m.Memory.AsSpan(SystemLayout.KernelCode + (InterruptReturn * SystemLayout.Landing)));
        int count = 2 + _random.Next(steps - 1);
        for (int n = 0; n < count && HasRoom; n++)
        {
            if (_random.OneIn(8) && !_isUser)
            {
                MakeLoop();
            }
            else
            {
                MakeStep();
            }
        }

        Assemble(0x0f, 0x01, 0xc1);
    }

    private bool HasRoom => (_at & 0xfff) < CodeEnd - 0xa0;

    private void MakeLoop()
    {
        LoadRegister(Rdi, (ulong)(2 + _random.Next(2)));
        _loops = true;
        int start = _at;
        for (int n = 1 + _random.Next(4); n > 0 && HasRoom; n--)
        {
            MakeStep();
        }

        if (_isUser)
        {
            LeaveUser();
        }

        AssembleLoop(start);
        _loops = false;
    }

    // dec edi; jne
    private void AssembleLoop(int start)
    {
        Assemble(0xff, 0xcf, 0x0f, 0x85);
        PutWord((uint)(start - (_at + sizeof(uint))));
    }

    private void MakeStep()
    {
        if (_isUser)
        {
            MakeUserStep();
            return;
        }

        switch (_random.Next(32))
        {
            case < 4:
                Access();
                break;
            case 4 or 5:
                AccessMany();
                break;
            case < 8:
                CallFunction(FindPage(write: false, fetch: true));
                break;
            case 8:
                MoveStack();
                break;
            case < 14:
                MakeAround(ChangeEntry);
                break;
            case < 17:
                MakeAround(SwitchSpace);
                break;
            case < 20:
                MakeAround(ChangeControl);
                break;
            case 20:
                MakeAround(ChangeUpper);
                break;
            case 21:
                ChangeNoExecute();
                break;
            case 22 or 23:
                MakeAround(OpenUserPages);
                break;
            case 24 or 25:
                WriteFunction();
                break;
            case 26:
                WriteAhead();
                break;
            case 27:
                LoadData();
                break;
            case 28:
                MakeBases();
                break;
            case 29:
                LoadTables(_random.Next(4));
                break;
            case 30 when !IsLong:
                MakeAround(SwitchPaging);
                break;
            default:
                EnterUser();
                break;
        }
    }

    private void MakeUserStep()
    {
        switch (_random.Next(12))
        {
            case < 3:
                Access();
                break;
            case 3:
                AccessMany();
                break;
            case < 6:
                CallFunction(FindPage(write: false, fetch: true));
                break;
            case 6:
                WriteAhead();
                break;
            case 7:
                Assemble(0xcd, InterruptReturn);
                break;
            case 8:
                LoadData();
                break;
            default:
                LeaveUser();
                break;
        }
    }

    // The same access before and after something else, of which the change may be one: it is what finds what was kept.
    private void MakeAround(Action change)
    {
        bool calls = _random.OneIn(2);
        int page = FindPage(write: !calls, fetch: calls);
        int kind = _random.Next(3);
        int place = _random.Next(Functions + 1);
        if (_random.OneIn(3) || !HasRoom)
        {
            change();
            return;
        }

        ulong linear = AddressOf(page);
        Do();
        change();
        if (!_isUser && (_random.OneIn(4) || Allows(page, write: kind != 0 && !calls, fetch: calls)))
        {
            Do();
        }

        void Do()
        {
            if (calls)
            {
                CallAt(linear, place);
            }
            else if (Allows(page, write: kind != 0, fetch: false) || _random.OneIn(8))
            {
                AccessAt(linear + 0x808 + (ulong)(8 * place), kind, 2);
            }
        }
    }

    private void Assemble(params ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_m.Memory.AsSpan(_at));
        _at += bytes.Length;
    }

    private void PutWord(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_m.Memory.AsSpan(_at), value);
        _at += sizeof(uint);
    }

    private void LoadRegister(int register, ulong value)
    {
        byte opcode = (byte)(0xb8 + register);
        if (IsLong && value > uint.MaxValue)
        {
            Assemble(0x48, opcode);
            BinaryPrimitives.WriteUInt64LittleEndian(_m.Memory.AsSpan(_at), value);
            _at += sizeof(ulong);
        }
        else
        {
            Assemble(opcode);
            PutWord((uint)value);
        }
    }

    // The last ones are parts of the large page.
    private int TargetPage() => _random.OneIn(10) ? LargeEntry + _random.Next(SystemLayout.LargeParts) : _random.OneIn(2) ? FirstTarget + _random.Next(3) : FirstAlias + _random.Next(8);

    private ulong AddressOf(int page) => Place(page < LargeEntry ? page << 12 : SystemLayout.LargePage(IsPae(_set)) + SystemLayout.KernelData + ((page - LargeEntry) << 12));

    private int FrameOf(int page) => page < LargeEntry ? (int)_entries[_set][page] & 0xf000 : SystemLayout.KernelData + ((page - LargeEntry) << 12);

    private bool AllowsNext(int page, bool write, bool fetch) => page != LargeEntry - 1 && page != LargeEntry + SystemLayout.LargeParts - 1 && Allows(page + 1, write, fetch);

    private ulong Target() => AddressOf(TargetPage());

    // A page that is likely to be allowed.
    private int FindPage(bool write, bool fetch)
    {
        int page = TargetPage();
        for (int n = 0; n < 8 && !Allows(page, write, fetch) && !_random.OneIn(40); n++)
        {
            page = TargetPage();
        }

        return page;
    }

    private bool Allows(int page, bool write, bool fetch)
    {
        if (!_pages)
        {
            return page < SystemLayout.Pages;
        }

        if (page >= LargeEntry && !IsPae(_set) && (_cr4 & 0x10) == 0)
        {
            return false;
        }

        ulong entry = _entries[_set][EntryOf(page)];
        bool isUserPage = (entry & 4) != 0 && !(_isUpperKernel && _set == 0 && page < LargeEntry);
        if ((entry & 1) == 0 || (_isUser && !isUserPage) || ((entry & NoExecute) != 0 && (fetch || (_efer & 0x800) == 0)))
        {
            return false;
        }

        return (!write || (entry & 2) != 0 || (!_isUser && (_cr0 & 0x1_0000) == 0))
            && (_isUser || !isUserPage || (fetch ? (_cr4 & 0x10_0000) == 0 : (_cr4 & 0x20_0000) == 0 || _isOpen));
    }

    private void Access()
    {
        int kind = _random.Next(3);
        int size = _random.Next(IsLong ? 4 : 3);
        int page = FindPage(write: kind != 0, fetch: false);
        int offset = 0x300 + (8 * _random.Next(0x180));
        if (size > 0 && _random.OneIn(5) && (_random.OneIn(8) || AllowsNext(page, write: kind != 0, fetch: false)))
        {
            offset = 0x1000 - 1 - _random.Next((1 << size) - 1);
        }

        AccessAt(AddressOf(page) + (ulong)offset, kind, size);
    }

    // Reads, writes, or complements; what was read goes on the stack.
    private void AccessAt(ulong linear, int kind, int size)
    {
        LoadRegister(Rbx, linear);
        if (kind == 1)
        {
            LoadRegister(Rax, (uint)_random.Next());
        }

        if (kind == 2 && _random.OneIn(3))
        {
            Assemble(0xf0);
        }

        if (size is 1 or 3)
        {
            Assemble(size == 1 ? OperandSize : (byte)0x48);
        }

        byte wide = (byte)(size == 0 ? 0 : 1);
        switch (kind)
        {
            case 0:
                Assemble((byte)(0x8a | wide), 0x03, 0x50);
                break;
            case 1:
                Assemble((byte)(0x88 | wide), 0x03);
                break;
            default:
                Assemble((byte)(0xf6 | wide), 0x13);
                break;
        }
    }

    private void CallFunction(int page) => CallAt(AddressOf(page), _random.OneIn(4) && AllowsNext(page, write: false, fetch: true) ? Functions : _random.Next(Functions));

    // The last of them goes on in the next page.
    private void CallAt(ulong linear, int function)
    {
        LoadRegister(Rbx, linear + (ulong)(function == Functions ? SystemLayout.PageSize - 3 : (function + 1) * FunctionSize));
        Assemble(0xff, 0xd3);
    }
}
