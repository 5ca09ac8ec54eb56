using System.Numerics;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// One 8259A (Intel 8259A datasheet, order number 231468). ICW1's level bit and single bit are as in PC chipsets: trigger modes come from ELCR, and
/// the part is always in 8086 mode. An edge, once seen, stays requested even if the wire falls again.
/// </summary>
internal sealed class Pic8259(bool primary)
{
    public const int CascadeInput = 2;
    private const int SpuriousInput = 7;
    private const int None = -1;

    private byte _lines;
    private byte _requests;
    private byte _inService;
    private byte _mask;
    private byte _vectorBase;
    private byte _edgeLevel;
    private byte _lowest;
    private Step _step;
    private bool _expectIcw4;
    private bool _single;
    private bool _automaticEnd;
    private bool _rotateAtAutomaticEnd;
    private bool _specialFullyNested;
    private bool _specialMask;
    private bool _readInService;
    private bool _poll;

    private enum Step : byte
    {
        Ready,
        ExpectIcw2,
        ExpectIcw3,
        ExpectIcw4,
    }

    /// <summary>The INT output: some request would be acknowledged.</summary>
    public bool Output => FindRequest() != None;

    /// <summary>ELCR: a set bit makes the input level triggered.</summary>
    public byte EdgeLevel
    {
        get => _edgeLevel;
        set
        {
            // The timer, keyboard, cascade, clock and coprocessor are always edges.
            _edgeLevel = (byte)(value & (primary ? 0xf8 : 0xde));
            _requests = (byte)((_requests & ~_edgeLevel) | (_lines & _edgeLevel));
        }
    }

    public void Reset()
    {
        _requests = 0;
        _inService = 0;
        _mask = 0xff;
        _vectorBase = (byte)(primary ? 0x08 : 0x70);
        _edgeLevel = 0;
        _step = Step.Ready;
        _expectIcw4 = false;
        _single = false;
        ClearModes();
    }

    public void SetLine(int input, bool asserted)
    {
        byte bit = (byte)(1 << input);
        if ((_edgeLevel & bit) != 0)
        {
            _requests = (byte)(asserted ? _requests | bit : _requests & ~bit);
        }
        else if (asserted && (_lines & bit) == 0)
        {
            _requests |= bit;
        }

        _lines = (byte)(asserted ? _lines | bit : _lines & ~bit);
    }

    /// <summary>INTA: takes the highest request into service.</summary>
    /// <returns>The input; the spurious one, with nothing in service, if the request has gone.</returns>
    public int Acknowledge()
    {
        int input = FindRequest();
        if (input == None)
        {
            return SpuriousInput;
        }

        byte bit = (byte)(1 << input);
        if ((_edgeLevel & bit) == 0)
        {
            _requests &= (byte)~bit;
        }

        if (!_automaticEnd)
        {
            _inService |= bit;
        }
        else if (_rotateAtAutomaticEnd)
        {
            _lowest = (byte)input;
        }

        return input;
    }

    public byte VectorOf(int input) => (byte)(_vectorBase | input);

    /// <summary>Reads the command port (even address).</summary>
    public byte ReadCommandPort(out bool acknowledged)
    {
        acknowledged = false;
        if (!_poll)
        {
            return _readInService ? _inService : _requests;
        }

        // A poll reads as an acknowledge.
        _poll = false;
        if (FindRequest() == None)
        {
            return 0;
        }

        acknowledged = true;
        return (byte)(0x80 | Acknowledge());
    }

    /// <summary>Reads the data port (odd address).</summary>
    public byte ReadDataPort(out bool acknowledged)
    {
        if (_poll)
        {
            return ReadCommandPort(out acknowledged);
        }

        acknowledged = false;
        return _mask;
    }

    public void WriteCommandPort(byte value)
    {
        if ((value & 0x10) != 0)
        {
            Initialize(value);
        }
        else if ((value & 0x08) != 0)
        {
            WriteOcw3(value);
        }
        else
        {
            WriteOcw2(value);
        }
    }

    public void WriteDataPort(byte value)
    {
        switch (_step)
        {
            case Step.ExpectIcw2:
                _vectorBase = (byte)(value & 0xf8);
                _step = !_single ? Step.ExpectIcw3 : _expectIcw4 ? Step.ExpectIcw4 : Step.Ready;
                break;
            case Step.ExpectIcw3:
                // The cascade is wired; the word is taken and has no other effect.
                _step = _expectIcw4 ? Step.ExpectIcw4 : Step.Ready;
                break;
            case Step.ExpectIcw4:
                _automaticEnd = (value & 0x02) != 0;
                _specialFullyNested = (value & 0x10) != 0;
                _step = Step.Ready;
                break;
            default:
                _mask = value;
                break;
        }
    }

    public PicState HandOver() => new()
    {
        Lines = _lines,
        Requests = _requests,
        InService = _inService,
        Mask = _mask,
        VectorBase = _vectorBase,
        EdgeLevel = _edgeLevel,
        Lowest = _lowest,
        Step = (byte)_step,
        ExpectIcw4 = _expectIcw4,
        AutomaticEnd = _automaticEnd,
        RotateAtAutomaticEnd = _rotateAtAutomaticEnd,
        SpecialFullyNested = _specialFullyNested,
        SpecialMask = _specialMask,
        ReadInService = _readInService,
        Poll = _poll,
    };

    public void TakeBack(in PicState state)
    {
        _lines = state.Lines;
        _requests = state.Requests;
        _inService = state.InService;
        _mask = state.Mask;
        _vectorBase = (byte)(state.VectorBase & 0xf8);
        _edgeLevel = (byte)(state.EdgeLevel & (primary ? 0xf8 : 0xde));
        _lowest = (byte)(state.Lowest & 7);
        _step = (Step)(state.Step & 3);
        _expectIcw4 = state.ExpectIcw4;
        _single = false;
        _automaticEnd = state.AutomaticEnd;
        _rotateAtAutomaticEnd = state.RotateAtAutomaticEnd;
        _specialFullyNested = state.SpecialFullyNested;
        _specialMask = state.SpecialMask;
        _readInService = state.ReadInService;
        _poll = state.Poll;
    }

    public void Save(IStateWriter state, ushort first)
    {
        ReadOnlySpan<byte> registers =
        [
            _lines, _requests, _inService, _mask, _vectorBase, _edgeLevel, _lowest, (byte)_step,
            Bit(_expectIcw4), Bit(_single), Bit(_automaticEnd), Bit(_rotateAtAutomaticEnd),
            Bit(_specialFullyNested), Bit(_specialMask), Bit(_readInService), Bit(_poll),
        ];
        for (int i = 0; i < registers.Length; i++)
        {
            state.Write((ushort)(first + i), registers[i]);
        }
    }

    public bool Restore(IStateReader state, ushort first)
    {
        byte step = 0;
        bool valid = state.TryTake(first, ref _lines)
            & state.TryTake((ushort)(first + 1), ref _requests)
            & state.TryTake((ushort)(first + 2), ref _inService)
            & state.TryTake((ushort)(first + 3), ref _mask)
            & state.TryTake((ushort)(first + 4), ref _vectorBase)
            & state.TryTake((ushort)(first + 5), ref _edgeLevel)
            & state.TryTake((ushort)(first + 6), 7, ref _lowest)
            & state.TryTake((ushort)(first + 7), (byte)Step.ExpectIcw4, ref step)
            & state.TryTake((ushort)(first + 8), ref _expectIcw4)
            & state.TryTake((ushort)(first + 9), ref _single)
            & state.TryTake((ushort)(first + 10), ref _automaticEnd)
            & state.TryTake((ushort)(first + 11), ref _rotateAtAutomaticEnd)
            & state.TryTake((ushort)(first + 12), ref _specialFullyNested)
            & state.TryTake((ushort)(first + 13), ref _specialMask)
            & state.TryTake((ushort)(first + 14), ref _readInService)
            & state.TryTake((ushort)(first + 15), ref _poll);
        _step = (Step)step;
        return valid && (_vectorBase & 7) == 0 && (_edgeLevel & ~(primary ? 0xf8 : 0xde)) == 0;
    }

    private static byte Bit(bool value) => value ? (byte)1 : (byte)0;

    // ICW1: edge detection starts afresh, the mask is cleared, input 7 is lowest, the modes are off.
    private void Initialize(byte icw1)
    {
        _expectIcw4 = (icw1 & 0x01) != 0;
        _single = (icw1 & 0x02) != 0;
        _requests &= _edgeLevel;
        _inService = 0;
        _mask = 0;
        ClearModes();
        _step = Step.ExpectIcw2;
    }

    private void ClearModes()
    {
        _lowest = 7;
        _automaticEnd = false;
        _rotateAtAutomaticEnd = false;
        _specialFullyNested = false;
        _specialMask = false;
        _readInService = false;
        _poll = false;
    }

    private void WriteOcw2(byte value)
    {
        int level = value & 7;
        switch (value >> 5)
        {
            case 0:
                _rotateAtAutomaticEnd = false;
                break;
            case 1:
                EndHighest();
                break;
            case 3:
                _inService &= (byte)~(1 << level);
                break;
            case 4:
                _rotateAtAutomaticEnd = true;
                break;
            case 5:
                int ended = EndHighest();
                _lowest = ended == None ? _lowest : (byte)ended;
                break;
            case 6:
                _lowest = (byte)level;
                break;
            case 7:
                _inService &= (byte)~(1 << level);
                _lowest = (byte)level;
                break;
            default:
                break;
        }
    }

    private void WriteOcw3(byte value)
    {
        if ((value & 0x40) != 0)
        {
            _specialMask = (value & 0x20) != 0;
        }

        if ((value & 0x02) != 0)
        {
            _readInService = (value & 0x01) != 0;
        }

        _poll = (value & 0x04) != 0;
    }

    // In special mask mode a non-specific end does not see masked bits.
    private int EndHighest()
    {
        byte candidates = (byte)(_specialMask ? _inService & ~_mask : _inService);
        int input = HighestOf(candidates);
        if (input != None)
        {
            _inService &= (byte)~(1 << input);
        }

        return input;
    }

    private int FindRequest()
    {
        int input = HighestOf((byte)(_requests & ~_mask));
        if (input == None || _inService == 0)
        {
            return input;
        }

        int serviced = HighestOf((byte)(_specialMask ? _inService & ~_mask : _inService));
        if (serviced == None || Rank(input) < Rank(serviced))
        {
            return input;
        }

        // The special fully nested mode lets a secondary interrupt itself.
        return _specialFullyNested && primary && input == CascadeInput && serviced == CascadeInput ? input : None;
    }

    // 0 is the highest priority.
    private int Rank(int input) => (input - _lowest - 1) & 7;

    private int HighestOf(byte inputs)
    {
        if (inputs == 0)
        {
            return None;
        }

        // Rotated so that the highest priority is bit 0.
        int first = (_lowest + 1) & 7;
        int rotated = ((inputs >> first) | (inputs << (8 - first))) & 0xff;
        return (BitOperations.TrailingZeroCount(rotated) + first) & 7;
    }
}
