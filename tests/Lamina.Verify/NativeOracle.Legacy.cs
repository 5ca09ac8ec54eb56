using System.Runtime.InteropServices;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// 16- and 32-bit code on hosts that let programs have such segments: in a local descriptor table (modify_ldt), which has the segments of a case first, and then <see cref="DescriptorList.Local"/>.
/// The code is entered, and left, by a far jump.
/// </summary>
internal sealed unsafe partial class NativeOracle
{
    private const long ModifyTable = 154;
    private const int WriteEntry = 0x11;
    private const ulong ResumeFlag = 0x1_0000;
    private readonly ulong[] _table = new ulong[DescriptorList.LocalCount];
    private List<(ulong First, ulong End)>? _occupied;
    private bool _hasTable;

    /// <summary>Whether the host executes 16- and 32-bit code of programs.</summary>
    public bool HasLegacyCode { get; private set; }

    /// <summary>Looks whether the host executes 16- and 32-bit code.</summary>
    public void FindLegacyCode()
    {
        const int initialControl = 0x37f;
        const uint flatCode = 0xc0fb;
        _occupied = FindOccupied();
        CaseResult result = default;
        HasLegacyCode = true;
        foreach (int bits in (ReadOnlySpan<int>)[32, 16])
        {
            // inc eax, which is a prefix in 64-bit code.
            TestCase test = new() { Bits = bits, Length = 1 };
            test.Code[0] = 0x40;
            test.State.Flags = 2;
            test.State.Mxcsr = 0x1f80;
            for (int n = 0; n < SegmentValues.Count; n++)
            {
                test.Segments[n] = SegmentValue.Flat with { Selector = DescriptorList.Own(n) };
            }

            test.Segments[SegmentValues.Cs] = test.Segments[SegmentValues.Cs] with { Attributes = bits == 32 ? flatCode : flatCode & ~SegmentValue.Big };
            fixed (NativeState* state = &test.State)
            {
                *(ushort*)state->X87 = initialControl;
                HasLegacyCode = HasLegacyCode && TryRunLegacy(test, ref result) && result.Vector == CaseResult.None && !result.IsElsewhere && result.State.General[0] == 1;
            }
        }

        ClearSegments();
    }

    /// <summary>Whether nothing of this process but the arena is at a linear address.</summary>
    public bool IsFree(uint linear) => !_occupied!.Exists(o => linear + 16UL > o.First && linear < o.End);

    /// <summary>Executes 16- or 32-bit code; the arena's data is the instruction's.</summary>
    /// <returns>Whether the host can have its segments. Their hidden parts are not shown.</returns>
    public bool TryRunLegacy(TestCase test, ref CaseResult result)
    {
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            SegmentValue segment = test.Segments[n];
            bool usable = (segment.Attributes & SegmentValue.Unusable) == 0;
            bool isCode = (segment.Attributes & (SegmentValue.Code | SegmentValue.WritableOrReadable)) == SegmentValue.Code && n != SegmentValues.Cs;
            if (usable ? segment.Selector != DescriptorList.Own(n) || !DescriptorList.IsExact(segment) || isCode : segment.Selector != 0)
            {
                return false;
            }

            if (!TryWrite(n, usable ? DescriptorList.Encode(segment) : 0))
            {
                return false;
            }

            *(ushort*)(_base + SelectorsOffset + (2 * n)) = segment.Selector;
        }

        for (int n = SegmentValues.Count; n < DescriptorList.LocalCount; n++)
        {
            if (!TryWrite(n, DescriptorList.Local[n - SegmentValues.Count]))
            {
                return false;
            }
        }

        uint codeBase = test.Segments[SegmentValues.Cs].Base;
        uint start = (uint)Arena.Slot - codeBase;
        WriteLegacy(test);
        *(NativeState*)(_base + InputOffset) = test.State;
        *(int*)(_base + SignalOffset) = 0;
        *(_base + SegmentsOffset) = 1;
        *(uint*)(_base + FarSlotOffset) = start;
        *(ushort*)(_base + FarSlotOffset + 4) = test.Segments[SegmentValues.Cs].Selector;
        result.IsElsewhere = false;
        AvoidStack(test.State.General[StackPointer]);
        ((delegate* unmanaged<void>)_enterLegacy)();
        TakeLegacy(test, start + (uint)test.Length, codeBase, ref result);
        return true;
    }

    /// <summary>Bytes that lead back behind an instruction of 16- or 32-bit code.</summary>
    public const int LegacyLeaveLength = 8;

    // A far jump to 64-bit code behind the instruction.
    private void WriteLegacy(TestCase test)
    {
        const byte operandSize = 0x66;
        const byte farJump = 0xea;
        Span<byte> slot = _arena.Instructions;
        slot.Fill(Breakpoint);
        test.Instruction.CopyTo(slot);
        int at = test.Length;
        if (test.Bits == 16)
        {
            slot[at++] = operandSize;
        }

        slot[at++] = farJump;
        BitConverter.TryWriteBytes(slot[at..], (uint)_leave);
        BitConverter.TryWriteBytes(slot[(at + sizeof(uint))..], *(ushort*)(_base + OwnCodeOffset));
    }

    private void TakeLegacy(TestCase test, uint end, uint codeBase, ref CaseResult result)
    {
        const int generalProtection = 13;
        if (*(int*)(_base + SignalOffset) == 0)
        {
            result.State = *(NativeState*)(_base + OutputOffset);
            result.Vector = CaseResult.None;
            result.Rip = end;
            result.ErrorCode = 0;
            result.Address = 0;
            *(ushort*)(_base + SelectorsOffset + (2 * SegmentValues.Cs)) = test.Segments[SegmentValues.Cs].Selector;
        }
        else
        {
            TakeFault(end, codeBase, ref result);
            ulong selectors = ((ulong*)(_base + RegistersOffset))[(int)Context.Selectors];
            *(ushort*)(_base + SelectorsOffset + (2 * SegmentValues.Cs)) = (ushort)selectors;
            *(ushort*)(_base + SelectorsOffset + (2 * SegmentValues.Ss)) = (ushort)(selectors >> (8 * StackSelector));
            result.State.Flags &= ~ResumeFlag;
            result.Rip = (uint)result.Rip;
            if (result.Vector == generalProtection && result.Rip == end)
            {
                // The way back is beyond the segment.
                result.Vector = CaseResult.None;
            }
        }

        for (int n = 0; n < SegmentValues.Count; n++)
        {
            result.Segments[n] = new SegmentValue(*(ushort*)(_base + SelectorsOffset + (2 * n)), 0, 0, 0);
        }

        // There are eight registers of each kind, of 32 bits.
        fixed (NativeState* before = &test.State, after = &result.State)
        {
            for (int n = 0; n < 8; n++)
            {
                after->General[n] = (uint)after->General[n];
                after->General[n + 8] = before->General[n + 8];
            }

            Buffer.MemoryCopy(before->Vectors + 256, after->Vectors + 256, 256, 256);
        }
    }

    // 64-bit code finds no local table, or one that has nothing.
    private void ClearSegments()
    {
        for (int n = 0; n < DescriptorList.LocalCount && _hasTable; n++)
        {
            TryWrite(n, 0);
        }

        _hasTable = false;
    }

    private bool TryWrite(int index, ulong descriptor)
    {
        if (_table[index] == descriptor)
        {
            return true;
        }

        // struct user_desc (modify_ldt(2)). An entry that is read-only and not present, and has nothing else, is cleared.
        const int big = 54;
        const int granular = 55;
        const int present = 47;
        const int available = 52;
        const uint empty = 0x28;
        uint type = (uint)(descriptor >> 40) & 0xf;
        uint* entry = stackalloc uint[4];
        entry[0] = (uint)index;
        entry[1] = (uint)((descriptor >> 16) & 0xff_ffff) | ((uint)(descriptor >> 56) << 24);
        entry[2] = (uint)(descriptor & 0xffff) | ((uint)(descriptor >> 32) & 0xf_0000);
        entry[3] = Bit(descriptor, big) | ((type >> 2) << 1) | ((~type & 2) << 2) | (Bit(descriptor, granular) << 4) | ((Bit(descriptor, present) ^ 1) << 5) | (Bit(descriptor, available) << 6);
        entry[3] = descriptor == 0 ? empty : entry[3];
        if (SystemCall(ModifyTable, WriteEntry, entry, 4 * sizeof(uint)) != 0)
        {
            return false;
        }

        _hasTable = true;
        _table[index] = descriptor;
        return true;
    }

    private static uint Bit(ulong descriptor, int bit) => (uint)(descriptor >> bit) & 1;

    // Below 4 GiB, where 32-bit code reaches.
    private static List<(ulong First, ulong End)> FindOccupied()
    {
        List<(ulong, ulong)> found = [];
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] ends = line[..line.IndexOf(' ')].Split('-');
            ulong first = Convert.ToUInt64(ends[0], 16);
            ulong end = Convert.ToUInt64(ends[1], 16);
            if (first <= uint.MaxValue && (first >= Arena.Start + Arena.Size || end <= Arena.Start))
            {
                found.Add((first, end));
            }
        }

        return found;
    }

    // The number of modify_ldt(2) has no wrapper in libc. Its status is an int.
    private static int SystemCall(long number, long function, uint* entry, long size) => (int)CallSystem(number, function, entry, size);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long CallSystem(long number, long function, uint* entry, long size);
}
