using Iced.Intel;

namespace Lamina.Verify;

/// <summary>A wrong interpreter, for proof that wrong ones are found: what it did is changed before it is compared.</summary>
internal sealed unsafe class Mutation
{
    private const ulong Carry = 1;
    private const ulong Auxiliary = 0x10;
    private const ulong Sign = 0x80;
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

    public static Mutation? Find(string name) => Array.Find(All, m => m.Name == name);

    public void Apply(TestCase test, in Instruction i, ref CaseResult result) => _change(test, i, ref result);

    private static void Flip(ref CaseResult result, bool applies, ulong flag) => result.State.Flags ^= applies && result.Vector == CaseResult.None ? flag : 0;
}
