using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>A software CPU that is wrong in privileged matters, for proof that wrong ones are found: what it did is changed before it is compared.</summary>
internal sealed class SystemMutation
{
    private const int Sp = 4;
    private const uint Interrupt = 0x200;
    private const uint IoPrivilege = 0x3000;
    private const uint NestedTask = 0x4000;
    private const int TablesEnd = SystemLayout.Idt;

    private static readonly SystemMutation[] All =
    [
        new("system-load-privilege", static c => c.Pass(c.Is(Mnemonic.Mov) && c.Instruction.Op0Register is Register.DS && c.Vector == 13)),
        new("system-accessed-bit", static c => c.RestoreTables(c.Instruction.Op0Register.IsSegmentRegister() && c.Is(Mnemonic.Mov) && c.Vector == CaseResult.None)),
        new("system-loaded-limit", static c =>
        {
            if (c.Is(Mnemonic.Lfs) && c.Vector == CaseResult.None)
            {
                c.After.Segments[MachineImage.Fs] = c.After.Segments[MachineImage.Fs] with { Limit = c.After.Segments[MachineImage.Fs].Limit ^ 0xfff };
            }
        }),
        new("system-alignment-check", static c => c.Pass(c.Vector == 17)),
        new("system-access-rights", static c => c.After.Flags ^= c.Is(Mnemonic.Lar) && c.Vector == CaseResult.None ? 0x40u : 0),
        new("system-error-code", static c => c.FlipPushed(c.Vector is 10 or 11 or 13, 0)),
        new("system-external-bit", static c => c.FlipPushed(c.Vector == 6 && c.Handler is 10 or 11 or 13, 0)),
        new("system-interrupt-return", static c => c.FlipPushed(c.Before[MachineRegister.Event] != 0 && c.Vector == CaseResult.None, 0)),
        new("system-task-priority", static c => c.After[MachineRegister.Cr8] ^= c.Before[MachineRegister.Cr8] != c.After[MachineRegister.Cr8] ? 1UL : 0),
        new("system-return-address", static c => c.FlipPushed(c.Is(Mnemonic.Int) && c.Vector == CaseResult.None, 0)),
        new("system-gate-privilege", static c => c.Pass(c.Is(Mnemonic.Int) && c.Vector == 13)),
        new("system-interrupt-flag", static c => c.After.Flags ^= c.Is(Mnemonic.Int) && c.Vector == CaseResult.None && (c.Before.Flags & Interrupt) != 0 ? Interrupt : 0),
        new("system-interrupt-stack", static c => c.After.General[Sp] -= c.Vector == 14 && c.Before.IsLong && (c.After.General[Sp] & 0xf000) == SystemLayout.InnerStacks ? 0x140UL : 0),
        new("system-stack-slot", static c => c.After.General[Sp] += c.Is(Mnemonic.Call) && c.Vector == CaseResult.None && c.After.Cpl < c.Before.Cpl ? 8UL : 0),
        new("system-old-stack", static c => c.FlipPushed(c.Is(Mnemonic.Call) && c.Vector == CaseResult.None && c.After.Cpl < c.Before.Cpl, c.Before.IsLong ? 16 : 8)),
        new("system-conforming-level", static c =>
        {
            if (c.Is(Mnemonic.Jmp) && c.Vector == CaseResult.None && c.After.Segments[MachineImage.Cs].IsConforming)
            {
                c.After.Cpl = c.After.Segments[MachineImage.Cs].Dpl;
            }
        }),
        new("system-kept-segment", static c =>
        {
            if (c.Instruction.Mnemonic is Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq or Mnemonic.Retf && c.Vector == CaseResult.None && c.After.Cpl > c.Before.Cpl && !c.After.IsVirtual8086)
            {
                c.After.Segments[MachineImage.Es] = c.Before.Segments[MachineImage.Es];
            }
        }),
        new("system-popped-privilege", static c => c.After.Flags ^= c.Is(Mnemonic.Iretd) && c.Vector == CaseResult.None && c.Before.Cpl != 0 ? IoPrivilege : 0),
        new("system-released-bytes", static c => c.After.General[Sp] -= c.Is(Mnemonic.Retf) && c.Instruction.OpCount > 0 && c.After.Cpl > c.Before.Cpl ? c.Instruction.Immediate16 : 0u),
        new("system-return-to-v86", static c => c.After.Flags &= c.Is(Mnemonic.Iretd) && c.After.IsVirtual8086 && !c.Before.IsVirtual8086 ? ~0x2_0000u : ~0u),
        new("system-busy-bit", static c => c.RestoreTables(c.IsTaskSwitch && c.Is(Mnemonic.Jmp))),
        new("system-task-link", static c => c.ChangeTask(c.IsTaskSwitch && c.Is(Mnemonic.Call), 0)),
        new("system-nested-flag", static c => c.After.Flags ^= c.IsTaskSwitch && c.Vector == CaseResult.None && c.Is(Mnemonic.Call) ? NestedTask : 0),
        new("system-task-switched", static c => c.After[MachineRegister.Cr0] &= c.IsTaskSwitch ? ~8UL : ulong.MaxValue),
        new("system-saved-task", static c => c.ChangeOldTask(c.IsTaskSwitch)),
        new("system-double-fault", static c =>
        {
            if (c.Vector == 14 && c.IsShutdown)
            {
                c.IsShutdown = false;
            }
        }),
        new("system-call-mask", static c => c.After.Flags |= c.Is(Mnemonic.Syscall) && c.Vector == CaseResult.None ? Interrupt : 0),
        new("system-return-selector", static c => c.ChangeSelector(c.Instruction.Mnemonic is Mnemonic.Sysret or Mnemonic.Sysretq && c.Vector == CaseResult.None)),
        new("system-enter-flags", static c => c.After.Flags |= c.Is(Mnemonic.Sysenter) && c.Vector == CaseResult.None ? c.Before.Flags & Interrupt : 0),
        new("system-exit-canonical", static c => c.Pass(c.Is(Mnemonic.Sysexitq) && c.Vector == 13)),
        new("system-table-limit", static c => c.After[MachineRegister.GdtLimit] ^= c.Is(Mnemonic.Lgdt) && c.Vector == CaseResult.None ? 1UL : 0),
        new("system-local-table", static c => c.Pass(c.Is(Mnemonic.Lldt) && c.Vector == 13)),
        new("system-task-busy", static c => c.RestoreTables(c.Is(Mnemonic.Ltr))),
        new("system-hidden-register", static c => c.Pass(c.Is(Mnemonic.Str) && c.Vector == 13)),
        new("system-reserved-cr4", static c => c.Pass(c.Is(Mnemonic.Mov) && c.Instruction.Op0Register == Register.CR4 && c.Vector == 13 && c.Before.Cpl == 0)),
        new("system-paging-without-protection", static c => c.Pass(c.Is(Mnemonic.Mov) && c.Instruction.Op0Register == Register.CR0 && c.Vector == 13 && c.Before.Cpl == 0)),
        new("system-long-mode-enable", static c => c.Pass(c.Is(Mnemonic.Wrmsr) && (uint)c.Before.General[1] == 0xc000_0080 && c.Vector == 13 && c.Before.Cpl == 0)),
        new("system-canonical-register", static c => c.Pass(c.Is(Mnemonic.Wrmsr) && (uint)c.Before.General[1] == 0xc000_0102 && c.Vector == 13 && c.Before.Cpl == 0)),
        new("system-debug-detect", static c => c.After[MachineRegister.Dr6] &= c.Vector == 1 ? ~0x2000UL : ulong.MaxValue),
        new("system-port-map", static c => c.Pass(c.Is(Mnemonic.In) && c.Vector == 13)),
        new("system-popped-interrupt-flag", static c => c.After.Flags ^= c.Instruction.Mnemonic is Mnemonic.Popfd or Mnemonic.Popfq && c.Vector == CaseResult.None && c.Before.Cpl > (int)((c.Before.Flags >> 12) & 3) ? Interrupt : 0),
        new("system-swapped-base", static c => c.After[MachineRegister.KernelGsBase] ^= c.Is(Mnemonic.Swapgs) && c.Vector == CaseResult.None ? 1UL : 0),
        new("system-extended-control", static c => c.Pass(c.Is(Mnemonic.Xsetbv) && c.Vector == 13 && c.Before.Cpl == 0)),
    ];

    private readonly Action<MutatedCase> _change;

    private SystemMutation(string name, Action<MutatedCase> change)
    {
        Name = name;
        _change = change;
    }

    public static IEnumerable<string> Names => All.Select(static m => m.Name);

    public string Name { get; }

    public static SystemMutation? Find(string name) => Array.Find(All, m => m.Name == name);

    public void Apply(MachineImage before, in Instruction instruction, int vector, MachineImage after, ref bool isShutdown)
    {
        MutatedCase c = new(before, instruction, vector, after) { IsShutdown = isShutdown };
        _change(c);
        isShutdown = c.IsShutdown;
    }

    private sealed class MutatedCase(MachineImage before, Instruction instruction, int vector, MachineImage after)
    {
        public MachineImage Before => before;

        public MachineImage After => after;

        public Instruction Instruction => instruction;

        public int Vector => vector;

        public bool IsShutdown { get; set; }

        public bool IsTaskSwitch => before.Segments[MachineImage.Task].Selector != after.Segments[MachineImage.Task].Selector && !Is(Mnemonic.Ltr);

        // Where handlers are, their vectors tell.
        public int Handler => after.Rip % SystemLayout.Landing == 0 && (after.Rip & 0xfff) < 0x400 ? (int)(after.Rip & 0xfff) / SystemLayout.Landing : -1;

        public bool Is(Mnemonic mnemonic) => instruction.Mnemonic == mnemonic;

        // A missing fault.
        public void Pass(bool applies)
        {
            if (applies)
            {
                after.CopyFrom(before);
                after.Rip += (ulong)instruction.Length;
                IsShutdown = false;
            }
        }

        public void RestoreTables(bool applies)
        {
            if (applies)
            {
                before.Memory.AsSpan(SystemLayout.Gdt, TablesEnd - SystemLayout.Gdt).CopyTo(after.Memory.AsSpan(SystemLayout.Gdt));
            }
        }

        public void FlipPushed(bool applies, int offset)
        {
            ulong pointer = after.StackSize == 2 ? (ushort)after.General[Sp] : after.General[Sp];
            ulong linear = (after.Is64 ? pointer : after.Segments[MachineImage.Ss].Base + pointer) + (ulong)offset;
            if (applies && (linear & 0xffff) >= SystemLayout.KernelStack)
            {
                after.Memory[(int)linear & 0xffff] ^= 1;
            }
        }

        public void ChangeTask(bool applies, int offset)
        {
            if (applies)
            {
                after.Memory[(int)(after.Segments[MachineImage.Task].Base + (ulong)offset) & 0xffff] ^= 0xff;
            }
        }

        // EAX of the task that was left.
        public void ChangeOldTask(bool applies)
        {
            if (applies)
            {
                SegmentImage old = before.Segments[MachineImage.Task];
                after.Memory[(int)(old.Base + ((old.Attributes & 8) != 0 ? 0x28u : 0x12)) & 0xffff] ^= 1;
            }
        }

        public void ChangeSelector(bool applies)
        {
            if (applies)
            {
                SegmentImage stack = after.Segments[MachineImage.Ss];
                after.Segments[MachineImage.Ss] = stack with { Selector = (ushort)(stack.Selector & ~3) };
            }
        }
    }
}
