namespace Lamina.Interop.Isolation;

/// <summary>
/// Which system calls threads may make: a list of those that are allowed, some of them with certain arguments alone, and of those that end the process, because nothing but an attack makes
/// them. All others fail with EPERM, and those that this list does not know, because the kernel is newer, with ENOSYS, as if the kernel were older.
/// </summary>
public sealed class SystemCallPolicy
{
    private const int FirstUnknown = 450;
    private readonly Rules[] _rules = new Rules[FirstUnknown + 64];
    private readonly List<ConditionalCall> _conditions = new(64);

    // A filter is made whenever a machine starts, so little is allocated for it.
    [Flags]
    private enum Rules : byte
    {
        None = 0,
        Allowed = 1,
        AllowedWhere = 2,
        Fatal = 4,
        Missing = 8,
    }

    /// <summary>Allows calls with any arguments.</summary>
    public SystemCallPolicy Allow(params ReadOnlySpan<SystemCall> calls)
    {
        foreach (SystemCall call in calls)
        {
            _rules[(int)call] |= Rules.Allowed;
        }

        return this;
    }

    /// <summary>Allows a call whose arguments fulfil all conditions. Given several times for a call, one list of them is enough.</summary>
    public SystemCallPolicy AllowWhere(SystemCall call, params ReadOnlySpan<ArgumentCheck> checks)
    {
        _rules[(int)call] |= Rules.AllowedWhere;
        _conditions.Add(new ConditionalCall((int)call, checks.ToArray()));
        return this;
    }

    /// <summary>Takes calls back that were allowed.</summary>
    public SystemCallPolicy Refuse(params ReadOnlySpan<SystemCall> calls) => Withdraw(calls, Rules.None);

    /// <summary>Has calls end the process.</summary>
    public SystemCallPolicy Kill(params ReadOnlySpan<SystemCall> calls) => Withdraw(calls, Rules.Fatal);

    /// <summary>Has calls fail with ENOSYS, so that the C library uses older ones, whose arguments can be seen.</summary>
    public SystemCallPolicy Hide(params ReadOnlySpan<SystemCall> calls) => Withdraw(calls, Rules.Missing);

    /// <summary>What becomes of a call, by the rules themselves. The filter must come to the same.</summary>
    public SystemCallVerdict Decide(int call, ReadOnlySpan<ulong> arguments)
    {
        Rules rules = (uint)call < (uint)_rules.Length ? _rules[call] : Rules.None;
        if ((rules & Rules.Fatal) != 0)
        {
            return SystemCallVerdict.Kill;
        }

        if ((rules & Rules.Allowed) != 0 || ((rules & Rules.AllowedWhere) != 0 && Fulfils(call, arguments)))
        {
            return SystemCallVerdict.Allow;
        }

        return (rules & Rules.Missing) != 0 || call >= FirstUnknown ? SystemCallVerdict.Missing : SystemCallVerdict.Refuse;
    }

    /// <summary>Makes the filter.</summary>
    public SystemCallFilter Build()
    {
        FilterAssembler assembler = new();
        assembler.BeginCalls();

        // Calls in order, where the verdict changes; a call with conditions stands alone.
        Span<FilterPart> parts = stackalloc FilterPart[_rules.Length];
        int count = 0;
        SystemCallVerdict? current = null;
        for (int call = 0; call < _rules.Length; call++)
        {
            if ((_rules[call] & (Rules.Allowed | Rules.AllowedWhere | Rules.Fatal)) == Rules.AllowedWhere)
            {
                parts[count++] = new FilterPart(call, null);
                current = null;
                continue;
            }

            SystemCallVerdict verdict = Decide(call, []);
            if (verdict != current)
            {
                parts[count++] = new FilterPart(call, verdict);
                current = verdict;
            }
        }

        assembler.Choose(parts[..count], _conditions);
        return new SystemCallFilter(assembler.ToArray());
    }

    private SystemCallPolicy Withdraw(ReadOnlySpan<SystemCall> calls, Rules instead)
    {
        foreach (SystemCall call in calls)
        {
            if ((_rules[(int)call] & Rules.AllowedWhere) != 0)
            {
                _conditions.RemoveAll(c => c.Call == (int)call);
            }

            _rules[(int)call] = (_rules[(int)call] & ~(Rules.Allowed | Rules.AllowedWhere)) | instead;
        }

        return this;
    }

    private bool Fulfils(int call, ReadOnlySpan<ulong> arguments)
    {
        foreach (ConditionalCall condition in _conditions)
        {
            bool holds = condition.Call == call;
            for (int i = 0; holds && i < condition.Checks.Length; i++)
            {
                ArgumentCheck check = condition.Checks[i];
                holds = ((uint)arguments[check.Index] & check.Mask) == check.Value;
            }

            if (holds)
            {
                return true;
            }
        }

        return false;
    }
}
