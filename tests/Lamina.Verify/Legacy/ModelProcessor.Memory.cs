using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>Addresses and accesses: offsets, limits and rights of segments (Intel SDM volume 3, sections 5.3 to 5.5), and the arena's pages.</summary>
internal sealed unsafe partial class ModelProcessor
{
    private const int PageFault = 14;
    private const uint PresentPage = 1;
    private const uint WriteAccess = 2;
    private const uint UserAccess = 4;

    /// <summary>Size of an instruction's addresses, 2 or 4 bytes.</summary>
    public static int AddressSize(in Instruction i)
    {
        Register part = i.MemoryBase != Register.None ? i.MemoryBase : i.IsVsib ? Register.None : i.MemoryIndex;
        return part is Register.None or Register.AL ? i.MemoryDisplSize == 2 ? 2 : 4 : part.GetSize();
    }

    /// <summary>Offset of the memory operand without a vector of indices.</summary>
    public uint Offset(in Instruction i)
    {
        uint sum = (uint)i.MemoryDisplacement64;
        if (i.MemoryBase != Register.None)
        {
            sum += Get(i.MemoryBase);
        }

        if (i.MemoryIndex != Register.None && !i.IsVsib)
        {
            sum += Get(i.MemoryIndex) * (uint)i.MemoryIndexScale;
        }

        return Truncate(sum, AddressSize(i));
    }

    /// <summary>Number of the memory operand's segment.</summary>
    public static int Segment(in Instruction i) => i.MemorySegment - Register.ES;

    /// <summary>Linear address of an offset.</summary>
    public uint Linear(int segment, uint offset) => _segments[segment].Base + offset;

    /// <summary>Whether a segment lets an access through; what it raises if not.</summary>
    public bool Check(int segment, uint offset, int size, bool write)
    {
        SegmentValue s = _segments[segment];
        bool code = (s.Attributes & SegmentValue.Code) != 0;
        bool right = (s.Attributes & SegmentValue.WritableOrReadable) != 0;
        ulong last = offset + (ulong)size - 1;
        bool ok = _mode != CodeMode.Protected || (s.Attributes & (SegmentValue.Unusable | SegmentValue.Present)) == SegmentValue.Present && (write ? !code && right : !code || right);
        if (ok && !code && _mode == CodeMode.Protected && (s.Attributes & SegmentValue.ExpandDown) != 0)
        {
            uint end = (s.Attributes & SegmentValue.Big) != 0 ? uint.MaxValue : 0xffff;
            ok = offset > s.Limit && last <= end;
        }
        else if (ok)
        {
            ok = last <= s.Limit;
        }

        // Where the segment ends with the address space, processors do what they like (section 5.3.1).
        _isJudged &= last <= uint.MaxValue;
        if (!ok)
        {
            Raise(segment == SegmentValues.Ss ? 12 : 13);
        }

        return ok;
    }

    /// <summary>What an exception left behind; a segment's fault in particular.</summary>
    public (int Vector, uint Error) Exception => (_vector, _error);

    /// <summary>Whether the manual says what happens.</summary>
    public bool IsJudged => _isJudged;

    // Two parts of an operand in a row. Whether the second one's offset wraps at 64 KiB where addresses have 16 bits, or at 4 GiB, and which part's exception comes first, the manual does not say.
    private bool ReadPair(in Instruction i, int firstSize, out uint first, int secondSize, out uint second)
    {
        uint offset = Offset(i);
        uint next = offset + (uint)firstSize;
        second = 0;
        _isJudged &= AddressSize(i) == 4 ? next >= offset : next <= 0x1_0000 - secondSize;
        if (!Read(Segment(i), offset, firstSize, out first))
        {
            (int vector, uint error) = Exception;
            _isJudged &= vector != PageFault || Check(Segment(i), next, secondSize, false);
            Raise(vector, error);
            return false;
        }

        return Read(Segment(i), next, secondSize, out second);
    }

    private bool Read(int segment, uint offset, int size, out uint value)
    {
        value = 0;
        if (!Check(segment, offset, size, false))
        {
            return false;
        }

        for (int n = 0; n < size; n++)
        {
            uint address = Linear(segment, offset) + (uint)n;
            if (!IsPresent(address))
            {
                Page(address, UserAccess);
                return false;
            }

            _isJudged &= address - (uint)Arena.Slot >= Arena.InstructionsSize;
            value |= (uint)*(byte*)(nuint)address << (8 * n);
        }

        return true;
    }

    private bool Probe(int segment, uint offset, int size)
    {
        if (!Check(segment, offset, size, true))
        {
            return false;
        }

        for (int n = 0; n < size; n++)
        {
            uint address = Linear(segment, offset) + (uint)n;
            if (address - (uint)Arena.Data >= Arena.DataSize)
            {
                Page(address, UserAccess | WriteAccess | (IsPresent(address) ? PresentPage : 0));
                return false;
            }
        }

        return true;
    }

    private bool Write(int segment, uint offset, int size, uint value)
    {
        if (!Probe(segment, offset, size))
        {
            return false;
        }

        for (int n = 0; n < size; n++)
        {
            *(byte*)(nuint)(Linear(segment, offset) + (uint)n) = (byte)(value >> (8 * n));
        }

        return true;
    }

    private void Page(uint address, uint error)
    {
        // Real mode has no pages, and what is where there is no memory nobody says.
        _isJudged &= _mode != CodeMode.Real;
        Raise(PageFault, error);
        _faultAddress = address;
    }

    private static bool IsPresent(uint address) =>
        address - (uint)Arena.Data < Arena.DataSize || address - (uint)Arena.ReadOnly < Arena.PageSize || address - (uint)Arena.Code < Arena.PageSize;
}
