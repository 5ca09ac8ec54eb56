using Iced.Intel;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>A wrong interpreter, for proof that wrong ones are found: what it did is changed before it is compared.</summary>
internal sealed unsafe class Mutation
{
    private const ulong Carry = 1;
    private const ulong Auxiliary = 0x10;
    private const ulong Zero = 0x40;
    private const ulong Sign = 0x80;
    private const ulong Direction = 0x400;
    private const ulong NestedTask = 0x4000;
    private const int GeneralProtection = 13;
    private static readonly Mutation[] All =
    [
        new("adc-auxiliary", static (TestCase test, in Instruction i, ref CaseResult result) => Flip(ref result, i.Mnemonic == Mnemonic.Adc && (test.State.Flags & Carry) != 0, Auxiliary)),
        new("sbb-carry", static (TestCase test, in Instruction i, ref CaseResult result) => Flip(ref result, i.Code == Code.Sbb_r16_rm16 && (test.State.Flags & Carry) != 0, Carry)),
        new("imul-carry", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Code == Code.Imul_r64_rm64, Carry)),
        new("neg-sign", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Code == Code.Neg_rm8, Sign)),
        new("alignment-fault", static (TestCase test, in Instruction i, ref CaseResult result) =>
        {
            if (i.Code == Code.Movaps_xmm_xmmm128 && result.Vector == GeneralProtection)
            {
                result.Vector = CaseResult.None;
                result.Rip = Arena.Slot + (ulong)test.Length;
            }
        }),
        new("page-fault-code", static (TestCase _, in Instruction i, ref CaseResult result) => result.ErrorCode ^= i.Code == Code.Push_r64 && result.Vector == 14 ? 2u : 0),
        new("divide-error", static (TestCase test, in Instruction i, ref CaseResult result) =>
        {
            if (i.Code == Code.Idiv_rm32 && result.Vector == 0)
            {
                result.Vector = CaseResult.None;
                result.Rip = Arena.Slot + (ulong)test.Length;
            }
        }),
        new("upper-half", static (TestCase _, in Instruction i, ref CaseResult result) => result.State.General[0] |= i.Code == Code.Mov_r32_rm32 && i.Op0Register == Register.EAX ? 1UL << 63 : 0),
        new("vector-bit", static (TestCase _, in Instruction i, ref CaseResult result) => result.State.Mxcsr ^= i.Code == Code.VEX_Vdivpd_ymm_ymm_ymmm256 ? 1u : 0),
        new("repeat-count", static (TestCase _, in Instruction i, ref CaseResult result) => result.State.General[1] += i.Code == Code.Scasb_AL_m8 && i.HasRepnePrefix ? 1UL : 0),
        new("popped-nested-task", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Code == Code.Popfq, NestedTask)),
        new("restored-tags", static (TestCase _, in Instruction i, ref CaseResult result) => FlipTag(ref result, i.Mnemonic == Mnemonic.Fxrstor)),
        new("saved-words", static (TestCase test, in Instruction i, ref CaseResult result) => FlipMemory(test, i, result, i.Mnemonic == Mnemonic.Fnsave, 4)),
        new("state-header", static (TestCase test, in Instruction i, ref CaseResult result) => FlipMemory(test, i, result, i.Mnemonic == Mnemonic.Xsavec, 520)),
        new("restored-upper-half", static (TestCase _, in Instruction i, ref CaseResult result) => FlipVector(ref result, i.Mnemonic == Mnemonic.Xrstor)),
        new("interrupt-error-code", static (TestCase _, in Instruction i, ref CaseResult result) => result.ErrorCode ^= i.Mnemonic == Mnemonic.Int && result.Vector == GeneralProtection ? 1u : 0),
        new("interrupt-address", static (TestCase _, in Instruction i, ref CaseResult result) => result.Rip -= i.Mnemonic == Mnemonic.Int3 && result.Vector == 3 ? 1u : 0),
        new("null-stack", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Code == Code.Mov_Sreg_rm16 && i.Op0Register == Register.SS && result.Vector == GeneralProtection && result.ErrorCode == 0, ref result)),
        new("loaded-selector", static (TestCase _, in Instruction i, ref CaseResult result) =>
        {
            const int fs = 4;
            result.Segments[fs] = i.Mnemonic == Mnemonic.Lfs && result.Vector == CaseResult.None ? result.Segments[fs] with { Selector = 0 } : result.Segments[fs];
        }),
        new("port-privilege", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Code == Code.In_AL_DX && result.Vector == GeneralProtection, ref result)),
        new("access-rights", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Mnemonic == Mnemonic.Lar, Zero)),
        new("carry-over-boundary", static (TestCase test, in Instruction i, ref CaseResult result) => Flip(ref result, test.Lengths.Count > 1 && i.Mnemonic is Mnemonic.Inc or Mnemonic.Dec, Carry)) { Sequence = 8 },
        new("loop-round", static (TestCase test, in Instruction _, ref CaseResult result) =>
            result.State.General[SequenceGenerator.LoopCounter] += test.Counter == SequenceGenerator.LoopCounter && result.Vector == CaseResult.None ? 1UL : 0) { Sequence = 8, Jumps = 4 },
        new("loop-flags", static (TestCase test, in Instruction _, ref CaseResult result) => Flip(ref result, test.Counter == SequenceGenerator.OwnCounter, Sign)) { Sequence = 8, Jumps = 4 },
        new("pushed-return", static (TestCase test, in Instruction _, ref CaseResult result) =>
        {
            const int pushed = 8;
            if (test.HasJumps && result.Vector == CaseResult.None && result.State.General[4] == test.State.General[4] && test.Split().Exists(static c => c is [0xe8, _, _, _, _]))
            {
                Arena.Bytes[(int)(result.State.General[4] - pushed - Arena.Data)] ^= 1;
            }
        }) { Sequence = 8, Jumps = 4 },
        new("decimal-carry", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Mnemonic == Mnemonic.Daa, Carry)) { Bits = 32 },
        new("segment-limit", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Code == Code.Add_rm32_r32 && result.Vector == GeneralProtection, ref result)) { Bits = 32 },
        new("accessed-bit", static (TestCase _, in Instruction i, ref CaseResult result) => result.Accessed = i.Mnemonic == Mnemonic.Mov ? (ushort)0 : result.Accessed) { Bits = 32 },
        new("loaded-limit", static (TestCase test, in Instruction i, ref CaseResult result) =>
        {
            if (i.Mnemonic == Mnemonic.Les && result.Vector == CaseResult.None)
            {
                result.Segments[SegmentValues.Es] = result.Segments[SegmentValues.Es] with { Limit = test.Segments[SegmentValues.Es].Limit };
            }
        }) { Bits = 32 },
        new("selector-error-code", static (TestCase _, in Instruction i, ref CaseResult result) => result.ErrorCode |= i.Mnemonic == Mnemonic.Lfs && result.Vector == GeneralProtection && result.ErrorCode != 0 ? 3u : 0) { Bits = 32 },
        new("saved-stack-pointer", static (TestCase test, in Instruction i, ref CaseResult result) =>
        {
            if (i.Mnemonic == Mnemonic.Pushad && result.Vector == CaseResult.None)
            {
                const int place = 12;
                uint address = (uint)result.State.General[4] + test.Segments[SegmentValues.Ss].Base + place;
                if (address - (uint)Arena.Data < Arena.DataSize)
                {
                    Arena.Bytes[(int)(address - (uint)Arena.Data)] ^= 1;
                }
            }
        }) { Bits = 32 },
        new("bound-range", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Mnemonic == Mnemonic.Bound && result.Vector == 5, ref result)) { Bits = 16 },
        new("address-wrap", static (TestCase _, in Instruction i, ref CaseResult result) => result.State.General[0] |= i.Code == Code.Lea_r32_m && i.Op0Register == Register.EAX && i.MemoryBase == Register.BX ? 0x1_0000UL : 0) { Bits = 16 },
        new("stack-fault", static (TestCase _, in Instruction i, ref CaseResult result) => result.Vector = i.Code == Code.Push_r16 && result.Vector == 12 ? GeneralProtection : result.Vector) { Bits = 16 },
        new("loop-counter", static (TestCase test, in Instruction i, ref CaseResult result) =>
            result.State.General[1] -= i.Mnemonic == Mnemonic.Loop && result.Vector == CaseResult.None && (ushort)test.State.General[1] == 0 && test.State.General[1] >= 0x1_0000 ? 0x1_0000UL : 0) { Bits = 16 },
        new("jump-limit", static (TestCase _, in Instruction i, ref CaseResult result) => result.Vector = i.Code == Code.Je_rel16 && result.Vector == GeneralProtection ? CaseResult.None : result.Vector) { Bits = 16 },
        new("popped-flags", static (TestCase _, in Instruction i, ref CaseResult result) => Flip(ref result, i.Code == Code.Popfw, Direction)) { Bits = 16 },
        new("real-segment-base", static (TestCase _, in Instruction i, ref CaseResult result) =>
        {
            if (i.Mnemonic == Mnemonic.Les && result.Vector == CaseResult.None)
            {
                result.Segments[SegmentValues.Es] = result.Segments[SegmentValues.Es] with { Base = result.Segments[SegmentValues.Es].Base ^ 0x10 };
            }
        }) { Bits = 16, Mode = CodeMode.Real },
        new("real-interrupt-flags", static (TestCase _, in Instruction i, ref CaseResult result) => result.State.Flags |= i.Mnemonic == Mnemonic.Int && result.Vector == CaseResult.None ? 0x200UL : 0) { Bits = 16, Mode = CodeMode.Real },
        new("real-limit", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Code == Code.Add_rm16_r16 && result.Vector == GeneralProtection, ref result)) { Bits = 16, Mode = CodeMode.Real },
        new("v86-privilege", static (TestCase test, in Instruction i, ref CaseResult result) => Pass(test, i.Code == Code.Pushfw && result.Vector == GeneralProtection, ref result)) { Bits = 16, Mode = CodeMode.V86 },
        new("v86-loaded-limit", static (TestCase _, in Instruction i, ref CaseResult result) =>
        {
            if (i.Code == Code.Mov_Sreg_rm16 && i.Op0Register == Register.ES && result.Vector == CaseResult.None)
            {
                result.Segments[SegmentValues.Es] = result.Segments[SegmentValues.Es] with { Limit = uint.MaxValue };
            }
        }) { Bits = 16, Mode = CodeMode.V86 },
    ];

    private readonly Change _change;

    private Mutation(string name, Change change)
    {
        Name = name;
        _change = change;
    }

    public delegate void Change(TestCase test, in Instruction i, ref CaseResult result);

    public static IEnumerable<string> Names => All.Select(static m => m.Name);

    public string Name { get; }

    /// <summary>Size of the code that it shows in.</summary>
    public int Bits { get; private init; } = 64;

    /// <summary>Mode that it shows in.</summary>
    public CodeMode Mode { get; private init; }

    /// <summary>Most instructions of the sequences that it shows in, or 0.</summary>
    public int Sequence { get; private init; }

    /// <summary>Most jumps of these, or 0.</summary>
    public int Jumps { get; private init; }

    public static Mutation? Find(string name) => Array.Find(All, m => m.Name == name);

    public void Apply(TestCase test, in Instruction i, ref CaseResult result) => _change(test, i, ref result);

    private static void Pass(TestCase test, bool applies, ref CaseResult result)
    {
        if (applies)
        {
            result.Vector = CaseResult.None;
            result.Rip += (ulong)test.Length;
        }
    }

    private static void FlipTag(ref CaseResult result, bool applies)
    {
        const int tags = 4;
        fixed (byte* x87 = result.State.X87)
        {
            x87[tags] ^= applies && result.Vector == CaseResult.None ? (byte)1 : (byte)0;
        }
    }

    private static void FlipVector(ref CaseResult result, bool applies)
    {
        const int upper = 16;
        fixed (byte* vectors = result.State.Vectors)
        {
            vectors[upper] ^= applies && result.Vector == CaseResult.None ? (byte)1 : (byte)0;
        }
    }

    private static void FlipMemory(TestCase test, in Instruction i, in CaseResult result, bool applies, int offset)
    {
        if (applies && result.Vector == CaseResult.None && UndefinedResults.Address(test, i) + (ulong)offset - Arena.Data is < Arena.DataSize and var at)
        {
            Arena.Bytes[(int)at] ^= 1;
        }
    }

    private static void Flip(ref CaseResult result, bool applies, ulong flag) => result.State.Flags ^= applies && result.Vector == CaseResult.None ? flag : 0;
}
