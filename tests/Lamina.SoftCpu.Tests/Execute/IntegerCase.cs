namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>An encoding of a form with random prefixes, operands and registers; its memory operand lies in the buffer.</summary>
internal sealed unsafe class IntegerCase
{
    private const int Rcx = 1;
    private const int Rsp = 4;
    private readonly Random _random;
    private readonly int _codeSize;
    private readonly ulong _buffer;
    private readonly ulong _slot;

    public IntegerCase(Random random, int codeSize, ulong buffer, ulong slot)
    {
        _random = random;
        _codeSize = codeSize;
        _buffer = buffer;
        _slot = slot;
    }

    public IntegerState State;

    public byte[] Code { get; private set; } = [];

    public int Bits { get; private set; }

    public bool IsMemory { get; private set; }

    /// <summary>Offset of the memory operand in the buffer.</summary>
    public int Target { get; private set; }

    public int Reg { get; private set; }

    public int Rm { get; private set; }

    public byte Immediate { get; private set; }

    public bool HasRex { get; private set; }

    public void Fill()
    {
        for (int n = 0; n < 16; n++)
        {
            State.General[n] = Value();
            if (_codeSize != 8)
            {
                State.General[n] = n < 8 ? (uint)State.General[n] : 0;
            }
        }

        State.General[Rsp] = _buffer + 0x2000 + (ulong)_random.Next(-64, 64);
        State.Flags = 0x202 | ((ulong)_random.Next(0x1000) & 0xcd5);
    }

    /// <summary>Makes a case; tries until one fits.</summary>
    public void Make(IntegerForm form)
    {
        while (!TryMake(form))
        {
        }
    }

    /// <summary>A value with interesting corners.</summary>
    public ulong Value()
    {
        ulong v = (ulong)_random.NextInt64(long.MinValue, long.MaxValue);
        return _random.Next(10) switch
        {
            0 => (ulong)_random.Next(4),
            1 => (ulong)-_random.Next(4),
            2 => 1UL << _random.Next(64),
            3 => (1UL << _random.Next(64)) - 1,
            4 => 0x8000_8000_8000_8080 ^ ((ulong)_random.Next(3) << (8 * _random.Next(8))),
            5 => (uint)v,
            6 => v & (ulong)_random.NextInt64() & (ulong)_random.NextInt64(),
            _ => v,
        };
    }

    private bool TryMake(IntegerForm form)
    {
        Fill();
        List<byte> code = [];
        bool lea = form.Special == 'l';
        bool stack = form.Opcode is 0xff or 0x8f && form.Digit is 6 or 0 && form.Name is "push" or "pop";
        IsMemory = form.Special is 'l' or 'm' || _random.Next(10) < 6;
        bool word = _random.Next(4) == 0;
        int rex = _codeSize == 8 && _random.Next(3) != 0 ? 0x40 | _random.Next(16) : 0;
        if (form.Special == 'm' && word)
        {
            word = false;
        }

        HasRex = rex != 0;
        Bits = form.Byte ? 8 : (rex & 8) != 0 ? 64 : word ? 16 : stack && _codeSize == 8 ? 64 : 32;
        bool small = (_codeSize == 8 || lea) && _random.Next(5) == 0;
        bool locked = form.Lock && IsMemory && _random.Next(3) == 0;
        byte[] prefixes = [.. word ? new byte[] { 0x66 } : [], .. small ? new byte[] { 0x67 } : [], .. locked ? new byte[] { 0xf0 } : []];
        _random.Shuffle(prefixes);
        if (_random.Next(8) == 0)
        {
            // Not CS outside 64-bit mode: it cannot be written.
            code.Add(_random.Next(3) switch { 0 => 0x26, 1 => (byte)(_codeSize == 8 ? 0x2e : 0x36), _ => 0x3e });
        }

        code.AddRange(prefixes);
        if (rex != 0)
        {
            code.Add((byte)rex);
        }

        if (form.Opcode >= 0x100)
        {
            code.Add(0x0f);
        }

        code.Add((byte)form.Opcode);
        int reg = form.Digit >= 0 ? form.Digit : _random.Next(8);
        Reg = form.Digit >= 0 ? -1 : reg | ((rex & 4) << 1);
        bool highByte = form.Byte && rex == 0;
        if (Reg == Rsp && !highByte)
        {
            return false;
        }

        int immediate = form.Immediate == 'n' ? 0 : form.Immediate == 'b' ? 1 : word && (rex & 8) == 0 ? 2 : 4;
        if (!IsMemory)
        {
            int rm = _random.Next(8);
            Rm = rm | ((rex & 1) << 3);
            if (Rm == Rsp && !(highByte || form.Name == "push"))
            {
                return false;
            }

            code.Add((byte)(0xc0 | (reg << 3) | rm));
        }
        else if (!TryAddress(form, code, reg, rex, small, immediate))
        {
            return false;
        }

        for (int n = 0; n < immediate; n++)
        {
            byte b = (byte)(_random.Next(4) == 0 ? _random.Next(2) * 0xff : _random.Next(256));
            Immediate = n == 0 ? b : Immediate;
            code.Add(b);
        }

        Code = [.. code];
        return Code.Length <= 15;
    }

    private bool TryAddress(IntegerForm form, List<byte> code, int reg, int rex, bool small, int immediate)
    {
        int mod = _random.Next(3);
        int rm = _random.Next(8);
        if (small && _codeSize == 4)
        {
            // 16-bit addressing, for LEA only: any address will do.
            code.Add((byte)((mod << 6) | (reg << 3) | rm));
            int length = mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
            for (int n = 0; n < length; n++)
            {
                code.Add((byte)_random.Next(256));
            }

            return true;
        }

        // Near page and line boundaries more often than not.
        Target = _random.Next(3) switch
        {
            0 => 0x1000 * _random.Next(1, 4) - _random.Next(1, 16),
            1 => 64 * _random.Next(8, 240) - _random.Next(1, 16),
            _ => _random.Next(64, IntegerMachine.BufferSize - 64),
        };
        if (form.Special == 'm')
        {
            Target &= (rex & 8) != 0 ? ~15 : ~0;
        }

        long delta = 0;
        if (form.Special == 'b')
        {
            Target = (Target & 0xfff) + 0x1800;
            delta = _random.Next(-0x1000 * 8, 0x1000 * 8);
            State.General[Reg] = Bits switch
            {
                16 => (State.General[Reg] & ~0xffffUL) | (ushort)(delta = (short)delta),
                32 => _codeSize == 8 ? (State.General[Reg] & 0xffff_ffff_0000_0000) | (uint)delta : (uint)delta,
                _ => (ulong)delta,
            };
        }

        ulong target = _buffer + (ulong)Target;
        int @base = rm | ((rex & 1) << 3);
        int index = -1;
        int scale = 0;
        bool sib = rm == 4;
        byte sibByte = 0;
        if (sib)
        {
            int i = _random.Next(8);
            int b = _random.Next(8);
            scale = _random.Next(4);
            sibByte = (byte)((scale << 6) | (i << 3) | b);
            index = i | ((rex & 2) << 2);
            index = index == 4 ? -1 : index;
            @base = b == 5 && mod == 0 ? -1 : b | ((rex & 1) << 3);
        }
        else if (rm == 5 && mod == 0)
        {
            @base = _codeSize == 8 ? -2 : -1;
        }

        if (index >= 0 && (index == @base || index == Rsp))
        {
            return false;
        }

        if (form.Special == 'b' && (Reg == @base || Reg == index))
        {
            return false;
        }

        int displacement = mod == 1 ? (sbyte)_random.Next(256) : mod == 2 ? _random.Next(int.MinValue, int.MaxValue) : 0;
        int width = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        bool fixedBase = @base is < 0 or Rsp;
        if (fixedBase && index >= 0)
        {
            State.General[index] = (ulong)_random.Next(256);
        }

        ulong rest = index >= 0 ? State.General[index] << scale : 0;
        int start = code.Count + 1 + (sib ? 1 : 0);
        if (fixedBase)
        {
            width = mod == 1 ? 1 : 4;
            if (@base == Rsp && mod == 0)
            {
                return false;
            }

            ulong origin = @base == Rsp ? StackBase(form) : @base == -2 ? _slot + (ulong)(start + 4 + immediate) : 0;
            long needed = (long)(target - origin - rest);
            if (mod == 1 && (needed < -128 || needed > 127))
            {
                return false;
            }

            displacement = (int)needed;
        }
        else
        {
            ulong value = target - rest - (ulong)(long)displacement;
            if (_codeSize != 8)
            {
                value = (uint)value;
            }
            else if (small)
            {
                value = (uint)value | (State.General[@base] & 0xffff_ffff_0000_0000);
            }

            State.General[@base] = value;
        }

        code.Add((byte)((mod << 6) | (reg << 3) | rm));
        if (sib)
        {
            code.Add(sibByte);
        }

        for (int n = 0; n < width; n++)
        {
            code.Add((byte)(displacement >> (8 * n)));
        }

        return true;
    }

    private ulong StackBase(IntegerForm form) => State.General[Rsp] + (form.Name == "pop" ? (ulong)(Bits / 8) : 0);
}
