namespace Lamina.Verify.Privileged;

/// <summary>Instructions that work on control, debug, model-specific and table registers, on flags and ports.</summary>
internal sealed partial class SystemGenerator
{
    // A value with one or two bits other than they are.
    private ulong Flip(ulong value, int bits)
    {
        for (int n = _random.Next(3); n >= 0; n--)
        {
            value ^= 1UL << _random.Next(bits);
        }

        return value;
    }

    private void MakeControl(int kind)
    {
        int register = _random.Next(4) == 0 ? 6 : _random.Next(4);
        if (kind < 6)
        {
            int number = _random.Next(10) switch { 0 => _random.Next(8), 1 when Is64 => 8, < 4 => 0, < 6 => 3, < 9 => 4, _ => 2 };
            ulong now = number switch { 0 => _m[MachineRegister.Cr0], 3 => _m[MachineRegister.Cr3], 4 => _m[MachineRegister.Cr4], 8 => (ulong)_random.Next(18), _ => _random.Next() };
            int bits = number switch { 0 => 32, 4 => 24, 3 => 64, _ => 5 };
            now = number == 0 && _random.OneIn(2) ? now ^ (1UL << _random.Next(4) switch { 0 => 31, 1 => 30, 2 => 29, _ => 0 }) : _random.OneIn(4) ? now : Flip(now, bits);
            if (number == 3 && now < 0x1000 && _random.OneIn(2))
            {
                now |= (uint)_random.Next(0x1000);
            }

            SetRegister(register, now);
            if (number == 8)
            {
                Emit(0x44);
            }

            Emit(0x0f, (byte)(_random.OneIn(3) ? 0x20 : 0x22), (byte)(0xc0 | ((number & 7) << 3) | register));
        }
        else if (kind < 8)
        {
            int number = _random.Next(8);
            SetRegister(register, number >= 6 ? Flip(_m[number == 6 ? MachineRegister.Dr6 : MachineRegister.Dr7] & ~0xffUL, 33) & ~0xffUL : _random.Next());
            if (Is64 && _random.OneIn(24))
            {
                Emit(0x44);
            }

            Emit(0x0f, (byte)(_random.OneIn(2) ? 0x21 : 0x23), (byte)(0xc0 | (number << 3) | register));
        }
        else if (kind == 8)
        {
            EmitWord([0x0f, 0x01], 6, (ushort)Flip(_m[MachineRegister.Cr0] & 0xffff, 4));
        }
        else
        {
            EmitOperandSize();
            EmitWord([0x0f, 0x01], 4, 0);
        }
    }

    private void SetRegister(int register, ulong value) => _m.General[register] = Is64 ? value : (uint)value;

    private void MakeTableRegister()
    {
        byte[] content = new byte[10];
        BitConverter.TryWriteBytes(content, (ushort)_random.Next());
        ulong address = _random.Next(6) switch { 0 => 0x0000_8000_0000_0000, 1 => _random.Next(), 2 => SystemLayout.High + 0x1234, _ => _random.Next() >> 17 };
        BitConverter.TryWriteBytes(content.AsSpan(2), address);
        if (_random.OneIn(3))
        {
            EmitOperandSize(wide: false);
        }

        EmitMemory([0x0f, 0x01], _random.Next(4), content);
    }

    private void MakeTaskRegister()
    {
        int field = _random.Next(4);
        if (field < 2)
        {
            EmitOperandSize();
            EmitWord([0x0f, 0x00], field, 0);
            return;
        }

        int index = _random.OneIn(4) ? _random.Next(GlobalCount) : field == 2 ? LocalTable : Tasks + (2 * _random.Next(2));
        ushort selector = _random.OneIn(8) ? AnySelector() : _random.OneIn(8) ? (ushort)_random.Next(4) : (ushort)((index * 8) | _random.Next(4));
        EmitWord([0x0f, 0x00], field, selector);
    }

    private void MakeFlagInstruction()
    {
        switch (_random.Next(8))
        {
            case 0:
                Emit(0xfa);
                break;
            case 1:
                Emit(0xfb);
                break;
            case 2:
                EmitOperandSize(wide: false);
                Emit(0x9c);
                break;
            case 3:
                int size = EmitOperandSize(wide: false);
                Emit(0x9d);
                PutStack(0, _random.Next() & 0x3f_7ed7, Is64 && size == 4 ? 8 : size);
                break;
            default:
                bool byPort = _random.OneIn(2);
                int kind = _random.Next(2);
                if (kind == 1)
                {
                    EmitOperandSize(wide: false);
                }

                byte code = (byte)((byPort ? 0xec : 0xe4) | kind | (_random.OneIn(2) ? 2 : 0));
                _m.General[2] = (_m.General[2] & ~0xffffUL) | (uint)(_random.OneIn(4) ? _random.Next(0x1_0000) : _random.Next(0x1d00));
                Emit(byPort ? [code] : [code, (byte)_random.Next(256)]);
                break;
        }
    }

    private void MakeSimple()
    {
        switch (_random.Next(14))
        {
            case 0:
                Emit(0x0f, 0x06);
                break;
            case 1:
                EmitMemory([0x0f, 0x01], 7, []);
                break;
            case 2:
                Emit(0x0f, (byte)(8 + _random.Next(2)));
                break;
            case 3:
                Emit(0xf4);
                break;
            case 4:
                Emit(0x0f, 0x33);
                break;
            case 5:
                Emit(0x0f, 0x31);
                break;
            case 6:
                Emit(0x0f, 0x01, 0xf9);
                break;
            case 7:
                Emit(0x0f, 0x01, (byte)(0xca + _random.Next(2)));
                break;
            case 8:
                _m.General[1] = _random.OneIn(4) ? (ulong)_random.Next(3) : 0;
                Emit(0x0f, 0x01, 0xd0);
                break;
            case 9:
                _m.General[1] = _random.OneIn(4) ? (ulong)_random.Next(3) : 0;
                _m.General[0] = _random.OneIn(8) ? _random.Next() : (ulong)_random.Next(8);
                _m.General[2] = _random.OneIn(8) ? _random.Next() : 0;
                Emit(0x0f, 0x01, 0xd1);
                break;
            case 10:
                Emit(0x0f, 0x01, 0xf8);
                break;
            case 11:
                Emit(0x0f, 0x01, (byte)(0xc8 + _random.Next(2)));
                break;
            case 12:
                MakeSegmentBase();
                break;
            default:
                byte[] content = new byte[16];
                BitConverter.TryWriteBytes(content, _random.Next(4) switch { 0 => _random.Next(), 1 => (ulong)_random.Next(0x1000), _ => 0UL });
                BitConverter.TryWriteBytes(content.AsSpan(8), _random.OneIn(4) ? _random.Next() : (ulong)_random.Next(0x1_0000));
                int register = _random.Next(3);
                SetRegister(register, _random.OneIn(8) ? _random.Next() : (ulong)_random.Next(5));
                EmitMemory([0x66, 0x0f, 0x38, 0x82], register, content);
                break;
        }
    }

    private void MakeSegmentBase()
    {
        if (_random.OneIn(2))
        {
            _m.General[0] = _random.OneIn(4) ? _random.Next() : _random.Next() >> 17;
        }

        Emit(0xf3);
        if (Is64 && _random.OneIn(2))
        {
            Emit(0x48);
        }

        Emit(0x0f, 0xae, (byte)(0xc0 | (_random.Next(4) << 3)));
    }

    private void MakeModelSpecific()
    {
        ReadOnlySpan<uint> indices =
        [
            0x174, 0x175, 0x176, 0xc000_0080, 0xc000_0080, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0103, 0xc000_0104, 0xc000_0200, 0xc000_0090,
        ];
        uint index = indices[_random.Next(indices.Length)];
        ulong value = index switch
        {
            0xc000_0080 => Flip(_m[MachineRegister.Efer], _random.OneIn(8) ? 64 : 13),
            0x174 or 0xc000_0084 or 0xc000_0103 => (uint)_random.Next() | (_random.OneIn(8) ? _random.Next() : 0),
            _ => _random.Next(4) switch { 0 => _random.Next(), 1 => 0x0000_8000_0000_0000 - (ulong)_random.Next(2), 2 => SystemLayout.High - (ulong)_random.Next(2), _ => _random.Next() >> 17 },
        };
        _m.General[1] = index | (Is64 && _random.OneIn(8) ? 1UL << 40 : 0);
        if (_random.OneIn(3))
        {
            Emit(0x0f, 0x32);
            return;
        }

        _m.General[0] = (uint)value;
        _m.General[2] = value >> 32;
        Emit(0x0f, 0x30);
    }
}
