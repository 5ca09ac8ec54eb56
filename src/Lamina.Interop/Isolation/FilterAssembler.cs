namespace Lamina.Interop.Isolation;

/// <summary>
/// Writes a filter of system calls in classic BPF: the instructions of Linux's Documentation/networking/filter.rst, over the fields of struct seccomp_data. Jumps go forwards alone, and over
/// at most 255 instructions where they have a condition, so a far one is a short one over an unconditional one.
/// </summary>
internal sealed class FilterAssembler
{
    private const ushort LoadWord = 0x20;
    private const ushort And = 0x54;
    private const ushort Jump = 0x05;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfNotLess = 0x35;
    private const ushort ReturnValue = 0x06;
    private const uint CallOffset = 0;
    private const uint ArchitectureOffset = 4;
    private const uint FirstArgumentOffset = 16;
    private const uint ArgumentLength = 8;

    // AUDIT_ARCH_X86_64; calls of the x32 convention have this bit.
    private const uint Architecture = 0xc000003e;
    private const uint OtherConvention = 0x40000000;
    private const uint AllowAction = 0x7fff0000;
    private const uint ErrorAction = 0x00050000;
    private const uint NotifyAction = 0x7fc00000;
    private const uint KillProcessAction = 0x80000000;
    private const uint NotPermitted = 1;
    private const uint NoSuchCall = 38;
    private readonly List<FilterInstruction> _code = new(1024);

    /// <summary>Ends the process for calls of another convention (32-bit, x32), whose numbers mean others, and loads the call's number.</summary>
    internal void BeginCalls()
    {
        Add(LoadWord, ArchitectureOffset);
        AddJump(JumpIfEqual, Architecture, 1, 0);
        Return(SystemCallVerdict.Kill);
        Add(LoadWord, CallOffset);
        AddJump(JumpIfNotLess, OtherConvention, 0, 1);
        Return(SystemCallVerdict.Kill);
    }

    /// <summary>Finds the part that the number in the accumulator belongs to, by halving.</summary>
    /// <param name="parts">The parts, in ascending order from 0; at least one.</param>
    /// <param name="conditions">Those of the calls that are allowed with certain arguments.</param>
    internal void Choose(ReadOnlySpan<FilterPart> parts, List<ConditionalCall> conditions)
    {
        if (parts.Length == 1)
        {
            if (parts[0].Verdict is { } verdict)
            {
                Return(verdict);
            }
            else
            {
                ReturnIf(parts[0].First, conditions, SystemCallVerdict.Refuse);
            }

            return;
        }

        int middle = parts.Length / 2;
        AddJump(JumpIfNotLess, (uint)parts[middle].First, 0, 1);
        int far = _code.Count;
        Add(Jump, 0);
        Choose(parts[..middle], conditions);
        _code[far] = new FilterInstruction(Jump, 0, 0, (uint)(_code.Count - far - 1));
        Choose(parts[middle..], conditions);
    }

    /// <summary>Ends with a verdict.</summary>
    internal void Return(SystemCallVerdict verdict) => Add(ReturnValue, verdict switch
    {
        SystemCallVerdict.Allow => AllowAction,
        SystemCallVerdict.Refuse => ErrorAction | NotPermitted,
        SystemCallVerdict.Missing => ErrorAction | NoSuchCall,
        _ => KillProcessAction,
    });

    /// <summary>Allows the call if all conditions of one list hold, and ends with a verdict otherwise.</summary>
    private void ReturnIf(int call, List<ConditionalCall> conditions, SystemCallVerdict otherwise)
    {
        foreach (ConditionalCall condition in conditions)
        {
            if (condition.Call != call)
            {
                continue;
            }

            ArgumentCheck[] list = condition.Checks;

            // To the next list, over the rest of this one: three instructions a condition, and the return.
            for (int i = 0; i < list.Length; i++)
            {
                Add(LoadWord, FirstArgumentOffset + ((uint)list[i].Index * ArgumentLength));
                Add(And, list[i].Mask);
                AddJump(JumpIfEqual, list[i].Value, 0, (byte)((3 * (list.Length - i - 1)) + 1));
            }

            Return(SystemCallVerdict.Allow);
        }

        Return(otherwise);
    }

    /// <summary>Has whoever listens decide about a call whose arguments fulfil all conditions; all others are made.</summary>
    internal void Notify(SystemCall call, ArgumentCheck[] checks)
    {
        Add(LoadWord, CallOffset);
        AddJump(JumpIfEqual, (uint)call, 0, (byte)((3 * checks.Length) + 1));
        for (int i = 0; i < checks.Length; i++)
        {
            Add(LoadWord, FirstArgumentOffset + ((uint)checks[i].Index * ArgumentLength));
            Add(And, checks[i].Mask);
            AddJump(JumpIfEqual, checks[i].Value, 0, (byte)((3 * (checks.Length - i - 1)) + 1));
        }

        Add(ReturnValue, NotifyAction);
        Return(SystemCallVerdict.Allow);
    }

    internal FilterInstruction[] ToArray() => [.. _code];

    private void Add(ushort code, uint value) => _code.Add(new FilterInstruction(code, 0, 0, value));

    private void AddJump(ushort code, uint value, byte ifTrue, byte ifFalse) => _code.Add(new FilterInstruction(code, ifTrue, ifFalse, value));
}
