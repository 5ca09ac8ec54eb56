using Iced.Intel;
using Lamina.SoftCpu;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.Verify.Privileged;

/// <summary>
/// A software CPU that keeps what it should have dropped, for proof that such ones are found: an instruction of a program does all that it is to do but for that. The instruction is VMCALL then,
/// whose hypercall does it on the processor's own state, so that what follows meets real stale translations, under the interpreter and the translator.
/// </summary>
internal sealed unsafe class ProgramMutation
{
    private const ulong Paging = 1UL << 31;
    private const ulong WriteProtect = 1 << 16;
    private const ulong GlobalPages = 1 << 7;
    private const ulong Smep = 1 << 20;
    private const ulong Smap = 1 << 21;
    private const ulong PhysicalExtension = 1 << 5;
    private const ulong KeepBit = 1UL << 63;
    private const ulong IdentifierBits = 0xfff;
    private const int Gs = SegmentRegister.Gs;

    private static readonly ProgramMutation[] All =
    [
        new("system-stale-page", static e => e.Instruction.Mnemonic == Mnemonic.Invlpg, static (_, _) => { }),
        new("system-stale-space", static e => IsControl(e, Register.CR3) && (e.ChangedCr3 & IdentifierBits) == 0, static (c, i) => LoadSpace(c, Operand(c, i))),
        new("system-stale-identifier", static e => IsControl(e, Register.CR3) && (e.ChangedCr3 & IdentifierBits) != 0, static (c, i) => LoadSpace(c, Operand(c, i))),
        new("system-stale-identifiers", static e => e.Instruction.Mnemonic == Mnemonic.Invpcid, static (_, _) => { }),
        new("system-stale-global", static e => IsControl(e, Register.CR4) && (e.ChangedCr4 & GlobalPages) != 0, static (c, i) => LoadCr4(c, Operand(c, i))),
        new("system-stale-smep", static e => IsControl(e, Register.CR4) && e.ChangedCr4 == Smep, static (c, i) => LoadCr4(c, Operand(c, i))),
        new("system-stale-smap", static e => IsControl(e, Register.CR4) && e.ChangedCr4 == Smap, static (c, i) => LoadCr4(c, Operand(c, i))),
        new("system-stale-write-protection", static e => IsControl(e, Register.CR0) && e.ChangedCr0 == WriteProtect, static (c, i) => LoadCr0(c, Operand(c, i))),
        new("system-stale-paging", static e => IsControl(e, Register.CR0) && (e.ChangedCr0 & Paging) != 0, static (c, i) => LoadCr0(c, Operand(c, i))),
        new("system-stale-access-control", static e => e.Instruction.Mnemonic is Mnemonic.Stac or Mnemonic.Clac, static (c, i) =>
            c->SystemFlags = i.Mnemonic == Mnemonic.Stac ? c->SystemFlags | Flags.AlignmentCheck : c->SystemFlags & ~Flags.AlignmentCheck),
        new("system-stale-base", static e => e.Instruction.Mnemonic == Mnemonic.Swapgs, static (c, _) => (c->KernelGsBase, c->Segments[Gs].Base) = (c->Segments[Gs].Base, c->KernelGsBase)),
        new("system-stale-code") { KeepsCode = true },
    ];

    private readonly Func<ExecutedInstruction, bool> _matches;

    private ProgramMutation(string name, Func<ExecutedInstruction, bool>? matches = null, Effect? execute = null)
    {
        Name = name;
        _matches = matches ?? (static _ => false);
        Execute = execute;
    }

    /// <summary>What an instruction does.</summary>
    public delegate void Effect(ProcessorContext* c, Instruction i);

    public static IEnumerable<string> Names => All.Select(static m => m.Name);

    public string Name { get; }

    public Effect? Execute { get; }

    /// <summary>Writes to code leave what was made of it.</summary>
    public bool KeepsCode { get; private init; }

    public static ProgramMutation? Find(string name) => Array.Find(All, m => m.Name == name);

    public bool Matches(in ExecutedInstruction executed) => _matches(executed);

    private static bool IsControl(in ExecutedInstruction e, Register register) => e.Instruction.Mnemonic == Mnemonic.Mov && e.Instruction.Op0Register == register;

    private static ulong Operand(ProcessorContext* c, in Instruction i)
    {
        ulong value = c->Registers[i.Op1Register.GetFullRegister() - Register.RAX];
        return c->CodeSize == 8 ? value : (uint)value;
    }

    private static void LoadSpace(ProcessorContext* c, ulong value)
    {
        c->Cr3 = value & ~KeepBit;
        LoadPointers(c);
    }

    private static void LoadPointers(ProcessorContext* c)
    {
        if ((c->Cr0 & Paging) != 0 && (c->Cr4 & PhysicalExtension) != 0 && !c->LongMode)
        {
            SoftwareProcessor.Of(c).LoadPageDirectoryPointers(c->Cr3);
        }
    }

    private static void LoadCr4(ProcessorContext* c, ulong value)
    {
        c->Cr4 = value;
        LoadPointers(c);
        ProcessorMode.Update(c);
    }

    private static void LoadCr0(ProcessorContext* c, ulong value)
    {
        c->Cr0 = value;
        LoadPointers(c);
        ProcessorMode.Update(c);
    }
}
