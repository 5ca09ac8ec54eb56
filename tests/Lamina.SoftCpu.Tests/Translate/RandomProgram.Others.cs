using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Single instructions, most of them not translated.</summary>
internal sealed partial class RandomProgram
{
    private void Multiply()
    {
        const uint undefined = Flags.Sign | Flags.Zero | Flags.Adjust | Flags.Parity;
        if (Chance(2) && IsFree(0, 2))
        {
            int size = Size();
            bool rex = Chance(2);
            _code.Op([(byte)(size == 1 ? 0xf6 : 0xf7)], size, _random.Next(4, 6), Operand(size, false, rex), rex: rex);
        }
        else
        {
            int size = WordSize();
            int register = Free();
            switch (_random.Next(3))
            {
                case 0:
                    _code.Op([0x0f, 0xaf], size, register, Operand(size, false, true));
                    break;
                case 1:
                    _code.Op([0x6b], size, register, Operand(size, false, true), _random.Next(-128, 128), 1);
                    break;
                default:
                    int bytes = Math.Min(size, 4);
                    _code.Op([0x69], size, register, Operand(size, false, true), RandomImmediate(bytes), bytes);
                    break;
            }
        }

        Written(Flags.Status, undefined);
    }

    private void FlagOperation()
    {
        switch (_random.Next(7))
        {
            case 0:
                Need(Flags.Carry);
                _code.Bytes(0xf5);
                break;
            case 1:
                _code.Bytes((byte)(0xf8 + _random.Next(2)));
                Written(Flags.Carry);
                break;
            case 2 when IsFree(0):
                Need(Flags.Status & ~Flags.Overflow);
                _code.Bytes(0x9f);
                break;
            case 3:
                _code.Bytes(0x9e);
                Written(Flags.Status & ~Flags.Overflow);
                break;
            case 4 when _stack && !_inSubroutine:
                _code.Bytes(0x68);
                _code.Immediate(_random.Next() & (int)Flags.Status, 4);
                _code.Bytes(0x9d);
                _undefined = 0;
                break;
            case 5 when IsFree(0, 2):
                if (Chance(2))
                {
                    _code.Bytes((byte)(Chance(2) ? 0x66 : 0x48));
                }

                _code.Bytes((byte)(0x98 + _random.Next(2)));
                break;
            default:
                // NOP in some forms, PAUSE, XCHG with RAX.
                switch (_random.Next(4))
                {
                    case 0:
                        _code.Bytes(0x90);
                        break;
                    case 1:
                        _code.Op([0x0f, 0x1f], WordSize(), 0, Memory());
                        break;
                    case 2:
                        _code.Bytes(0xf3, 0x90);
                        break;
                    default:
                        int other = Free();
                        if (IsFree(0))
                        {
                            _code.Bytes((byte)(0x48 | (other >> 3)), (byte)(0x90 | (other & 7)));
                        }

                        break;
                }

                break;
        }
    }

    private void Divide()
    {
        if (!IsFree(0, 2))
        {
            return;
        }

        int size = Size();
        int divisor = Free();
        while (divisor is 0 or 2)
        {
            divisor = _random.Next(4) == 0 ? 16 : Free();
        }

        if (divisor == 16)
        {
            return;
        }

        _code.Op([0x83], 8, 1, Rm.Register(divisor), 1, 1);
        if (size == 1)
        {
            _code.Op([0x0f, 0xb6], 4, 0, Rm.Register(0));
        }
        else
        {
            _code.Bytes(0x31, 0xd2);
        }

        _code.Op([(byte)(size == 1 ? 0xf6 : 0xf7)], size, 6, Rm.Register(divisor), rex: true);
        Written(0, Flags.Status);
    }

    private void StringOperation()
    {
        if (!IsFree(1, 6, 7))
        {
            return;
        }

        _code.MoveImmediate(6, DataAddress());
        _code.MoveImmediate(7, DataAddress());
        _code.MoveImmediate(1, (ulong)_random.Next(1, 40));
        bool backward = Chance(4);
        if (backward)
        {
            _code.Bytes(0xfd);
        }

        bool repeat = Chance(2);
        int size = Size();
        byte wide = (byte)(size == 1 ? 0 : 1);
        int kind = _random.Next(IsFree(0) ? 5 : 4);
        if (repeat)
        {
            _code.Bytes((byte)(Chance(3) && kind >= 2 ? 0xf2 : 0xf3));
        }

        if (size is 2 or 8)
        {
            _code.Bytes((byte)(size == 2 ? 0x66 : 0x48));
        }

        if (size == 2 && repeat && Chance(2))
        {
            // 66 in front or behind makes no difference.
            size = 2;
        }

        _code.Bytes((byte)(kind switch { 0 => 0xa4, 1 => 0xaa, 2 => 0xa6, 3 => 0xae, _ => 0xac } | wide));
        if (kind is 2 or 3)
        {
            _undefined = 0;
        }

        if (backward)
        {
            _code.Bytes(0xfc);
        }
    }

    private void Vector()
    {
        int x = _random.Next(16);
        Rm source = Chance(2) ? Memory() : Rm.Register(_random.Next(16));
        switch (_random.Next(7))
        {
            case 0:
                _code.Op([0x0f, 0x6f], 4, x, source, prefix: 0xf3);
                break;
            case 1:
                _code.Op([0x0f, 0x7f], 4, x, source, prefix: 0xf3);
                break;
            case 2:
                _code.Op([0x0f, 0xef], 2, x, Rm.Register(_random.Next(16)));
                break;
            case 3:
                _code.Op([0x0f, 0xfe], 2, x, Rm.Register(_random.Next(16)));
                break;
            case 4:
                _code.Op([0x0f, 0x2e], 4, x, source);
                Written(Flags.Status);
                break;
            case 5:
                _code.Op([0x0f, 0x2a], Chance(2) ? 4 : 8, x, Operand(8, false, true), prefix: 0);
                _code.Bytes(0x0f, 0x57, 0xc0);
                break;
            default:
                _code.Op([0x0f, 0x10], 4, x, source);
                break;
        }
    }

    // Memory of which all bits within 32 KiB are data or unmapped alike: the middle of the data pages.
    private Rm BitString() => Rm.Absolute(Map.Data + 0x2000 + (ulong)_random.Next(0x1000));

    private void Rare()
    {
        switch (_random.Next(10))
        {
            case 0 when IsFree(0, 1, 2, 3):
                _code.MoveImmediate(0, (ulong)_random.Next(2));
                _code.MoveImmediate(1, 0);
                _code.Bytes(0x0f, 0xa2);
                break;
            case 1:
                int size = WordSize();
                _code.Op([0x0f, (byte)(0xbc + _random.Next(2))], size, Free(), Operand(size, false, true));
                Written(Flags.Zero, Flags.Status & ~Flags.Zero);
                break;
            case 2:
                int width = WordSize();
                Rm rm = Operand(width, false, true);
                _code.Op([0x0f, 0xb8], width, Free(), rm, prefix: 0xf3);
                Written(Flags.Status);
                break;
            case 3 when IsFree(0, 2):
                _code.Op([0x0f, 0xc7], 4, 1, Memory(), prefix: (byte)(Chance(2) ? 0xf0 : 0));
                Written(Flags.Zero);
                break;
            case 4 when _stack && !_inSubroutine:
                // PUSH from memory, POP to a register.
                int popped = Free();
                _code.Op([0xff], 4, 6, Memory());
                _code.Bytes(0x48, 0x8d, 0x64, 0x24, 0x00);
                if (popped >= 8)
                {
                    _code.Bytes(0x41);
                }

                _code.Bytes((byte)(0x58 | (popped & 7)));
                break;
            case 5:
                _code.Op([0x8c], Chance(3) ? 8 : 4, _random.Next(6), Rm.Register(Free()));
                break;
            case 6:
                // CLI, STI; SWAPGS twice.
                _code.Bytes(0xfa);
                _code.Bytes(0x0f, 0x01, 0xf8);
                Extend();
                _code.Bytes(0x0f, 0x01, 0xf8);
                _code.Bytes(0xfb);
                break;
            case 7:
                int length = Chance(2) ? 4 : 8;
                int bits = Free();
                if (!Chance(4))
                {
                    // A bit near the operand.
                    _code.Op([0xc7], 8, 0, Rm.Register(bits), _random.Next(-4000, 4000), 4);
                }
                else
                {
                    _code.Op([0x0f, 0xbf], 8, bits, Rm.Register(_random.Next(16)));
                }

                byte operation = (byte)(0xa3 + (8 * _random.Next(4)));
                _code.Op([0x0f, operation], length, bits, BitString(), prefix: (byte)(operation != 0xa3 && Chance(3) ? 0xf0 : 0));
                Written(Flags.Carry);
                break;
            default:
                // XLAT after a pointer to data.
                if (IsFree(0, 3))
                {
                    _code.MoveImmediate(3, DataAddress());
                    _code.Bytes(0xd7);
                }

                break;
        }
    }
}
