using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>
/// Instructions of 16- and 32-bit code that 64-bit code has not, or has otherwise, as the pseudo-code of Intel SDM volume 2 says, at CPL 3 in compatibility mode, or in real or virtual-8086 mode. It shares nothing with the
/// software CPU: operands come from the second decoder (Iced), memory is the arena.
/// </summary>
internal sealed unsafe partial class ModelProcessor
{
    private const int Ax = 0;
    private const int Cx = 1;
    private const int Bx = 3;
    private const int Sp = 4;
    private const int Bp = 5;
    private const int Si = 6;
    private const int Di = 7;
    private const uint Carry = 0x001;
    private const uint Parity = 0x004;
    private const uint Auxiliary = 0x010;
    private const uint Zero = 0x040;
    private const uint Sign = 0x080;
    private const uint Direction = 0x400;
    private const uint Overflow = 0x800;
    private const ulong AllFlags = 0x3f_7fd5;

    /// <summary>Limit of the interrupt vectors of real mode.</summary>
    public const ushort RealVectorsLimit = 0x3ff;
    private readonly uint[] _registers = new uint[8];
    private SegmentValues _segments;
    private SegmentValues _local;
    private CodeMode _mode;
    private uint _flags;
    private uint _ip;
    private uint _start;
    private int _vector;
    private uint _error;
    private uint _faultAddress;
    private bool _isTrap;
    private bool _isJudged;
    private bool _isPartial;
    private ushort _accessed;

    /// <summary>Whether it looked into the global descriptor table.</summary>
    public bool LoadsGlobal { get; private set; }

    /// <summary>Whether both operands of a string instruction are refused: which one processors name is theirs.</summary>
    public bool FaultsTwice { get; private set; }

    /// <summary>Takes the registers of a case.</summary>
    public void Load(TestCase test)
    {
        for (int n = 0; n < 8; n++)
        {
            _registers[n] = (uint)test.State.General[n];
        }

        _segments = test.Segments;
        _local = test.Segments;
        _mode = test.Mode;
        LoadsGlobal = false;
        FaultsTwice = false;
        _flags = (uint)test.State.Flags;
        _start = (uint)Arena.Slot - test.Segments[SegmentValues.Cs].Base;
        _ip = _start + (uint)test.Length;
        _vector = CaseResult.None;
        _error = 0;
        _faultAddress = 0;
        _isTrap = false;
        _isJudged = true;
        _isPartial = false;
        _accessed = 0;
    }

    /// <summary>Executes; the arena's data is the instruction's.</summary>
    /// <returns>Whether the manual says what happens.</returns>
    public bool Run(TestCase test, in Instruction i, ref CaseResult result)
    {
        Load(test);
        Execute(i);
        result.State = test.State;
        if (_vector == CaseResult.None || _isTrap || i.IsStringInstruction)
        {
            for (int n = 0; n < 8; n++)
            {
                result.State.General[n] = _registers[n];
            }

            result.State.Flags = _flags;
        }

        bool completes = _vector == CaseResult.None || _isTrap;
        result.Segments = completes ? _segments : test.Segments;
        result.Accessed = _accessed;
        result.Rip = completes ? _ip : _start;
        result.Vector = _vector;
        result.ErrorCode = _error;
        result.Address = _faultAddress;
        result.IsPartial = _isPartial && _vector != CaseResult.None;
        result.ComparedFlags = AllFlags;

        // A jump to itself cannot be told from none.
        return _isJudged && (_vector != CaseResult.None || _ip != _start);
    }

    private void Execute(in Instruction i)
    {
        if (i.IsInvalid)
        {
            Raise(6);
            return;
        }

        if (i.IsStringInstruction)
        {
            RunString(i);
            return;
        }

        switch (i.Mnemonic)
        {
            case Mnemonic.Lea:
                Set(i.Op0Register, Offset(i));
                break;
            case Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2:
                Raise(6);
                break;
            case Mnemonic.Salc:
                Set(Register.AL, (_flags & Carry) != 0 ? 0xffu : 0);
                break;
            case Mnemonic.Bound:
                CheckBounds(i);
                break;
            case Mnemonic.Arpl when _mode != CodeMode.Protected:
                Raise(6);
                break;
            case Mnemonic.Arpl:
                AdjustPrivilege(i);
                break;
            case Mnemonic.Int or Mnemonic.Int3 or Mnemonic.Int1 or Mnemonic.Into:
                Interrupt(i);
                break;
            default:
                if (!RunDecimal(i) && !RunStack(i) && !RunBranch(i) && !RunSegment(i))
                {
                    throw new InvalidOperationException($"Nothing says what {i.Code} does in {i.CodeSize}.");
                }

                break;
        }
    }

    private void Raise(int vector, uint error = 0)
    {
        _vector = vector;
        _error = error;
    }

    // BOUND: signed; #BR outside of both bounds.
    private void CheckBounds(in Instruction i)
    {
        int size = i.Op0Register.GetSize();
        if (!ReadPair(i, size, out uint lower, size, out uint upper))
        {
            return;
        }

        int index = Extend(Get(i.Op0Register), size);
        if (index < Extend(lower, size) || index > Extend(upper, size))
        {
            Raise(5);
        }
    }

    private void AdjustPrivilege(in Instruction i)
    {
        bool memory = i.Op0Kind == OpKind.Memory;
        uint value;
        if (!memory)
        {
            value = Get(i.Op0Register) & 0xffff;
        }
        else if (!Read(Segment(i), Offset(i), 2, out value))
        {
            // A write to where nothing can be read: processors say so either way.
            _isJudged &= _vector != 14;
            return;
        }

        uint source = Get(i.Op1Register) & 3;
        bool adjusts = (value & 3) < source;
        value = adjusts ? (value & ~3u) | source : value;
        if (!memory)
        {
            Set16(i.Op0Register, value);
        }
        else if (!Write(Segment(i), Offset(i), 2, value))
        {
            _isJudged &= adjusts;
            return;
        }

        _flags = adjusts ? _flags | Zero : _flags & ~Zero;
    }

    // The gates of INT3 and INTO may be used at CPL 3; the others may not, and INT1 does not ask (Intel SDM volume 3, section 6.12.1.2).
    private void Interrupt(in Instruction i)
    {
        const uint idt = 2;
        int vector = i.Mnemonic switch { Mnemonic.Int => i.Immediate8, Mnemonic.Int3 => 3, Mnemonic.Int1 => 1, _ => 4 };
        if (i.Mnemonic == Mnemonic.Into && (_flags & Overflow) == 0)
        {
            return;
        }

        if (_mode == CodeMode.V86)
        {
            // With IOPL below 3.
            Raise(13);
            return;
        }

        if (_mode == CodeMode.Real)
        {
            InterruptReal(vector);
            return;
        }

        if (vector is not (3 or 4) && i.Mnemonic != Mnemonic.Int1)
        {
            Raise(13, ((uint)vector * 8) | idt);
            return;
        }

        _isTrap = true;
        Raise(vector);
    }

    // Through the table of real mode (Intel SDM volume 2, INT n), which is in the page that cannot be written.
    private void InterruptReal(int vector)
    {
        const uint cleared = 0x4_0300;
        byte* entry = (byte*)Arena.ReadOnly + (vector * 4);
        uint target = *(ushort*)entry;
        ushort selector = *(ushort*)(entry + 2);
        uint stack = _registers[Sp];

        // Which comes first if both are wrong, and what is in memory by then, it does not say.
        _isPartial = true;
        if (!Push(2, _flags & 0xffff) || !Push(2, _segments[SegmentValues.Cs].Selector) || !Push(2, _ip))
        {
            _registers[Sp] = stack;
            return;
        }

        _isPartial = false;
        _segments[SegmentValues.Cs] = _segments[SegmentValues.Cs] with { Selector = selector, Base = (uint)selector << 4 };
        _ip = target;
        _flags &= ~cleared;
    }

    private uint Get(Register register)
    {
        int n = register switch
        {
            >= Register.EAX and <= Register.EDI => register - Register.EAX,
            >= Register.AX and <= Register.DI => register - Register.AX,
            >= Register.AL and <= Register.BH => (register - Register.AL) & 3,
            _ => throw new ArgumentOutOfRangeException(nameof(register), register, null),
        };
        uint value = _registers[n];
        return register >= Register.AH && register <= Register.BH ? (value >> 8) & 0xff : register.GetSize() switch { 1 => (byte)value, 2 => (ushort)value, _ => value };
    }

    private void Set(Register register, uint value)
    {
        switch (register)
        {
            case >= Register.EAX and <= Register.EDI:
                _registers[register - Register.EAX] = value;
                break;
            case >= Register.AX and <= Register.DI:
                Set16(register, value);
                break;
            case >= Register.AL and <= Register.BH:
                int shift = register >= Register.AH ? 8 : 0;
                ref uint whole = ref _registers[(register - Register.AL) & 3];
                whole = (whole & ~(0xffu << shift)) | ((value & 0xff) << shift);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(register), register, null);
        }
    }

    private void Set16(Register register, uint value) => SetLow(register >= Register.EAX ? register - Register.EAX : register - Register.AX, value, 2);

    // The lower bytes of a register.
    private void SetLow(int register, uint value, int size) => _registers[register] = size == 2 ? (_registers[register] & 0xffff_0000) | (value & 0xffff) : value;

    private static int Extend(uint value, int size) => size == 1 ? (sbyte)value : size == 2 ? (short)value : (int)value;

    private static uint Truncate(uint value, int size) => size == 1 ? (byte)value : size == 2 ? (ushort)value : value;
}
