using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>
/// Makes cases of several instructions of 64-bit code, one behind the other, or with jumps, a loop and a call among them: those of <see cref="CaseGenerator"/> less what jumps, loads segments, or leaves something of the processor's own behind.
/// Their operands in memory are at a few registers that point into the data, so that most of them get to the end. No instruction looks at flags that one before it leaves undefined.
/// </summary>
internal sealed unsafe class SequenceGenerator : ICaseSource
{
    public const int Maximum = 8;

    /// <summary>Most jumps of one, beside a return and the jump over what is called.</summary>
    public const int MaximumJumps = 4;

    /// <summary>Bytes of jumps, and of what they call.</summary>
    public const int JumpBytes = 56;

    /// <summary>Numbers of the registers that loops count in.</summary>
    public const int LoopCounter = 1;
    public const int OwnCounter = 14;
    private const int JumpAttempts = 40;
    private const int ConditionOfNotEqual = 5;
    private const int Always = 16;
    private const byte LoopOpcode = 0xe0;
    private const byte CountIsZeroOpcode = 0xe3;
    private const byte CallOpcode = 0xe8;
    private const byte ReturnOpcode = 0xc3;
    private const int Rsp = 4;
    private const int Attempts = 240;
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
    private readonly SequenceFlow _flow = new();
    private readonly InstructionInfoFactory _informer = new();
    private readonly int _count;
    private readonly int _jumps;
    private readonly Encoder _encoder;
    private readonly CodeBytes _bytes = new();

    /// <summary>DEC R14D.</summary>
    public static ReadOnlySpan<byte> CountDown => [0x41, 0xff, 0xce];

    /// <summary>Makes sequences of 2 to <paramref name="count"/> instructions, and with up to <paramref name="jumps"/> jumps among them.</summary>
    public SequenceGenerator(List<List<Template>> instructions, int count, int jumps)
    {
        _single = new CaseGenerator(instructions);
        _count = count;
        _jumps = jumps;
        _encoder = Encoder.Create(64, _bytes);
    }

    /// <summary>Makes a case; the last instruction.</summary>
    public Instruction Make(ulong seed, ulong number, TestCase test)
    {
        CaseRandom random = new(~seed, number);
        test.Bits = 64;
        test.LoadsSegments = false;
        _single.Fill(ref random, test);
        FillState(ref random, test);
        SequenceLayout layout;
        bool jumps = _jumps > 0;
        int attempt = 0;
        do
        {
            // Instructions alone get there at once.
            layout = new SequenceLayout();
            if (jumps && ++attempt < JumpAttempts)
            {
                AddJumping(ref random, test, layout);
            }
            else
            {
                AddPlain(ref random, layout.Items, 2 + random.Next(_count - 1), Register.None, false);
            }
        }
        while (layout.Items.Count == 0 || !layout.TryWrite(test) || !_flow.Look(test, _single));
        return Decode(layout.Items[^1].Code);
    }

    public Instruction Decode(ReadOnlySpan<byte> code) => _single.Decode(code);

    // Instructions that do not jump. None looks at a flag that one before it leaves undefined.
    private void AddPlain(ref CaseRandom random, List<SequenceLayout.Item> items, int wanted, Register counter, bool isCalled)
    {
        ulong undefined = 0;
        int end = items.Count + wanted;
        for (int attempt = 0; attempt < Attempts && items.Count < end; attempt++)
        {
            if (!_single.TryMake(ref random, out Instruction i, out ReadOnlySpan<byte> code) || !IsAllowed(i, code) || (SequenceFlow.Flags(i.RflagsRead) & undefined) != 0)
            {
                continue;
            }

            MoveOperand(ref random, ref i);
            if (counter != Register.None && Writes(i, counter) || isCalled && MayChangeReturn(i))
            {
                continue;
            }

            _bytes.Clear();
            if (!_encoder.TryEncode(i, Arena.Slot, out _, out _) || _bytes.Length > TestCase.MaximumLength)
            {
                continue;
            }

            undefined = (undefined & ~SequenceFlow.Flags(i.RflagsWritten | i.RflagsCleared | i.RflagsSet)) | UndefinedResults.Flags(i);
            items.Add(new SequenceLayout.Item(_bytes.Bytes.ToArray()));
        }
    }

    // A loop, a call of what is behind the others, and jumps over some.
    private void AddJumping(ref CaseRandom random, TestCase test, SequenceLayout layout)
    {
        const int rounds = 6;
        List<SequenceLayout.Item> items = layout.Items;
        int left = 1 + random.Next(_jumps);
        bool loops = random.OneIn(2);
        bool counts = loops && random.OneIn(2);
        bool calls = left > (loops ? 1 : 0) && random.OneIn(2);
        Register counter = !loops ? Register.None : counts ? Register.R14 : Register.RCX;
        AddPlain(ref random, items, 2 + random.Next(_count - 1), counter, false);
        if (items.Count == 0)
        {
            return;
        }

        SequenceLayout.Item? never = null;
        if (loops)
        {
            fixed (ulong* general = test.State.General)
            {
                general[counts ? OwnCounter : LoopCounter] = 1 + (ulong)random.Next(rounds);
            }

            int first = random.Next(items.Count);
            int behind = first + 1 + random.Next(items.Count - first);
            SequenceLayout.Item head = items[first];
            SequenceLayout.Item jump = counts ? Jump(ref random, ConditionOfNotEqual, head) : new([(byte)(LoopOpcode + random.Next(3)), 0]) { Target = head, DistanceSize = 1 };
            items.Insert(behind, jump);
            if (counts)
            {
                items.Insert(behind, new SequenceLayout.Item(CountDown.ToArray()));
                never = jump;
            }

            left--;
        }

        int end = items.Count;
        if (calls)
        {
            SequenceLayout.Item call = new([CallOpcode, 0, 0, 0, 0]) { DistanceSize = sizeof(int) };
            int place = random.Next(items.Count + 1);
            place -= place < items.Count && items[place] == never ? 1 : 0;
            items.Insert(place, call);
            items.Add(Jump(ref random, Always, layout.End));
            end = items.Count - 1;
            AddPlain(ref random, items, 1 + random.Next(2), counter, true);
            items.Add(new SequenceLayout.Item([ReturnOpcode]));
            call.Target = items[end + 1];
            left--;
        }

        for (; left > 0; left--)
        {
            int place = random.Next(end);
            place -= items[place] == never ? 1 : 0;
            int over = place + random.Next(end - place);
            over -= items[over] == never ? 1 : 0;
            int condition = random.Next(Always + 2);
            SequenceLayout.Item target = items[over];
            items.Insert(place, condition > Always ? new SequenceLayout.Item([CountIsZeroOpcode, 0]) { Target = target, DistanceSize = 1 } : Jump(ref random, condition, target));
            end++;
        }
    }

    // By condition, or always.
    private static SequenceLayout.Item Jump(ref CaseRandom random, int condition, SequenceLayout.Item target)
    {
        const byte shortJump = 0xeb;
        const byte nearJump = 0xe9;
        bool near = random.OneIn(2);
        byte[] code = condition == Always
            ? near ? [nearJump, 0, 0, 0, 0] : [shortJump, 0]
            : near ? [0x0f, (byte)(0x80 | condition), 0, 0, 0, 0] : [(byte)(0x70 | condition), 0];
        return new SequenceLayout.Item(code) { Target = target, DistanceSize = near ? sizeof(int) : 1 };
    }

    private bool Writes(in Instruction i, Register register)
    {
        foreach (UsedRegister used in _informer.GetInfo(i, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            if (used.Register.GetFullRegister() == register && used.Access is not OpAccess.Read and not OpAccess.CondRead)
            {
                return true;
            }
        }

        return false;
    }

    // What is called neither writes memory nor moves the stack: it would return to somewhere else.
    private bool MayChangeReturn(in Instruction i)
    {
        foreach (UsedMemory used in _informer.GetInfo(i, InstructionInfoOptions.NoRegisterUsage).GetUsedMemory())
        {
            if (used.Access is not OpAccess.Read and not OpAccess.CondRead)
            {
                return true;
            }
        }

        return Writes(i, Register.RSP);
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
