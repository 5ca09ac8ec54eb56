namespace Lamina.Verify.Privileged;

/// <summary>Instructions, and what they meet in registers and memory.</summary>
internal sealed partial class SystemGenerator
{
    private const byte OperandSize = 0x66;
    private const int Rbx = 3;
    private readonly List<byte> _code = [];

    private bool Is64 => _codeSize == 8;

    // Bytes of operands with that prefix or without.
    private int Operand(bool prefixed) => _codeSize == 2 ? (prefixed ? 4 : 2) : prefixed ? 2 : 4;

    private void MakeInstruction()
    {
        _code.Clear();
        switch (_kind)
        {
            case 0 or 1:
                MakeSegmentLoad();
                break;
            case 2:
                MakeQuery();
                break;
            case 3 or 4:
                MakeFarTransfer();
                break;
            case 5 or 6:
                MakeFarReturn();
                break;
            case 7 or 8 or 9:
                MakeInterrupt();
                break;
            case 10 or 11 or 12:
                MakeInterruptReturn();
                break;
            case 13:
                MakeSystemCall();
                break;
            case 14 or 15:
                MakeControl(_random.Next(10));
                break;
            case 16:
                MakeTableRegister();
                break;
            case 17 or 18:
                MakeFlagInstruction();
                break;
            case 19:
                MakeSimple();
                break;
            case 20 or 21:
                MakeModelSpecific();
                break;
            case 22:
                MakeFarTransfer();
                break;
            default:
                MakeTaskRegister();
                break;
        }

        int at = CodePage + SystemLayout.Instruction;
        byte[] stop = [0x0f, 0x01, 0xc1];
        for (int n = 0; n < _code.Count + stop.Length; n++)
        {
            _m.Memory[at + n] = n < _code.Count ? _code[n] : stop[n - _code.Count];
        }
    }

    private void Emit(params ReadOnlySpan<byte> bytes) => _code.AddRange(bytes);

    // A prefix for the other operand size, now and then; the answer is the operand size.
    private int EmitOperandSize(bool wide = true)
    {
        if (Is64 && wide && _random.OneIn(3))
        {
            Emit(0x48);
            return 8;
        }

        bool prefixed = _random.OneIn(4);
        if (prefixed)
        {
            Emit(OperandSize);
        }

        return Operand(prefixed);
    }

    // An opcode with its operand in memory at [rBX], where bytes are put.
    private void EmitMemory(ReadOnlySpan<byte> opcode, int field, ReadOnlySpan<byte> content)
    {
        int segment = MachineImage.Ds;
        int prefixes = _code.Count;
        if (_random.OneIn(8))
        {
            segment = _random.Next(6);
            _code.Insert(0, (byte)(segment switch { 0 => 0x26, 1 => 0x2e, 2 => 0x36, 3 => 0x3e, 4 => 0x64, _ => 0x65 }));
            prefixes++;
        }

        Emit(opcode);
        Emit((byte)((field << 3) | (_codeSize == 2 ? 7 : Rbx)));
        int page = _cpl == 3 ? SystemLayout.UserData : _random.OneIn(4) ? SystemLayout.UserData : SystemLayout.KernelData;
        int offset = _random.Next(16) switch { 0 => 0xfff - _random.Next(12), 1 => _random.Next(8), _ => 8 * _random.Next(0x1f0) };
        ulong start = Is64 ? (segment >= MachineImage.Fs ? _m.Segments[segment].Base : 0) : _m.Segments[segment].Base;
        ulong linear = Is64 ? Place(page + offset) : (ulong)(page + offset);
        _m.General[Rbx] = linear - start;
        if (!Is64)
        {
            _m.General[Rbx] = (uint)_m.General[Rbx];
        }
        else if (_random.OneIn(40))
        {
            _m.General[Rbx] = 0x0000_8000_0000_0000 - (ulong)_random.Next(12);
        }

        for (int n = 0; n < content.Length; n++)
        {
            _m.Memory[(page + offset + n) & 0xffff] = content[n];
        }
    }

    // An opcode with a word in a register, or in memory.
    private void EmitWord(ReadOnlySpan<byte> opcode, int field, ushort value)
    {
        if (_random.OneIn(2))
        {
            EmitMemory(opcode, field, BitConverter.GetBytes(value));
            return;
        }

        int register = _random.Next(4) == 0 ? 6 : _random.Next(4);
        Emit(opcode);
        Emit((byte)(0xc0 | (field << 3) | register));
        _m.General[register] = (_m.General[register] & ~0xffffUL) | value;
    }

    private ushort DataSelector(int segment)
    {
        if (_random.OneIn(4))
        {
            return AnySelector();
        }

        if (_random.OneIn(10))
        {
            return (ushort)_random.Next(4);
        }

        int level = segment == MachineImage.Ss ? _cpl : _cpl + _random.Next(4 - _cpl);
        int rpl = segment == MachineImage.Ss || _random.OneIn(2) ? _cpl : _random.Next(level + 1);
        int index = segment != MachineImage.Ss && _random.OneIn(5) ? Code64 + level : segment != MachineImage.Ss && _random.OneIn(8) ? Conforming + _random.Next(4) : FlatData + level;
        return (ushort)((index * 8) | rpl);
    }

    private void MakeSegmentLoad()
    {
        int segment = _random.Next(5) switch { 0 => MachineImage.Es, 1 => MachineImage.Ss, 2 => MachineImage.Ds, 3 => MachineImage.Fs, _ => MachineImage.Gs };
        ushort selector = DataSelector(segment);
        switch (_random.Next(8))
        {
            case 0 or 1 or 2:
                EmitOperandSize();
                EmitWord([0x8e], segment, selector);
                break;
            case 3 or 4 when segment >= MachineImage.Fs || !Is64:
                int size = EmitOperandSize(wide: false);
                byte pop = (byte)(segment >= MachineImage.Fs ? 0xa1 + (8 * (segment - MachineImage.Fs)) : 7 + (8 * segment));
                Emit(segment >= MachineImage.Fs ? [0x0f, pop] : [pop]);
                PutStack(0, selector, Is64 ? 8 : size);
                break;
            case 5:
                EmitOperandSize();
                EmitWord([0x8c], _random.Next(6), 0);
                break;
            case 6 when segment >= MachineImage.Fs || !Is64:
                EmitOperandSize(wide: false);
                byte push = (byte)(segment >= MachineImage.Fs ? 0xa0 + (8 * (segment - MachineImage.Fs)) : 6 + (8 * segment));
                Emit(segment >= MachineImage.Fs ? [0x0f, push] : [push]);
                break;
            default:
                bool oneByte = segment is MachineImage.Es or MachineImage.Ds && !Is64;
                segment = Is64 && segment is MachineImage.Es or MachineImage.Ds ? MachineImage.Fs : segment;
                byte code = segment switch { MachineImage.Es => 0xc4, MachineImage.Ds => 0xc5, MachineImage.Ss => 0xb2, MachineImage.Fs => 0xb4, _ => 0xb5 };
                int pointer = EmitOperandSize();
                byte[] content = new byte[pointer + 2];
                BitConverter.TryWriteBytes(content, (uint)_random.Next());
                BitConverter.TryWriteBytes(content.AsSpan(pointer), selector);
                EmitMemory(oneByte ? [code] : [0x0f, code], _random.Next(8), content);
                break;
        }
    }

    private void MakeQuery()
    {
        ushort selector = _random.OneIn(2) ? AnySelector() : (ushort)(((1 + _random.Next(48)) * 8) | _random.Next(4));
        switch (_random.Next(5))
        {
            case 0:
                EmitOperandSize();
                EmitWord([0x0f, 0x02], _random.Next(8), selector);
                break;
            case 1:
                EmitOperandSize();
                EmitWord([0x0f, 0x03], _random.Next(8), selector);
                break;
            case 2 when !Is64:
                int register = _random.Next(8);
                _m.General[register] = (_m.General[register] & ~3UL) | (uint)_random.Next(4);
                EmitWord([0x63], register, selector);
                break;
            default:
                EmitWord([0x0f, 0x00], 4 + _random.Next(2), selector);
                break;
        }
    }

    // Code of a level, where it may go on.
    private (ushort Selector, ulong Offset) Target(int level, bool isLong = false)
    {
        int page = level == 3 ? SystemLayout.UserCode : SystemLayout.KernelCode;
        int index = _random.Next(8) switch { 0 => Code16, 1 => Code32, 2 => Conforming - level, _ => Code64 };
        ulong offset = isLong && _random.OneIn(3) ? SystemLayout.High : 0;
        if (_random.OneIn(16))
        {
            offset += _random.OneIn(2) ? 0x10_0000UL : isLong ? 0x0000_8000_0000_0000UL : 0x1_0000UL;
        }

        return ((ushort)(((index + level) * 8) | level), offset + (ulong)(page + Slot()));
    }

    private void MakeFarTransfer()
    {
        (ushort selector, ulong offset) = Target(_cpl, Is64);
        selector = _random.Next(12) switch
        {
            0 => AnySelector(),
            1 or 2 or 3 => (ushort)(((Gates + (2 * _random.Next(4))) * 8) | _random.Next(_cpl + 1)),
            4 or 5 => (ushort)(((Tasks + (2 * _random.Next(2))) * 8) | (_random.OneIn(4) ? _random.Next(4) : 0)),
            6 => (ushort)((TaskGate * 8) | (_random.OneIn(4) ? _random.Next(4) : 0)),
            7 => (ushort)((selector & ~3) | _random.Next(4)),
            8 => (ushort)(((Conforming + _random.Next(2)) * 8) | _random.Next(4)),
            _ => selector,
        };
        bool isCall = _random.OneIn(2);
        if (_mode == SystemMode.V86)
        {
            selector = (ushort)_random.Next(0x1000);
        }

        int size = EmitOperandSize();
        byte[] pointer = new byte[size + 2];
        byte[] address = BitConverter.GetBytes(offset);
        address.AsSpan(0, size).CopyTo(pointer);
        BitConverter.TryWriteBytes(pointer.AsSpan(size), selector);
        if (!Is64 && _random.OneIn(2))
        {
            Emit(isCall ? (byte)0x9a : (byte)0xea);
            Emit(pointer);
        }
        else
        {
            EmitMemory([0xff], isCall ? 3 : 5, pointer);
        }
    }

    // Writes a value to the stack, that many slots above RSP.
    private void PutStack(int slot, ulong value, int size, int skip = 0)
    {
        ulong pointer = _m.General[4] + (ulong)(slot * size) + (ulong)skip;
        ulong linear = Is64 ? pointer : (uint)(_m.Segments[MachineImage.Ss].Base + ((_m.Segments[MachineImage.Ss].Attributes & 0x4000) != 0 ? (uint)pointer : (ushort)pointer));
        for (int n = 0; n < size; n++)
        {
            int at = (int)(linear + (ulong)n) & 0xffff;

            // Tables stay as they are.
            if (at >= SystemLayout.KernelStack)
            {
                _m.Memory[at] = (byte)(value >> (8 * n));
            }
        }
    }

    private int OuterLevel() => _random.OneIn(10) ? _random.Next(4) : _random.OneIn(3) ? _cpl : _cpl + _random.Next(4 - _cpl);

    private ushort ReturnSelector(ushort selector) => _random.Next(16) switch { 0 => AnySelector(), 1 => (ushort)((selector & ~3) | _random.Next(4)), _ => selector };

    private void PutOuterStack(int slot, int size, int level, int skip)
    {
        int page = level == 3 ? SystemLayout.UserStack : SystemLayout.KernelStack;
        PutStack(slot, Is64 ? Place(page + 0xe00) : (ulong)(page + 0xe00), size, skip);
        ushort selector = _random.OneIn(8) && level < 3 ? (ushort)_random.Next(4) : ReturnSelector((ushort)(((FlatData + level) * 8) | level));
        PutStack(slot + 1, selector, size, skip);
    }

    private void MakeFarReturn()
    {
        int level = OuterLevel();
        (ushort selector, ulong offset) = Target(level, IsLong);
        int size = EmitOperandSize();
        int released = 0;
        if (_random.OneIn(3))
        {
            released = _random.OneIn(8) ? _random.Next(0x1_0000) : 4 * _random.Next(8);
            Emit(0xca, (byte)released, (byte)(released >> 8));
        }
        else
        {
            Emit(0xcb);
        }

        PutStack(0, offset, size);
        PutStack(1, ReturnSelector(selector), size);
        if (released < 0x100)
        {
            PutOuterStack(2, size, level, released);
        }
    }

    private void MakeInterruptReturn()
    {
        int level = OuterLevel();
        (ushort selector, ulong offset) = Target(level, IsLong);
        int size = EmitOperandSize();
        Emit(0xcf);
        bool to86 = _mode == SystemMode.Protected && _cpl == 0 && size == 4 && _random.OneIn(4);
        uint flags = 2 | ((uint)_random.Next() & 0x7cd5) | (_random.OneIn(2) ? (uint)_random.Next() & 0x3c_0000 : 0) | (to86 || _random.OneIn(16) ? 0x2_0000u : 0);
        if (_mode != SystemMode.V86)
        {
            _m.Flags = _random.OneIn(IsLong ? 16 : 6) ? _m.Flags | 0x4000 : _m.Flags & ~0x4000u;
        }

        PutStack(0, to86 ? (uint)Slot() : offset, size);
        PutStack(1, to86 ? (ushort)0x800 : ReturnSelector(selector), size);
        PutStack(2, flags, size);
        if (to86)
        {
            PutStack(3, SystemLayout.UserStack & 0xfffu, size);
            for (int n = 4; n < 9; n++)
            {
                PutStack(n, (ulong)_random.Next(0x1_0000), size);
            }
        }
        else
        {
            PutOuterStack(3, size, level, 0);
        }
    }

    private void MakeInterrupt()
    {
        switch (_random.Next(12))
        {
            case 0:
                Emit(0xcc);
                break;
            case 1:
                Emit(0xf1);
                break;
            case 2 when !Is64:
                Emit(0xce);
                break;
            case 3 or 4:
                Emit(0x0f, 0x0b);
                break;
            default:
                Emit(0xcd, (byte)_random.Next(_random.OneIn(8) ? 256 : VectorCount));
                break;
        }
    }

    private void MakeSystemCall()
    {
        switch (_random.Next(4))
        {
            case 0:
                Emit(0x0f, 0x05);
                break;
            case 1:
                _m.General[11] = (_random.Next() & ~0x100UL) | (_random.OneIn(16) ? 0x100UL : 0);
                _m.General[1] = ReturnAddress();
                EmitWide();
                Emit(0x0f, 0x07);
                break;
            case 2:
                Emit(0x0f, 0x34);
                break;
            default:
                _m.General[2] = ReturnAddress();
                _m.General[1] = ReturnAddress();
                EmitWide();
                Emit(0x0f, 0x35);
                break;
        }

        void EmitWide()
        {
            if (Is64 && !_random.OneIn(3))
            {
                Emit(0x48);
            }
        }
    }

    private ulong ReturnAddress() => _random.OneIn(8) ? _random.Next() : Place(SystemLayout.UserCode + Slot()) & (IsLong ? ulong.MaxValue : uint.MaxValue);
}
