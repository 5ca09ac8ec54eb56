using System.Buffers.Binary;
using Iced.Intel;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// What an instruction leaves undefined, or processors do differently. Flags: the tables of the second decoder (Iced), which are those of Intel SDM volume 2 and volume 1, appendix A. The rest is
/// listed here with its source.
/// </summary>
internal static unsafe class UndefinedResults
{
    private const ulong Carry = 0x001;
    private const ulong Parity = 0x004;
    private const ulong Auxiliary = 0x010;
    private const ulong Zero = 0x040;
    private const ulong Sign = 0x080;
    private const ulong Overflow = 0x800;

    /// <summary>Flags that may differ.</summary>
    public static ulong Flags(in Instruction i)
    {
        if (i.IsInvalid)
        {
            return 0;
        }

        RflagsBits undefined = i.RflagsUndefined;
        ulong flags = 0;
        flags |= (undefined & RflagsBits.CF) != 0 ? Carry : 0;
        flags |= (undefined & RflagsBits.PF) != 0 ? Parity : 0;
        flags |= (undefined & RflagsBits.AF) != 0 ? Auxiliary : 0;
        flags |= (undefined & RflagsBits.ZF) != 0 ? Zero : 0;
        flags |= (undefined & RflagsBits.SF) != 0 ? Sign : 0;
        flags |= (undefined & RflagsBits.OF) != 0 ? Overflow : 0;
        switch (i.Mnemonic)
        {
            // OF is undefined for counts other than 1, AF for all but 0, CF for counts beyond the operand's size (Intel SDM volume 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
            case Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal:
                flags |= Auxiliary | (IsByOne(i) ? 0 : Overflow | Carry);
                break;
            case Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
                flags |= IsByOne(i) ? 0 : Overflow;
                break;
            case Mnemonic.Shld or Mnemonic.Shrd:
                flags |= Auxiliary | Overflow | (i.MemorySize.GetSize() == 2 || i.Op0Register.GetSize() == 2 ? Carry | Parity | Zero | Sign : 0);
                break;
        }

        return flags;
    }

    /// <summary>Whether the first operand may differ: a 16-bit SHLD or SHRD by more than 16 (Intel SDM volume 2).</summary>
    public static bool IsResultUndefined(in Instruction i) =>
        i.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && (i.Op0Kind == OpKind.Memory ? i.MemorySize.GetSize() : i.Op0Register.GetSize()) == 2;

    /// <summary>
    /// Whether processors of different makers end differently here. The model does as Intel SDM volume 2 says; seen on an AMD EPYC (family 1AH) against it:
    /// LOOPE and LOOPNE behind F2 or F3 (which the SDM says nothing of) look at ZF as the prefix says; SHA's memory operands need no alignment; MASKMOVQ and MASKMOVDQU fault for bytes that
    /// their mask leaves out, and MASKMOVQ takes the x87 registers over before it faults; an indirect CALL to an address that is not canonical pushes before it looks at the address; which
    /// registers a string instruction with 32-bit addresses clears the upper halves of when there is nothing to do; bit 17 of MXCSR exists (AMD APM volume 2, section 11.3.2); POP to a segment register reads the whole slot (the model its selector), and PUSH of one writes it; whether an image of FXSAVE that is neither aligned nor at a canonical address is #GP or #SS; POPA that is ended by an exception has loaded registers; which operand of CMPS and which part of an 80-bit operand is refused first; whether elements of a masked move by 32-bit addresses go on behind 4 GiB (family 19H begins at 0); VPEXTRD and VPINSRD of 16- and 32-bit code are #UD with VEX.W; a hypervisor (PVM) hands the trap of INT1 on as a fault; of an image of state that lies in two pages which both refuse it either may be named; DPPS and DPPD that are ended by an unmasked exception leave other flags in MXCSR, and all others the inexact flag beside an unmasked overflow or underflow.
    /// </summary>
    public static bool IsMakersOwn(TestCase test, in Instruction i, in CaseResult expected, in CaseResult actual)
    {
        const int SimdFloatingPoint = 19;
        const int DebugException = 1;
        const int InvalidOpcode = 6;
        const int StackFault = 12;
        const int GeneralProtection = 13;
        const int PageFault = 14;
        const uint MisalignedMask = 1 << 17;
        const uint Inexact = 1 << 5;
        const uint OverflowOrUnderflow = 0b11 << 3;
        const byte AddressSize = 0x67;
        return i.Mnemonic switch
        {
            _ when test.Bits == 64 && i.IsStringInstruction && (uint)test.State.General[1] == 0 && test.Instruction.Contains(AddressSize) => expected.Vector == actual.Vector,
            Mnemonic.Loope or Mnemonic.Loopne => test.Instruction[..^2].ContainsAny((byte)0xf2, (byte)0xf3),
            Mnemonic.Sha1msg1 or Mnemonic.Sha1msg2 or Mnemonic.Sha1nexte or Mnemonic.Sha1rnds4 or Mnemonic.Sha256msg1 or Mnemonic.Sha256msg2 or Mnemonic.Sha256rnds2 =>
                actual.Vector == GeneralProtection && actual.ErrorCode == 0,
            Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu => expected.Vector is PageFault or GeneralProtection or StackFault,
            Mnemonic.Call => actual.Vector == GeneralProtection && expected.Vector is PageFault or StackFault,
            _ when test.Bits != 64 && i.MemorySize is MemorySize.Float80 or MemorySize.Bcd && expected.Vector != actual.Vector =>
                IsAccess(expected.Vector) && IsAccess(actual.Vector),
            _ when IsComparison(i) => IsAccess(expected.Vector) && IsAccess(actual.Vector),

            // Elements of 32-bit addresses begin at 0 again behind 4 GiB, or do not.
            Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq when test.Instruction.Contains(AddressSize) =>
                expected.Vector == PageFault && actual.Vector == PageFault && (uint)expected.Address == (uint)actual.Address,
            Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 when expected.Vector == StackFault => actual.Vector == GeneralProtection,
            Mnemonic.Popa or Mnemonic.Popad => expected.Vector is PageFault or StackFault && actual.Vector is PageFault or StackFault,
            Mnemonic.Vpextrd or Mnemonic.Vpinsrd when test.Bits != 64 => expected.Vector == InvalidOpcode,
            Mnemonic.Int1 => expected.Vector == DebugException && actual.Vector == DebugException,
            Mnemonic.Push when i.Op0Register is >= Register.ES and <= Register.GS => expected.Vector is PageFault or StackFault,
            Mnemonic.Pop when i.Op0Register is >= Register.ES and <= Register.GS =>
                expected.Vector is PageFault or StackFault or GeneralProtection && (expected.Vector, expected.ErrorCode) != (actual.Vector, actual.ErrorCode),
            _ when expected.Vector == PageFault && actual.Vector == PageFault && expected.ErrorCode != actual.ErrorCode && PartsLength(i) > 1 => expected.Address - actual.Address < PartsLength(i),
            Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 or Mnemonic.Xrstor or Mnemonic.Xrstor64 => actual.Vector == GeneralProtection && (expected.State.Mxcsr & MisalignedMask) != 0,
            Mnemonic.Dpps or Mnemonic.Dppd or Mnemonic.Vdpps or Mnemonic.Vdppd => expected.Vector == SimdFloatingPoint && actual.Vector == SimdFloatingPoint,
            _ => expected.Vector == SimdFloatingPoint && actual.Vector == SimdFloatingPoint && ((expected.State.Mxcsr ^ actual.State.Mxcsr) & ~Inexact) == 0
                && (expected.State.Mxcsr & OverflowOrUnderflow) != 0,
        };
    }

    /// <summary>Whether both operands of an instruction may be refused, of which processors of one maker name either (AMD's families 19H and 1AH do not agree).</summary>
    public static bool IsComparison(in Instruction i) => i.Mnemonic is Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq && i.IsStringInstruction;

    /// <summary>How many bytes, from the one that the model names, the host's page fault may name. Images of state are accessed in an order of the processor's own; the manuals say nothing of it.</summary>
    public static ulong PartsLength(in Instruction i)
    {
        const int environments = 108;
        return i.Mnemonic is Mnemonic.Fnsave or Mnemonic.Frstor or Mnemonic.Fnstenv or Mnemonic.Fldenv ? environments : (ulong)Math.Max(CaseGenerator.StateLength(i), 1);
    }

    /// <summary>Gives an image that FXSAVE or XSAVE wrote the MXCSR_MASK of the host's: which bits of MXCSR exist (Intel SDM volume 1, section 11.6.6), one more on processors of AMD.</summary>
    public static void TakeMaskOver(TestCase test, in Instruction i, ReadOnlySpan<byte> expected, Span<byte> actual)
    {
        const uint modelsMask = 0xffff;
        const int at = 28;
        if (i.Mnemonic is not (Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64 or Mnemonic.Xsavec or Mnemonic.Xsavec64))
        {
            return;
        }

        ulong offset = Address(test, i) + at - Arena.Data;
        if (offset <= Arena.DataSize - sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(actual[(int)offset..]) == modelsMask
            && (BinaryPrimitives.ReadUInt32LittleEndian(expected[(int)offset..]) & modelsMask) == modelsMask)
        {
            expected.Slice((int)offset, sizeof(uint)).CopyTo(actual[(int)offset..]);
        }
    }

    /// <summary>Gives a slot of 32 bits that PUSH of a segment register wrote the upper half of the host's: zero on processors of AMD, and what it was on others (Intel SDM volume 2, PUSH).</summary>
    public static void TakeSlotOver(TestCase test, in Instruction i, in CaseResult result, ReadOnlySpan<byte> expected, Span<byte> actual)
    {
        const int stackPointer = 4;
        const int half = 2;
        if (i.Mnemonic != Mnemonic.Push || i.Op0Register is < Register.ES or > Register.GS || i.StackPointerIncrement != -4 || result.Vector != CaseResult.None)
        {
            return;
        }

        SegmentValue stack = test.Segments[SegmentValues.Ss];
        uint pointer = (uint)result.State.General[stackPointer];
        uint offset = stack.Base + ((stack.Attributes & SegmentValue.Big) != 0 ? pointer : (ushort)pointer) + half - (uint)Arena.Data;
        if (offset <= Arena.DataSize - half && BinaryPrimitives.ReadUInt16LittleEndian(expected[(int)offset..]) == 0)
        {
            actual.Slice((int)offset, half).Clear();
        }
    }

    /// <summary>Address of the memory operand of 64-bit code that is the first operand, and has no segment base.</summary>
    public static ulong Address(TestCase test, in Instruction i) => i.GetVirtualAddress(0, 0, (register, _, _) => Value(test, register));

    private static ulong Value(TestCase test, Register register)
    {
        fixed (ulong* general = test.State.General)
        {
            ulong value = register.GetFullRegister() is >= Register.RAX and <= Register.R15 and var full ? general[full - Register.RAX] : 0;
            return register.GetSize() == sizeof(uint) ? (uint)value : value;
        }
    }

    /// <summary>#SS, #GP and #PF.</summary>
    public static bool IsAccess(int vector) => vector is 12 or 13 or 14;

    private static bool IsByOne(in Instruction i) => i.Op1Kind == OpKind.Immediate8 && i.Immediate8 == 1;
}
