using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>
/// Makes cases of several instructions of 64-bit code, one behind the other: those of <see cref="CaseGenerator"/> less what jumps, loads segments, or leaves something of the processor's own behind.
/// Their operands in memory are at a few registers that point into the data, so that most of them get to the end. No instruction looks at flags that one before it leaves undefined.
/// </summary>
internal sealed unsafe class SequenceGenerator : ICaseSource
{
    public const int Maximum = 8;
    private const int Rsp = 4;
    private const int Attempts = 240;
    private const ulong Status = 0x8d5;
    private static readonly Register[] Pointers = [Register.RBX, Register.RBP, Register.R9, Register.R12, Register.R13];

    // What is left out of them, beside what is asked of each instruction: MXCSR and the x87 control word stay as they are, and results that processors of different makers have in their own way.
    private static readonly HashSet<Mnemonic> Excluded =
    [
        Mnemonic.Popf, Mnemonic.Popfq, Mnemonic.Lss, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Fnstenv, Mnemonic.Fldenv, Mnemonic.Fnsave, Mnemonic.Frstor,
        Mnemonic.Fldcw, Mnemonic.Ldmxcsr, Mnemonic.Vldmxcsr, Mnemonic.Maskmovq, Mnemonic.Maskmovdqu, Mnemonic.Vmaskmovdqu, Mnemonic.Dpps, Mnemonic.Dppd, Mnemonic.Vdpps, Mnemonic.Vdppd,
        Mnemonic.Sha1msg1, Mnemonic.Sha1msg2, Mnemonic.Sha1nexte, Mnemonic.Sha1rnds4, Mnemonic.Sha256msg1, Mnemonic.Sha256msg2, Mnemonic.Sha256rnds2, Mnemonic.Shld, Mnemonic.Shrd,
        Mnemonic.Enter, Mnemonic.Leave, Mnemonic.Ud0, Mnemonic.Ud1, Mnemonic.Ud2, Mnemonic.Pushf, Mnemonic.Pushfq,
        Mnemonic.In, Mnemonic.Out, Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd, Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd,
    ];

    private readonly CaseGenerator _single;
    private readonly int _count;
    private readonly Encoder _encoder;
    private readonly CodeBytes _bytes = new();

    /// <summary>Makes sequences of 2 to <paramref name="count"/> instructions.</summary>
    public SequenceGenerator(List<List<Template>> instructions, int count)
    {
        _single = new CaseGenerator(instructions);
        _count = count;
        _encoder = Encoder.Create(64, _bytes);
    }

    /// <summary>Makes a case; the last instruction.</summary>
    public Instruction Make(ulong seed, ulong number, TestCase test)
    {
        CaseRandom random = new(~seed, number);
        test.Bits = 64;
        test.LoadsSegments = false;
        Clear(test);
        _single.Fill(ref random, test);
        FillState(ref random, test);
        int wanted = 2 + random.Next(_count - 1);
        Instruction last = default;
        for (int attempt = 0; attempt < Attempts && test.Lengths.Count < wanted; attempt++)
        {
            if (!_single.TryMake(ref random, out Instruction i, out ReadOnlySpan<byte> code) || !IsAllowed(i, code) || ReadsUndefined(test, i))
            {
                continue;
            }

            MoveOperand(ref random, ref i);
            _bytes.Clear();
            if (!_encoder.TryEncode(i, Arena.Slot, out _, out _) || _bytes.Length > TestCase.MaximumLength)
            {
                continue;
            }

            last = Decode(_bytes.Bytes);
            Append(test, last, _bytes.Bytes);
        }

        test.Code.AsSpan(test.Length).Clear();
        return last;
    }

    public Instruction Decode(ReadOnlySpan<byte> code) => _single.Decode(code);

    /// <summary>Takes a sequence from instructions that are given, with the flags that they leave undefined.</summary>
    /// <returns>Whether none looks at such a flag.</returns>
    public static bool Set(TestCase test, ICaseSource decoder, IReadOnlyList<byte[]> instructions)
    {
        Clear(test);
        bool known = true;
        foreach (byte[] code in instructions)
        {
            Instruction i = decoder.Decode(code);
            known &= !ReadsUndefined(test, i);
            Append(test, i, code);
        }

        test.Code.AsSpan(test.Length).Clear();
        return known;
    }

    private static void Clear(TestCase test)
    {
        test.Lengths.Clear();
        test.FlagUses.Clear();
        test.Length = 0;
        test.UndefinedFlags = 0;
        test.UndefinedAtFault = 0;
    }

    private static void Append(TestCase test, in Instruction i, ReadOnlySpan<byte> code)
    {
        code.CopyTo(test.Code.AsSpan(test.Length));
        test.Length += code.Length;
        test.Lengths.Add(code.Length);

        // A count of zero leaves all flags as they are.
        bool always = !i.HasRepPrefix && !i.HasRepnePrefix
            && i.Mnemonic is not (Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr);
        ulong written = Flags(i.RflagsWritten | i.RflagsCleared | i.RflagsSet);
        ulong undefined = UndefinedResults.Flags(i);
        test.UndefinedFlags = (always ? test.UndefinedFlags & ~written : test.UndefinedFlags) | undefined;
        test.UndefinedAtFault |= undefined;
        test.FlagUses.Add((Flags(i.RflagsRead), written | undefined));
    }

    private static bool ReadsUndefined(TestCase test, in Instruction i) => (Flags(i.RflagsRead) & test.UndefinedFlags) != 0;

    private static ulong Flags(RflagsBits bits)
    {
        ulong flags = 0;
        flags |= (bits & RflagsBits.CF) != 0 ? 0x001UL : 0;
        flags |= (bits & RflagsBits.PF) != 0 ? 0x004UL : 0;
        flags |= (bits & RflagsBits.AF) != 0 ? 0x010UL : 0;
        flags |= (bits & RflagsBits.ZF) != 0 ? 0x040UL : 0;
        flags |= (bits & RflagsBits.SF) != 0 ? 0x080UL : 0;
        flags |= (bits & RflagsBits.OF) != 0 ? 0x800UL : 0;
        return flags & Status;
    }

    private static bool IsAllowed(in Instruction i, ReadOnlySpan<byte> code)
    {
        const byte addressSize = 0x67;
        bool segments = i.Op0Register is >= Register.ES and <= Register.GS || i.Op1Register is >= Register.ES and <= Register.GS;
        return !i.IsInvalid && i.FlowControl == FlowControl.Next && !i.IsPrivileged && !segments && !i.IsVsib && !Excluded.Contains(i.Mnemonic) && CaseGenerator.StateLength(i) == 0
            && i.MemoryDisplSize != 8 && !(i.IsStringInstruction && code.Contains(addressSize));
    }

    // Strings have registers of their own.
    private static void MoveOperand(ref CaseRandom random, ref Instruction i)
    {
        bool memory = i.Op0Kind == OpKind.Memory || i.Op1Kind == OpKind.Memory || i.Op2Kind == OpKind.Memory || i.Op3Kind == OpKind.Memory;
        if (!memory || i.Mnemonic is Mnemonic.Xlatb)
        {
            return;
        }

        i.MemoryBase = Pointers[random.Next(Pointers.Length)];
        i.MemoryIndex = Register.None;
        i.MemoryIndexScale = 1;
        i.MemoryDisplacement64 = (ulong)((random.Next(8) * 32) - 128);
        i.MemoryDisplSize = 1;
    }

    private static void FillState(ref CaseRandom random, TestCase test)
    {
        const uint masked = 0x1f80;
        const ushort controlMasked = 0x3f;
        const ushort statusKept = 0x7f40;
        fixed (NativeState* s = &test.State)
        {
            s->Mxcsr |= masked;
            ushort* x87 = (ushort*)s->X87;
            x87[0] |= controlMasked;
            x87[1] &= statusKept;
            foreach (Register pointer in Pointers)
            {
                // One in sixteen is no use as a pointer.
                s->General[pointer - Register.RAX] = random.OneIn(16) ? random.Next() : Place(ref random);
            }

            s->General[Rsp] = Place(ref random);
            s->General[6] = Place(ref random);
            s->General[7] = Place(ref random);
            s->General[1] = (ulong)random.Next(24);
        }
    }

    private static ulong Place(ref CaseRandom random)
    {
        const int room = 1024;
        ulong place = Arena.Data + room + (ulong)random.Next(Arena.DataSize - (2 * room));
        return random.OneIn(3) ? place : place & ~31UL;
    }

    private sealed class CodeBytes : CodeWriter
    {
        private readonly byte[] _bytes = new byte[32];

        public int Length { get; private set; }

        public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

        public override void WriteByte(byte value) => _bytes[Length++] = value;

        public void Clear() => Length = 0;
    }
}
