using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>MOVS, CMPS, STOS, LODS and SCAS, element by element.</summary>
internal sealed partial class ModelProcessor
{
    private void RunString(in Instruction i)
    {
        (int size, int address) = StringSizes(i);
        bool repeats = i.HasRepPrefix || i.HasRepnePrefix;
        bool compares = i.Mnemonic is Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd;
        while (!repeats || Truncate(_registers[Cx], address) != 0)
        {
            if (!RunElement(i, size, address) || !repeats)
            {
                return;
            }

            SetLow(Cx, _registers[Cx] - 1, address);
            bool zero = (_flags & Zero) != 0;
            if (compares && zero != i.HasRepePrefix)
            {
                return;
            }
        }
    }

    /// <summary>Sizes of the elements and of the addresses.</summary>
    public static (int Element, int Address) StringSizes(in Instruction i)
    {
        OpKind first = IsStringMemory(i.Op0Kind) ? i.Op0Kind : i.Op1Kind;
        return (i.MemorySize.GetSize(), first is OpKind.MemorySegSI or OpKind.MemorySegDI or OpKind.MemoryESDI ? 2 : 4);
    }

    private static bool IsStringMemory(OpKind kind) =>
        kind is OpKind.MemorySegSI or OpKind.MemorySegESI or OpKind.MemorySegDI or OpKind.MemorySegEDI or OpKind.MemoryESDI or OpKind.MemoryESEDI;

    private bool RunElement(in Instruction i, int size, int address)
    {
        uint source = Truncate(_registers[Si], address);
        uint destination = Truncate(_registers[Di], address);
        uint step = (_flags & Direction) != 0 ? (uint)-size : (uint)size;
        uint a;
        uint b;
        switch (i.Mnemonic)
        {
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd:
                if (!Read(Segment(i), source, size, out a))
                {
                    FaultsTwice = IsRefused(destination, size, true);
                    return false;
                }

                if (!Write(SegmentValues.Es, destination, size, a))
                {
                    return false;
                }

                break;
            case Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd:
                if (!Read(Segment(i), source, size, out a))
                {
                    FaultsTwice = IsRefused(destination, size, false);
                    return false;
                }

                if (!Read(SegmentValues.Es, destination, size, out b))
                {
                    return false;
                }

                Compare(a, b, size);
                break;
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd:
                if (!Write(SegmentValues.Es, destination, size, _registers[Ax]))
                {
                    return false;
                }

                SetLow(Di, destination + step, address);
                return true;
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd:
                if (!Read(Segment(i), source, size, out a))
                {
                    return false;
                }

                Set(size == 1 ? Register.AL : size == 2 ? Register.AX : Register.EAX, a);
                SetLow(Si, source + step, address);
                return true;
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd:
                if (!Read(SegmentValues.Es, destination, size, out b))
                {
                    return false;
                }

                Compare(Truncate(_registers[Ax], size), b, size);
                SetLow(Di, destination + step, address);
                return true;
            default:
                throw new InvalidOperationException($"{i.Code} is no string instruction of the model.");
        }

        SetLow(Si, source + step, address);
        SetLow(Di, destination + step, address);
        return true;
    }

    // Whether the second operand is refused as well as the first, whose exception stays.
    private bool IsRefused(uint destination, int size, bool write)
    {
        (int vector, uint error) = Exception;
        uint address = _faultAddress;
        bool judged = _isJudged;
        bool refused = write ? !Probe(SegmentValues.Es, destination, size) : !Read(SegmentValues.Es, destination, size, out _);
        refused |= !_isJudged;
        _isJudged = judged;
        _faultAddress = address;
        Raise(vector, error);
        return refused;
    }

    private void Compare(uint a, uint b, int size)
    {
        uint difference = Truncate(a - b, size);
        SetFlag(Carry, a < b);
        SetFlag(Auxiliary, (a & 15) < (b & 15));
        SetFlag(Overflow, Extend(a, size) - (long)Extend(b, size) != Extend(difference, size));
        SetResult(difference);
        SetFlag(Zero, difference == 0);
        SetFlag(Sign, Extend(difference, size) < 0);
    }
}
