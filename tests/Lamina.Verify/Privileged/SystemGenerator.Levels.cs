namespace Lamina.Verify.Privileged;

/// <summary>Code that programs write, segments that they load, and privilege levels that they go to.</summary>
internal sealed partial class SystemGenerator
{
    // Code is executed, written by another address or its own, and executed again.
    private void WriteFunction()
    {
        int page = FindPage(write: false, fetch: true);
        int frame = FrameOf(page);
        int writer = page;
        for (int n = 0; n < 24; n++)
        {
            int other = TargetPage();
            if (FrameOf(other) == frame && Allows(other, write: true, fetch: false) && (other != page || _random.OneIn(4)))
            {
                writer = other;
                break;
            }
        }

        if (!Allows(page, write: false, fetch: true) || !Allows(writer, write: true, fetch: false))
        {
            return;
        }

        int function = _random.Next(Functions);
        ulong linear = AddressOf(page);
        ulong by = writer == page && _random.OneIn(2) ? linear : AddressOf(writer);
        CallAt(linear, function);
        LoadRegister(Rbx, by + (ulong)((function + 1) * FunctionSize) + 2);
        Assemble(0xc6, 0x03, (byte)(_random.Next(127) + 1));
        if (by != linear && !_random.OneIn(10))
        {
            SerializeCode();
        }

        CallAt(linear, function);
    }

    private void SerializeCode()
    {
        switch (_random.Next(3))
        {
            case 0:
                LoadSpace(RootOf(_set, _identifier));
                break;
            case 1:
                // Its handler is an IRET.
                Assemble(0xcd, InterruptReturn);
                break;
            default:
                InvalidatePage(Place(0x1f_0000));
                break;
        }
    }

    // The next instruction is written.
    private void WriteAhead()
    {
        const int store = 3;
        const int operand = 2;
        ulong own = _isUser ? SystemLayout.Alias : _codeBase;
        ulong other = !_isUser && IsLong && _random.OneIn(3) ? own ^ SystemLayout.High : own;
        int load = IsLong && other > uint.MaxValue ? 10 : 5;
        byte[] between = other != own ? [0xcd, InterruptReturn] : [];
        LoadRegister(Rbx, other + (ulong)(_at + load + store + between.Length + operand));
        Assemble(0xc6, 0x03, (byte)(_random.Next(127) + 1));
        Assemble(between);
        Assemble(0x8d, 0x52, (byte)(_random.Next(127) + 1));
    }

    // A segment register is loaded from an entry that the program may have changed, and used.
    private void LoadData()
    {
        bool isLocal = _random.OneIn(4);
        int index = isLocal ? _random.Next(LocalCount) : Others + _random.Next(GlobalCount - Others);
        ulong descriptor = Read64((isLocal ? SystemLayout.Ldt : SystemLayout.Gdt) + (index * 8));
        if (!_isUser && _random.OneIn(2))
        {
            descriptor = AnyData();
            int table = (isLocal ? SystemLayout.Ldt : SystemLayout.Gdt) + (_pages && _random.OneIn(3) && _set == 0 ? SystemLayout.Alias : 0);
            LoadRegister(Rbx, Place(table) + (ulong)(index * 8));
            LoadRegister(Rax, (uint)descriptor);
            Assemble(0x89, 0x03);
            LoadRegister(Rax, descriptor >> 32);
            Assemble(0x89, 0x43, 0x04);
        }

        int segment = IsLong ? MachineImage.Fs : _random.OneIn(2) ? MachineImage.Fs : MachineImage.Es;
        LoadRegister(Rax, (uint)((index * 8) | (isLocal ? 4 : 0) | 3));
        Assemble(0x8e, (byte)(0xc0 | (segment << 3)));
        int page = (int)((descriptor >> 28) & 0xf);
        if (Allows(page, write: false, fetch: false) || _random.OneIn(10))
        {
            LoadRegister(Rbx, (ulong)(8 * _random.Next(0x100)));
            Assemble(segment == MachineImage.Fs ? (byte)0x64 : (byte)0x26, 0x8b, 0x03, 0x50);
        }
    }

    // Bases of GS, by SWAPGS or its registers, and an access by it.
    private void MakeBases()
    {
        if (!IsLong)
        {
            Access();
            return;
        }

        if (_random.OneIn(2))
        {
            ulong value = Target();
            bool isKernel = _random.OneIn(2);
            WriteRegister(isKernel ? 0xc000_0102 : 0xc000_0101, value);
            (_gs, _kernelGs) = isKernel ? (_gs, value) : (value, _kernelGs);
        }

        if (!_random.OneIn(4))
        {
            (_gs, _kernelGs) = (_kernelGs, _gs);
            Assemble(0x0f, 0x01, 0xf8);
        }

        uint linear = (uint)_gs & 0x7fff_ffff;
        int page = (int)(linear >> 12);
        page = page < SystemLayout.LinearPages ? page : LargeEntry + page - ((SystemLayout.LargePage(true) + SystemLayout.KernelData) >> 12);
        if (Allows(page, write: false, fetch: false))
        {
            LoadRegister(Rbx, 0x300 + (ulong)(8 * _random.Next(0x100)));
            Assemble(0x65, 0x8b, 0x03, 0x50);
        }
    }

    // Table registers are loaded again.
    private void LoadTables(int kind)
    {
        switch (kind)
        {
            case 0:
                // LGDT
                int alias = _set == 0 && _random.OneIn(2) ? SystemLayout.Alias : 0;
                ulong table = Place(SystemLayout.Gdt + alias);
                LoadRegister(Rbx, Constant(((GlobalCount * 8UL) - 1) | (table << 16), table >> 48));
                Assemble(0x0f, 0x01, 0x13);
                break;
            case 1:
                // LLDT
                LoadRegister(Rax, LocalTable * 8);
                Assemble(0x0f, 0x00, 0xd0);
                break;
            case 2 when !_hasTask:
                // LTR
                _hasTask = true;
                LoadRegister(Rax, Tasks * 8);
                Assemble(0x0f, 0x00, 0xd8);
                break;
            default:
                Assemble(0xcd, InterruptReturn);
                break;
        }
    }

    // IRET, SYSRET or SYSEXIT to what follows, as CPL 3 has it.
    private void EnterUser()
    {
        const int userStack = SystemLayout.UserStack + 0xc00;
        switch (_random.Next(IsLong ? 4 : 3))
        {
            case 3:
                LoadRegister(Rsp, userStack);
                LoadRegister(Rcx, UserAddress(5 + 6 + 3));
                Assemble(0x41, 0xbb);
                PutWord(PushedFlags);
                Assemble(0x48, 0x0f, 0x07);
                _isOpen = false;
                break;
            case 2:
                int length = IsLong ? 3 : 2;
                LoadRegister(Rdx, UserAddress(5 + 5 + length));
                LoadRegister(Rcx, userStack);
                Assemble(IsLong ? [0x48, 0x0f, 0x35] : [0x0f, 0x35]);
                break;
            default:
                bool opens = _random.OneIn(6);
                PutPush(((FlatData + 3) * 8) | 3);
                PutPush(userStack);
                PutPush(PushedFlags | (opens ? 0x4_0000u : 0));
                PutPush(((Code64 + 3) * 8) | 3);
                PutPush((uint)UserAddress(5 + (IsLong ? 2 : 1)));
                Assemble(IsLong ? [0x48, 0xcf] : [0xcf]);
                _isOpen = opens;
                _isUser = true;
                return;
        }

        _isUser = true;
    }

    // Of what is that far ahead.
    private ulong UserAddress(int ahead) => SystemLayout.Alias + (ulong)(_at + ahead);

    private void PutPush(uint value)
    {
        Assemble(0x68);
        PutWord(value);
    }

    private void LeaveUser()
    {
        const ulong accessControl = 0x4_0000;
        int kind = _random.Next(3);
        if (kind == 0 && IsLong && !_hasCall)
        {
            _hasCall = true;
            Assemble(0x0f, 0x05);
            _m[MachineRegister.Lstar] = _codeBase + (ulong)_at;
            LoadRegister(Rsp, Place(SystemLayout.KernelStack + 0xe00));
            _isOpen &= (_m[MachineRegister.Fmask] & accessControl) == 0;
        }
        else if (kind == 1 && !_hasEnter)
        {
            _hasEnter = true;
            Assemble(0x0f, 0x34);
            _m[MachineRegister.SysenterEip] = _codeBase + (ulong)_at;
        }
        else if (_gate < VectorCount)
        {
            Assemble(0xcd, (byte)_gate);
            SetVector(_gate++, _codeBase + (ulong)_at);
        }
        else
        {
            // Nowhere to go: the program ends.
            Assemble(0x0f, 0x01, 0xc1);
        }

        _isUser = false;
    }
}
