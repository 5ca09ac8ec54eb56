using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Registers, addresses, flags.</summary>
internal sealed partial class RandomProgram
{
    private bool Chance(int one) => _random.Next(one) == 0;

    private ulong RandomValue() => _random.Next(6) switch
    {
        0 => (ulong)_random.Next(-2, 3),
        1 => 1UL << _random.Next(64),
        2 => (1UL << _random.Next(64)) - 1,
        3 => (ulong)(int)_random.Next(int.MinValue, int.MaxValue),
        _ => (ulong)_random.NextInt64(long.MinValue, long.MaxValue),
    };

    private long RandomImmediate(int size) => size == 1 || Chance(2) ? (sbyte)_random.Next(-128, 128) : (long)RandomValue();

    // Half of them near a page end.
    private ulong DataAddress() => Map.Data + (Chance(2) ? 0x1000 * (ulong)_random.Next(2, 5) : 0x1800) + (ulong)_random.Next(-24, Chance(2) ? 24 : 0x800);

    private void Fix(int register, ulong value)
    {
        _fixed[register] = true;
        Start.Registers[register] = value;
    }

    private int PickUnfixed(int except = -1)
    {
        int register;
        do
        {
            register = _random.Next(16);
        }
        while (_fixed[register] || register == except || (register is 0 or 1 or 2 or 3 or 6 or 7 && !Chance(3)));
        return register;
    }

    private bool IsFree(params ReadOnlySpan<int> registers)
    {
        foreach (int register in registers)
        {
            if (_fixed[register])
            {
                return false;
            }
        }

        return true;
    }

    // A register that may be overwritten.
    private int Free()
    {
        int register;
        do
        {
            register = _random.Next(16);
        }
        while (_fixed[register]);
        return register;
    }

    /// <summary>A register operand for reading or writing. For bytes the answer may mean AH to BH; then <paramref name="rex"/> must be false.</summary>
    private int RegisterOperand(int size, bool write, bool rex)
    {
        while (true)
        {
            int register = _random.Next(16);
            int parent = size == 1 && !rex && register is >= 4 and < 8 ? register - 4 : register;
            if (!write || !_fixed[parent])
            {
                return register;
            }
        }
    }

    private ulong _lastRip;

    private Rm Rip(ulong address) => new() { Base = -1, Index = -1, RipTarget = (_code.Origin & ~(ulong)(Map.MemorySize - 1)) + address };

    private Rm Memory()
    {
        int kind = _random.Next(16);
        byte segment = _random.Next(10) switch { 0 => 0x64, 1 => 0x65, 2 => 0x3e, _ => 0 };
        bool narrow = Chance(12);
        ulong place = DataAddress();
        switch (kind)
        {
            case 0 when segment is 0 or 0x3e:
                // Near the last one, so that both may be looked up together.
                _lastRip = _lastRip != 0 && Chance(2) ? Math.Clamp(_lastRip + (ulong)_random.Next(64) - 32, Map.Data, Map.Data + Map.DataSize - 64) : place;
                return Rip(_lastRip) with { SegmentPrefix = segment };
            case 0 or 1:
                return Rm.Absolute(place) with { SegmentPrefix = segment, Address32 = narrow };
            case 2:
                return new Rm { Base = -1, Index = _index, Scale = _random.Next(4), Displacement = (int)place, SegmentPrefix = segment, Address32 = narrow };
            case 3:
                return new Rm { Base = _wide, Index = Chance(2) ? _index : -1, Scale = _random.Next(4), Displacement = Displacement(), SegmentPrefix = segment, Address32 = true };
            case 4:
                return new Rm { Base = _index, Index = _index, Scale = _random.Next(4), Displacement = (int)place, SegmentPrefix = segment };
            case 5:
                // A pointer as index.
                int index = _pointers.FirstOrDefault(p => p != 4, -1);
                return index < 0 ? Rm.Absolute(place) : new Rm { Base = Chance(2) ? -1 : _index, Index = index, Displacement = Displacement(), SegmentPrefix = segment };
            case 6 or 7:
                // A fresh pointer in any register; MOV leaves flags alone.
                int fresh = Free();
                _code.MoveImmediate(fresh, place);
                return Rm.At(fresh, Displacement()) with { SegmentPrefix = segment };
            case 8 when _stack && !_inSubroutine:
                return new Rm { Base = 4, Index = Chance(2) ? _index : -1, Scale = _random.Next(2), Displacement = Displacement(), SegmentPrefix = segment };
            default:
                int pointer = _pointers[_random.Next(_pointers.Count)];
                int scaled = Chance(3) ? _index : -1;
                return new Rm { Base = pointer, Index = scaled, Scale = _random.Next(4), Displacement = Displacement(), SegmentPrefix = segment, Address32 = narrow };
        }
    }

    private int Displacement() => _random.Next(3) switch { 0 => 0, 1 => _random.Next(-128, 128), _ => _random.Next(-0x300, 0x300) };

    // Register or memory; decides REX for byte registers.
    private Rm Operand(int size, bool write, bool rex) => Chance(2) ? Memory() : Rm.Register(RegisterOperand(size, write, rex));

    private int Size() => _random.Next(6) switch { 0 => 1, 1 => 2, 2 or 3 => 4, _ => 8 };

    private int WordSize() => _random.Next(5) switch { 0 => 2, 1 or 2 => 4, _ => 8 };

    /// <summary>Makes flags defined, if they are not, before somebody looks at them.</summary>
    private void Need(uint flags)
    {
        if ((_undefined & flags) != 0)
        {
            _code.Op([0x83], 8, 7, Rm.Register(_random.Next(16)), _random.Next(-128, 128), 1);
            _undefined = 0;
        }
    }

    private void Define(uint flags) => Need(flags & ~Flags.Adjust);

    private void Written(uint defined, uint undefined = 0) => _undefined = (_undefined & ~defined) | undefined;

    private static uint FlagsOf(int condition) => (condition >> 1) switch
    {
        0 => Flags.Overflow,
        1 => Flags.Carry,
        2 => Flags.Zero,
        3 => Flags.Carry | Flags.Zero,
        4 => Flags.Sign,
        5 => Flags.Parity,
        6 => Flags.Sign | Flags.Overflow,
        _ => Flags.Sign | Flags.Overflow | Flags.Zero,
    };
}
