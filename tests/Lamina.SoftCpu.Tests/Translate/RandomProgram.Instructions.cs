using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Single instructions.</summary>
internal sealed partial class RandomProgram
{
    private const uint Shifted = Flags.Status & ~Flags.Adjust;

    private void Instruction()
    {
        switch (_random.Next(36))
        {
            case <= 7:
                Arithmetic();
                break;
            case <= 11:
                Move();
                break;
            case 12 or 13:
                Unary();
                break;
            case 14 or 15 or 16:
                Shift();
                break;
            case 17 or 18:
                Conditional();
                break;
            case 19:
                BitTest();
                break;
            case 20 or 21:
                Atomic();
                break;
            case 22 or 23 when _stack && !_inSubroutine:
                StackOperation();
                break;
            case 24:
                Multiply();
                break;
            case 25:
                FlagOperation();
                break;
            case 26:
                Divide();
                break;
            case 27:
                StringOperation();
                break;
            case 28 or 29:
                Vector();
                break;
            case 30:
                Rare();
                break;
            case 31 or 32:
                Lea();
                break;
            default:
                Extend();
                break;
        }
    }

    private void Arithmetic()
    {
        int operation = _random.Next(9);
        int size = Size();
        bool rex = Chance(2);
        bool writes = operation < 7;
        if (operation is 2 or 3)
        {
            Need(Flags.Carry);
        }

        int opcode = operation == 8 ? 0x84 : operation * 8;
        int wide = size == 1 ? 0 : 1;
        int form = _random.Next(4);
        if (form == 0 && (!writes || IsFree(0)))
        {
            if (size == 2)
            {
                _code.Bytes(0x66);
            }
            else if (size == 8)
            {
                _code.Bytes(0x48);
            }

            _code.Bytes((byte)((operation == 8 ? 0xa8 : opcode | 4) | wide));
            int bytes = Math.Min(size, 4);
            _code.Immediate(RandomImmediate(bytes), bytes);
        }
        else if (form <= 1)
        {
            Rm rm = Operand(size, writes, rex);
            int bytes = operation == 8 || size == 1 || Chance(2) ? Math.Min(size, 4) : 1;
            byte op = (byte)(operation == 8 ? 0xf6 | wide : size == 1 ? 0x80 : bytes == 1 ? 0x83 : 0x81);
            byte prefix = (byte)(!rm.IsRegister && operation < 7 && Chance(8) ? 0xf0 : 0);
            _code.Op([op], size, operation == 8 ? _random.Next(2) : operation, rm, RandomImmediate(bytes), bytes, rex, prefix);
        }
        else if (form == 2 && operation != 8)
        {
            _code.Op([(byte)(opcode | 2 | wide)], size, RegisterOperand(size, writes, rex), Operand(size, false, rex), rex: rex);
        }
        else
        {
            Rm rm = Operand(size, writes, rex);
            byte prefix = (byte)(!rm.IsRegister && operation < 7 && Chance(8) ? 0xf0 : 0);
            _code.Op([(byte)(opcode | wide)], size, RegisterOperand(size, false, rex), rm, rex: rex, prefix: prefix);
        }

        Written(Flags.Status, operation is 1 or 4 or 6 or 8 ? Flags.Adjust : 0);
    }

    private void Move()
    {
        int size = Size();
        bool rex = Chance(2);
        byte wide = (byte)(size == 1 ? 0 : 1);
        switch (_random.Next(4))
        {
            case 0:
                _code.Op([(byte)(0x88 | wide)], size, RegisterOperand(size, false, rex), Operand(size, true, rex), rex: rex);
                break;
            case 1:
                _code.Op([(byte)(0x8a | wide)], size, RegisterOperand(size, true, rex), Operand(size, false, rex), rex: rex);
                break;
            case 2:
                int bytes = Math.Min(size, 4);
                _code.Op([(byte)(0xc6 | wide)], size, 0, Operand(size, true, rex), RandomImmediate(bytes), bytes, rex);
                break;
            default:
                int register = RegisterOperand(size, true, rex);
                if (size == 2)
                {
                    _code.Bytes(0x66);
                }

                int bits = (size == 8 ? 8 : 0) | (register >> 3);
                if (bits != 0 || rex)
                {
                    _code.Bytes((byte)(0x40 | bits));
                }

                _code.Bytes((byte)((size == 1 ? 0xb0 : 0xb8) | (register & 7)));
                _code.Immediate((long)RandomValue(), size);
                break;
        }
    }

    private void Unary()
    {
        int size = Size();
        bool rex = Chance(2);
        byte wide = (byte)(size == 1 ? 0 : 1);
        Rm rm = Operand(size, true, rex);
        byte prefix = (byte)(!rm.IsRegister && Chance(8) ? 0xf0 : 0);
        int kind = _random.Next(4);
        _code.Op([(byte)((kind < 2 ? 0xfe : 0xf6) | wide)], size, kind, rm, rex: rex, prefix: prefix);
        Written(kind < 2 ? Flags.Status & ~Flags.Carry : kind == 3 ? Flags.Status : 0);
    }

    private void Shift()
    {
        int size = Size();
        bool rex = Chance(2);
        byte wide = (byte)(size == 1 ? 0 : 1);
        int operation = _random.Next(8);
        operation = operation == 6 ? 4 : operation;
        if (operation is 2 or 3)
        {
            Need(Flags.Carry);
        }

        bool rotate = operation < 4;
        int form = _random.Next(3);
        if (form == 2 && Chance(2) && IsFree(1))
        {
            _code.Bytes(0xb1, (byte)(Chance(2) ? 0 : _random.Next(70)));
        }

        if (Chance(12))
        {
            // SHLD, SHRD.
            int width = Chance(2) ? 4 : 8;
            int by = _random.Next(64);
            _code.Op([0x0f, (byte)(Chance(2) ? 0xa4 : 0xac)], width, _random.Next(16), Operand(width, true, rex), by, 1);
            by &= width == 8 ? 63 : 31;
            Written(by == 0 ? 0 : Flags.Status, by == 0 ? 0 : Flags.Adjust | (by == 1 ? 0 : Flags.Overflow));
            return;
        }

        Rm rm = Operand(size, true, rex);
        if (form == 2)
        {
            // The count is not known here: what it leaves undefined for some count is undefined, what it leaves alone for zero stays so.
            _code.Op([(byte)(0xd2 | wide)], size, operation, rm, rex: rex);
            Written(0, Flags.Overflow | (rotate ? 0 : Flags.Adjust | (size < 4 ? Flags.Carry : 0)));
            return;
        }

        int count = form == 0 ? 1 : _random.Next(70);
        if (form == 0)
        {
            _code.Op([(byte)(0xd0 | wide)], size, operation, rm, rex: rex);
        }
        else
        {
            _code.Op([(byte)(0xc0 | wide)], size, operation, rm, count, 1, rex);
        }

        count &= size == 8 ? 63 : 31;
        if (count != 0)
        {
            uint undefined = (count == 1 ? 0 : Flags.Overflow) | (rotate ? 0 : Flags.Adjust) | (!rotate && count >= size * 8 ? Flags.Carry : 0);
            Written(rotate ? Flags.Carry | Flags.Overflow : Flags.Status, undefined);
        }
    }

    private void Conditional()
    {
        int condition = _random.Next(16);
        Need(FlagsOf(condition));
        if (Chance(2))
        {
            bool rex = Chance(2);
            _code.Op([0x0f, (byte)(0x90 | condition)], 1, _random.Next(8), Operand(1, true, rex), rex: rex);
        }
        else
        {
            int size = WordSize();
            _code.Op([0x0f, (byte)(0x40 | condition)], size, Free(), Operand(size, false, true));
        }
    }

    private void BitTest()
    {
        int size = WordSize();
        int operation = _random.Next(4, 8);
        if (Chance(2))
        {
            Rm rm = Operand(size, operation != 4, true);
            byte prefix = (byte)(!rm.IsRegister && operation != 4 && Chance(4) ? 0xf0 : 0);
            _code.Op([0x0f, 0xba], size, operation, rm, _random.Next(-128, 128), 1, prefix: prefix);
        }
        else if (Chance(2))
        {
            _code.Op([0x0f, (byte)(0x83 | (operation << 3))], size, _random.Next(16), Rm.Register(operation == 4 ? _random.Next(16) : Free()));
        }
        else
        {
            _code.Op([0x0f, (byte)(0x83 | (operation << 3))], size, _index, Memory());
        }

        Written(Flags.Carry, Flags.Overflow | Flags.Sign | Flags.Adjust | Flags.Parity);
    }

    private void Atomic()
    {
        int size = Size();
        bool rex = Chance(2);
        byte wide = (byte)(size == 1 ? 0 : 1);
        Rm rm = Operand(size, true, rex);
        byte prefix = (byte)(!rm.IsRegister && Chance(2) ? 0xf0 : 0);
        switch (_random.Next(4))
        {
            case 0:
                _code.Op([(byte)(0x86 | wide)], size, RegisterOperand(size, true, rex), rm, rex: rex, prefix: prefix);
                break;
            case 1:
                _code.Op([0x0f, (byte)(0xc0 | wide)], size, RegisterOperand(size, true, rex), rm, rex: rex, prefix: prefix);
                Written(Flags.Status);
                break;
            case 2 when IsFree(0):
                _code.Op([0x0f, (byte)(0xb0 | wide)], size, RegisterOperand(size, false, rex), rm, rex: rex, prefix: prefix);
                Written(Flags.Status);
                break;
            default:
                int swapped = Free();
                bool full = Chance(2);
                if (full || swapped >= 8)
                {
                    _code.Bytes((byte)(0x40 | (full ? 8 : 0) | (swapped >> 3)));
                }

                _code.Bytes(0x0f, (byte)(0xc8 | (swapped & 7)));
                break;
        }
    }

    private void StackOperation()
    {
        int register = _random.Next(16);
        switch (_random.Next(9))
        {
            case <= 2:
                Rex(register);
                _code.Bytes((byte)(0x50 | (register & 7)));
                break;
            case <= 4:
                register = Free();
                Rex(register);
                _code.Bytes((byte)(0x58 | (register & 7)));
                break;
            case 5:
                int bytes = Chance(2) ? 1 : 4;
                _code.Bytes((byte)(bytes == 1 ? 0x6a : 0x68));
                _code.Immediate(RandomImmediate(bytes), bytes);
                break;
            case 6 when IsFree(5):
                _code.MoveImmediate(5, Map.Stack + (ulong)_random.Next(-0x200, 0x200));
                _code.Bytes(0xc9);
                break;
            case 7:
                _code.Op([0xff], 4, 6, Memory());
                break;
            default:
                _code.Op([0x8f], 4, 0, Memory());
                break;
        }
    }

    private void Lea()
    {
        int size = WordSize();
        Rm rm = Memory();
        if (Chance(2))
        {
            int index = _random.Next(16);
            rm = new Rm { Base = _random.Next(16), Index = index == 4 ? -1 : index, Scale = _random.Next(4), Displacement = (int)RandomImmediate(4), Address32 = Chance(4), SegmentPrefix = (byte)(Chance(8) ? 0x64 : 0) };
        }

        _code.Op([0x8d], size, Free(), rm);
    }

    private void Extend()
    {
        int size = WordSize();
        int register = Free();
        switch (_random.Next(3))
        {
            case 0:
                _code.Op([0x63], size == 2 ? 4 : size, register, Operand(4, false, true));
                break;
            case 1:
                _code.Op([0x0f, (byte)(Chance(2) ? 0xb7 : 0xbf)], size, register, Operand(2, false, true));
                break;
            default:
                bool rex = Chance(2);
                _code.Op([0x0f, (byte)(Chance(2) ? 0xb6 : 0xbe)], size, register, Operand(1, false, rex), rex: rex);
                break;
        }
    }

    private void Rex(int register)
    {
        if (register >= 8 || Chance(8))
        {
            _code.Bytes((byte)(0x40 | (register >> 3)));
        }
    }
}
