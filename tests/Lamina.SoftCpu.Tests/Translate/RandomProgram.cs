using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// A random guest program made from a seed: a loop, run often enough to be translated, over instructions, forward jumps, inner loops, calls and indirect branches.
/// Some registers point to data and are never changed, so that memory operands hit it. No flag is looked at that its last writer leaves undefined.
/// </summary>
internal sealed partial class RandomProgram
{
    private const ulong Counters = Map.Data + 0x7000;
    private const ulong Captures = Map.Data + 0x7100;
    private const ulong JumpTable = Map.Data + 0x7800;

    private readonly Random _random;
    private readonly CodeBuilder _code;
    private readonly List<Place> _subroutines = [];
    private readonly List<(Place Target, int Slot)> _jumpTable = [];
    private readonly List<int> _pointers = [];
    private readonly int _index;
    private readonly int _wide;
    private readonly bool _stack;
    private readonly bool[] _fixed = new bool[16];
    private uint _undefined;
    private int _counters;
    private int _captures;
    private bool _inSubroutine;

    /// <summary>Makes the program of a seed.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="faults">Let it unmap its data pages, or make them read-only, as it goes.</param>
    public RandomProgram(int seed, bool faults = false)
    {
        Faults = faults;
        Seed = seed;
        _random = new Random(seed);
        _stack = !Chance(8);
        ulong copy = _random.Next(4) switch { 0 => Map.High, 1 => 0x10_0000, _ => 0 };
        int start = Chance(2) ? _random.Next(0x3000) : 0x1000 - _random.Next(200);
        _code = new CodeBuilder(copy + Map.Code + (ulong)start);
        Start.Rip = _code.Origin;
        for (int n = 0; n < 16; n++)
        {
            Start.Registers[n] = RandomValue();
        }

        _random.NextBytes(Start.Vectors);
        Start.Flags = (uint)_random.Next() & Flags.Status;
        Start.FsBase = (ulong)(long)_random.Next(-0x400, 0x400);
        Start.GsBase = (ulong)(long)_random.Next(-0x400, 0x400);
        if (_stack)
        {
            Fix(4, Map.Stack + (ulong)_random.Next(0x100));
        }

        _index = PickUnfixed(4);
        Fix(_index, (ulong)_random.Next(256));
        _wide = PickUnfixed();
        Fix(_wide, DataAddress() | ((ulong)_random.Next() << 33));
        for (int n = _random.Next(2, 5); n > 0; n--)
        {
            int pointer = PickUnfixed();
            ulong alias = _random.Next(4) switch { 0 => Map.High, 1 => 0x10_0000, _ => 0 };
            Fix(pointer, alias + DataAddress());
            _pointers.Add(pointer);
        }

        Generate();
        Bytes = _code.ToArray();
    }

    public int Seed { get; }

    public bool Faults { get; }

    public StartState Start { get; } = new();

    public byte[] Bytes { get; }

    /// <summary>Physical address of the first byte.</summary>
    public ulong Physical => _code.Origin & (Map.MemorySize - 1);

    /// <summary>Status flags that are undefined at the end.</summary>
    public uint Undefined => _undefined;

    /// <summary>Addresses that indirect branches load, to be written before the start.</summary>
    public IEnumerable<(ulong Address, ulong Value)> Pointers =>
        _jumpTable.Select(p => (JumpTable + (8 * (ulong)p.Slot), _code.Origin + (ulong)p.Target.Offset));

    private void Generate()
    {
        ulong counter = NewCounter();
        SetCounter(counter, _random.Next(5, 12));
        _undefined = 0;
        Define(Flags.Status);
        Place head = _code.NewLabel();
        _code.Bind(head);
        _undefined = Flags.Adjust;
        Sequence(_random.Next(1, 41), 0);
        if (_stack)
        {
            _code.Op([0x8d], 8, 4, Rm.Absolute(Start.Registers[4]));
        }

        EndLoop(counter, head);
        Capture();
        _code.Bytes(0xf4);
        _inSubroutine = true;
        for (int n = 0; n < _subroutines.Count; n++)
        {
            Pad();
            _code.Bind(_subroutines[n]);
            uint kept = _undefined;
            _undefined = Flags.Adjust;
            Sequence(_random.Next(0, 6), 2);
            Define(Flags.Status);
            if (Chance(4))
            {
                _code.Bytes(0xc2, 0x10, 0x00);
            }
            else
            {
                _code.Bytes(0xc3);
            }

            _undefined = kept;
        }
    }

    private void Sequence(int length, int depth)
    {
        while (length > 0 && _code.Length < Map.CodeSize - 0x1800)
        {
            int kind = _random.Next(100);
            int inner = Math.Min(length, _random.Next(1, 6));
            if (kind < 10)
            {
                Skip(inner, depth);
                length -= inner;
            }
            else if (kind < 13 && depth < 2)
            {
                ulong counter = NewCounter();
                SetCounter(counter, _random.Next(1, 7));
                Define(Flags.Status);
                Place head = _code.NewLabel();
                _code.Bind(head);
                _undefined = Flags.Adjust;
                Sequence(inner, depth + 1);
                EndLoop(counter, head);
                length -= inner;
            }
            else if (kind < 16 && _stack && !_inSubroutine)
            {
                CallSubroutine();
                length--;
            }
            else if (kind < 18)
            {
                JumpOver(depth);
                length--;
            }
            else if (kind < 20)
            {
                Capture();
            }
            else if (kind < 28 && Faults)
            {
                Unmap();
            }
            else
            {
                Instruction();
                length--;
            }
        }
    }

    // Jcc over some instructions.
    private void Skip(int inner, int depth)
    {
        int condition = _random.Next(16);
        Need(FlagsOf(condition));
        Place end = _code.NewLabel();
        end.Undefined = _undefined;
        _code.Branch([0x0f, (byte)(0x80 | condition)], end, 4);
        Sequence(inner, depth + 1);
        _code.Bind(end);
        _undefined |= end.Undefined;
    }

    // A jump in any form to a place a little, or a page, further on; sometimes there and back.
    private void JumpOver(int depth)
    {
        Place target = _code.NewLabel();
        int scratch = Free();
        switch (_random.Next(4))
        {
            case 0:
                _code.Bytes((byte)(0x48 | (scratch >> 3)), (byte)(0xb8 | (scratch & 7)));
                _code.Pointer(target);
                _code.Op([0xff], 4, 4, Rm.Register(scratch));
                break;
            case 1:
                int slot = _jumpTable.Count;
                _jumpTable.Add((target, slot));
                _code.Op([0xff], 4, 4, Chance(2) ? Rm.Absolute(JumpTable + (8 * (ulong)slot)) : Rip(JumpTable + (8 * (ulong)slot)));
                break;
            default:
                _code.Branch([0xe9], target, 4);
                break;
        }

        if (depth == 0 && Chance(3))
        {
            // There, back, and on.
            Place back = _code.NewLabel();
            Place then = _code.NewLabel();
            _code.Bind(back);
            _code.Branch([0xe9], then, 4);
            Pad();
            _code.Bind(target);
            _code.Branch([0xe9], back, 4);
            Pad();
            _code.Bind(then);
            return;
        }

        Pad();
        _code.Bind(target);
    }

    private void CallSubroutine()
    {
        Define(Flags.Status);
        Place entry = _code.NewLabel();
        _subroutines.Add(entry);
        switch (_random.Next(4))
        {
            case 0:
                int scratch = Free();
                _code.Bytes((byte)(0x48 | (scratch >> 3)), (byte)(0xb8 | (scratch & 7)));
                _code.Pointer(entry);
                _code.Op([0xff], 4, 2, Rm.Register(scratch));
                break;
            case 1:
                int slot = _jumpTable.Count;
                _jumpTable.Add((entry, slot));
                _code.Op([0xff], 4, 2, Rm.Absolute(JumpTable + (8 * (ulong)slot)));
                break;
            default:
                _code.Branch([0xe8], entry, 4);
                break;
        }

        _undefined = Flags.Adjust;
    }

    // Bytes that are never executed, sometimes up to a page end.
    private void Pad()
    {
        int count = Chance(4) && _code.Length < 0x2800 ? 0x1000 - (int)(_code.Here & 0xfff) - _random.Next(12) : _random.Next(24);
        for (int n = 0; n < count; n++)
        {
            _code.Bytes((byte)_random.Next(256));
        }
    }

    // Makes a data page absent or read-only, and flushes the TLB.
    private void Unmap()
    {
        ulong page = (Map.Data >> 12) + (ulong)_random.Next(1, 6) + (Chance(3) ? 0x100UL : 0);
        int register = Free();
        _code.Op([0xc6], 4, 0, Rm.Absolute(Map.PageTable + (page * 8)), Chance(2) ? 0x65 : 0x66, 1);
        _code.Op([0x0f, 0x20], 4, 3, Rm.Register(register));
        _code.Op([0x0f, 0x22], 4, 3, Rm.Register(register));
    }

    private ulong NewCounter() => Counters + (8 * (ulong)_counters++);

    private void SetCounter(ulong counter, int count) => _code.Op([0xc7], 4, 0, Rm.Absolute(counter), count, 4);

    private void EndLoop(ulong counter, Place head)
    {
        Need(Flags.Carry);
        _code.Op([0xff], 4, 1, Chance(2) ? Rm.Absolute(counter) : Rip(counter));
        _undefined &= Flags.Carry;
        _code.Branch([0x0f, 0x85], head, 4);
    }

    // Keeps the flags in memory.
    private void Capture()
    {
        ulong place = Captures + (8 * (ulong)(_captures++ & 63));
        int register = Free();
        uint mask = Flags.Status & ~_undefined;
        if (_stack)
        {
            // What is undefined must not stay on the stack.
            _code.Bytes(0x9c);
            _code.Op([0x81], 8, 4, Rm.At(4), mask, 4);
            _undefined = Flags.Adjust;
            if (register >= 8)
            {
                _code.Bytes(0x41);
            }

            _code.Bytes((byte)(0x58 | (register & 7)));
            _code.Op([0x89], 8, register, Rm.Absolute(place));
        }
        else
        {
            for (int condition = 0; condition < 16; condition += 2)
            {
                if ((FlagsOf(condition) & _undefined) == 0)
                {
                    _code.Op([0x0f, (byte)(0x90 | condition)], 1, 0, Rm.Absolute(place + (ulong)(condition / 2)));
                }
            }
        }
    }
}
