using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>
/// What a 16- or 32-bit instruction is to do, on hosts whether or not they have code segments for such programs: offsets, segments and what only such code has by <see cref="ModelProcessor"/>, everything else by
/// the host's processor, which executes the 64-bit instruction of the same operation. Where a host lets programs have such segments, it then executes the instruction itself.
/// </summary>
internal sealed unsafe class LegacyOracle(NativeOracle native)
{
    private const int GuardBytes = 0xf00;
    private const int X87Summary = 0x80;
    private const int PageFault = 14;
    private readonly ModelProcessor _model = new();
    private readonly NativeEquivalent _equivalent = new();
    private readonly InstructionInfoFactory _informer = new();
    private readonly TestCase _native = new();

    /// <summary>Executes; the arena's data is the instruction's.</summary>
    /// <returns>Whether it is known what happens.</returns>
    public bool Run(TestCase test, in Instruction i, ref CaseResult result)
    {
        if (i.IsInvalid && HasIgnoredVexBit(test.Instruction))
        {
            return false;
        }

        if (test.Mode != CodeMode.Protected && i.Code.ToOpCode().Encoding == EncodingKind.VEX)
        {
            // Intel SDM volume 2, section 2.3.8: neither mode has VEX.
            const int invalidOpcode = 6;
            Unchanged(test, ref result);
            (result.Vector, result.ErrorCode) = (invalidOpcode, 0);
            return true;
        }

        if (IsModelled(i) && !IsFlatString(test, i))
        {
            return _model.Run(test, i, ref result);
        }

        uint linear = 0;
        if (HasMemory(i) && Access(i) is not OpAccess.NoMemAccess and var access)
        {
            _model.Load(test);
            (int segment, uint offset) = Operand(test, i);
            linear = _model.Linear(segment, offset);
            int size = i.MemorySize.GetSize();
            bool write = access is OpAccess.Write or OpAccess.ReadWrite or OpAccess.CondWrite or OpAccess.ReadCondWrite;
            bool passes = IsScattered(i) || _model.Check(segment, offset, size, write);
            if (!_model.IsJudged || linear - (uint)(Arena.Start - GuardBytes) > Arena.Size + (2 * GuardBytes) && linear > 0xf000)
            {
                return false;
            }

            if (linear + size > (uint)Arena.Slot && linear < Arena.Slot + Arena.InstructionsSize)
            {
                return false;
            }

            if (IsScattered(i) && !test.Segments[segment].IsFlat || i.MemorySize == MemorySize.Unknown)
            {
                return false;
            }

            if (!passes)
            {
                // What comes first, an exception that is pending or that of the segment, or one of alignment, is not the segment's to say.
                bool pending = (test.X87Status & X87Summary) != 0 && IsFloat(i);
                bool aligned = segment == SegmentValues.Ss && size >= 16;
                Unchanged(test, ref result);
                (result.Vector, result.ErrorCode) = _model.Exception;
                return !pending && !aligned;
            }
        }

        _native.State = test.State;
        fixed (ulong* general = _native.State.General)
        {
            if (i.Mnemonic == Mnemonic.Xlatb)
            {
                general[3] = linear - (byte)general[0];
            }
            else if (IsImplied(i))
            {
                general[7] = linear;
            }

            linear -= IsBitString(i) ? BitDisplacement(i, test) : 0;
        }

        _equivalent.Write(i, linear, _native);
        native.Run(_native, ref result);
        Translate(test, i, ref result);

        // Real mode has no page faults.
        if (test.Mode == CodeMode.Real && result.Vector == PageFault)
        {
            return false;
        }

        // An element where the segment and the address space end.
        return !IsScattered(i) || result.Vector != 14 || result.Address is > 0xffff and < 0xffff_f000;
    }

    /// <summary>Whether the host executes 16- and 32-bit code itself.</summary>
    public bool HasNative => native.HasLegacyCode;

    /// <summary>Has the host execute the instruction itself; the arena's data is the instruction's.</summary>
    /// <param name="test">The case.</param>
    /// <param name="i">Its instruction.</param>
    /// <param name="result">What <see cref="Run"/> found. Only that knows of hidden parts of segments.</param>
    /// <returns>Whether the host can, without a trap of its own, or an access to this process.</returns>
    public bool TryRunNative(TestCase test, in Instruction i, ref CaseResult result)
    {
        const byte systemCall = 0x80;
        const ulong trap = 0x100;
        const ulong interrupt = 0x200;
        if (i.IsInvalid || test.Mode != CodeMode.Protected || i.Mnemonic == Mnemonic.Int && i.Immediate8 == systemCall || IsModelled(i) && (_model.LoadsGlobal || _model.FaultsTwice) || result.Vector == CaseResult.None && (result.State.Flags & trap) != 0)
        {
            return false;
        }

        if (HasMemory(i) && Wraps(test, i))
        {
            return false;
        }

        uint linear = (uint)result.Rip + test.Segments[SegmentValues.Cs].Base;
        if (result.Vector == PageFault && !native.IsFree((uint)result.Address) || result.Vector == CaseResult.None && !IsFreeTarget(linear, test.Length))
        {
            return false;
        }

        SegmentValues segments = result.Segments;
        ushort accessed = result.Accessed;
        bool partial = result.IsPartial;
        ulong flags = result.ComparedFlags;
        if (!native.TryRunLegacy(test, ref result) || result.IsElsewhere)
        {
            return false;
        }

        for (int n = 0; n < SegmentValues.Count; n++)
        {
            result.Segments[n] = segments[n] with { Selector = result.Segments[n].Selector };
        }

        result.Accessed = accessed;
        result.IsPartial = partial;
        result.ComparedFlags = flags & ~interrupt;
        return true;
    }

    // An operand of several parts that goes on behind 64 KiB of 16-bit addresses: which of its parts begin at 0 again, the manual does not say.
    private bool Wraps(TestCase test, in Instruction i)
    {
        _model.Load(test);
        return ModelProcessor.AddressSize(i) == 2 && !i.IsStringInstruction && Operand(test, i).Offset + (uint)Math.Max(i.MemorySize.GetSize(), 1) > 0x1_0000;
    }

    // Not into the instruction, nor into the way back.
    private bool IsFreeTarget(uint linear, int length) =>
        native.IsFree(linear) && (linear - (uint)Arena.Slot == length || linear - (uint)Arena.Slot >= length + NativeOracle.LegacyLeaveLength);

    // Intel SDM volume 2, section 2.3.5.6: outside 64-bit mode bit 6 of C4's second byte is ignored. The second decoder takes it for a register that may not be named.
    private static bool HasIgnoredVexBit(ReadOnlySpan<byte> code)
    {
        const int bit = 0x40;
        int at = code.IndexOfAnyExcept((ReadOnlySpan<byte>)[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67]);
        return at >= 0 && at + 2 < code.Length && code[at] == 0xc4 && (code[at + 2] & bit) == 0;
    }

    private static bool HasMemory(in Instruction i) =>
        i.Op0Kind == OpKind.Memory || i.Op1Kind == OpKind.Memory || i.Op2Kind == OpKind.Memory || IsImplied(i);

    private static bool IsImplied(in Instruction i) => i.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu;

    // What the 64-bit form left, in terms of the other one: RIP by its length, and registers that only served it.
    private static void Translate(TestCase test, in Instruction i, ref CaseResult result)
    {
        result.Segments = test.Segments;
        result.Accessed = 0;
        result.IsPartial = false;
        result.ComparedFlags = 0;
        result.Rip = Start(test) + (result.Vector == CaseResult.None ? (uint)test.Length : 0);
        fixed (ulong* general = test.State.General)
        {
            if (i.Mnemonic == Mnemonic.Xlatb)
            {
                result.State.General[3] = general[3];
            }
            else if (IsImplied(i))
            {
                result.State.General[7] = general[7];
            }

            // There are eight registers of each kind.
            for (int n = 8; n < 16; n++)
            {
                result.State.General[n] = general[n];
            }
        }

        fixed (byte* before = test.State.Vectors, after = result.State.Vectors)
        {
            Buffer.MemoryCopy(before + 256, after + 256, 256, 256);
        }
    }

    private static void Unchanged(TestCase test, ref CaseResult result)
    {
        result.State = test.State;
        result.Segments = test.Segments;
        result.Accessed = 0;
        result.IsPartial = false;
        result.ComparedFlags = 0;
        result.Address = 0;
        result.Rip = Start(test);
    }

    private static ulong Start(TestCase test) => (uint)Arena.Slot - test.Segments[SegmentValues.Cs].Base;

    private static bool IsModelled(in Instruction i) =>
        i.IsInvalid || i.IsStringInstruction || !NativeEquivalent.Exists(i) || i.FlowControl != FlowControl.Next || i.StackPointerIncrement != 0
        || i.Mnemonic is Mnemonic.Lea or Mnemonic.Arpl or Mnemonic.Enter or Mnemonic.Leave or Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs
            or Mnemonic.Push or Mnemonic.Pop or Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2
        || i.Mnemonic == Mnemonic.Mov && (i.Op0Register is >= Register.ES and <= Register.GS || i.Op1Register is >= Register.ES and <= Register.GS);

    // With 32-bit addresses in flat segments 64-bit code has the same string instructions.
    private static bool IsFlatString(TestCase test, in Instruction i) =>
        i.IsStringInstruction && ModelProcessor.StringSizes(i).Address == 4 && test.Segments[SegmentValues.Es].IsFlat && test.Segments[ModelProcessor.Segment(i)].IsFlat
        && IsNear(test, 6) && IsNear(test, 7);

    private static bool IsNear(TestCase test, int register)
    {
        const int room = 256;
        fixed (ulong* general = test.State.General)
        {
            return (uint)general[register] - (uint)(Arena.Start - GuardBytes + room) < Arena.Size + (2 * GuardBytes) - (2 * room);
        }
    }

    private static bool IsFloat(in Instruction i) => i.Code.ToString() is { } name && (name[0] == 'F' || i.Op0Register is >= Register.MM0 and <= Register.MM7 || i.Op1Register is >= Register.MM0 and <= Register.MM7);

    // Elements of their own addresses.
    private static bool IsScattered(in Instruction i) => i.IsVsib || IsImplied(i)
        || i.Mnemonic is Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq;

    private static bool IsBitString(in Instruction i) =>
        i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op0Kind == OpKind.Memory && i.Op1Kind == OpKind.Register;

    private static uint BitDisplacement(in Instruction i, TestCase test)
    {
        fixed (ulong* general = test.State.General)
        {
            bool word = i.Op1Register.GetSize() == 2;
            uint value = (uint)general[i.Op1Register.GetFullRegister() - Register.RAX];
            return word ? (uint)((short)value >> 4) * 2 : (uint)((int)value >> 5) * 4;
        }
    }

    private (int Segment, uint Offset) Operand(TestCase test, in Instruction i)
    {
        if (IsImplied(i))
        {
            fixed (ulong* general = test.State.General)
            {
                bool word = i.Op0Kind == OpKind.MemorySegDI;
                return (ModelProcessor.Segment(i), word ? (ushort)general[7] : (uint)general[7]);
            }
        }

        uint offset = _model.Offset(i);
        if (IsBitString(i))
        {
            offset += BitDisplacement(i, test);
            offset = ModelProcessor.AddressSize(i) == 2 ? (ushort)offset : offset;
        }

        return (ModelProcessor.Segment(i), offset);
    }

    private OpAccess Access(in Instruction i)
    {
        if (IsImplied(i))
        {
            return OpAccess.Write;
        }

        if (i.Mnemonic is Mnemonic.Nop or Mnemonic.Reservednop)
        {
            return OpAccess.NoMemAccess;
        }

        InstructionInfo info = _informer.GetInfo(i, InstructionInfoOptions.NoRegisterUsage | InstructionInfoOptions.NoMemoryUsage);
        for (int operand = 0; operand < i.OpCount; operand++)
        {
            if (i.GetOpKind(operand) == OpKind.Memory)
            {
                return info.GetOpAccess(operand);
            }
        }

        return OpAccess.None;
    }
}
