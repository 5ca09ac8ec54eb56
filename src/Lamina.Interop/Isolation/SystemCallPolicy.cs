namespace Lamina.Interop.Isolation;

/// <summary>
/// Which system calls threads may make: a list of those that are allowed, some of them with certain arguments alone, and of those that end the process, because nothing but an attack makes
/// them. All others fail with EPERM, and those that this list does not know, because the kernel is newer, with ENOSYS, as if the kernel were older.
/// </summary>
public sealed class SystemCallPolicy
{
    private const int FirstUnknown = 450;
    private readonly SortedDictionary<int, List<ArgumentCheck[]>> _allowed = [];
    private readonly SortedSet<int> _fatal = [];
    private readonly SortedSet<int> _missing = [];

    /// <summary>Allows calls with any arguments.</summary>
    public SystemCallPolicy Allow(params ReadOnlySpan<SystemCall> calls)
    {
        foreach (SystemCall call in calls)
        {
            _allowed[(int)call] = [[]];
        }

        return this;
    }

    /// <summary>Allows a call whose arguments fulfil all conditions. Given several times for a call, one list of them is enough.</summary>
    public SystemCallPolicy AllowWhere(SystemCall call, params ReadOnlySpan<ArgumentCheck> checks)
    {
        if (!_allowed.TryGetValue((int)call, out List<ArgumentCheck[]>? lists))
        {
            _allowed.Add((int)call, lists = []);
        }

        lists.Add(checks.ToArray());
        return this;
    }

    /// <summary>Takes calls back that were allowed.</summary>
    public SystemCallPolicy Refuse(params ReadOnlySpan<SystemCall> calls)
    {
        foreach (SystemCall call in calls)
        {
            _allowed.Remove((int)call);
        }

        return this;
    }

    /// <summary>Has calls end the process.</summary>
    public SystemCallPolicy Kill(params ReadOnlySpan<SystemCall> calls)
    {
        foreach (SystemCall call in calls)
        {
            _allowed.Remove((int)call);
            _fatal.Add((int)call);
        }

        return this;
    }

    /// <summary>Has calls fail with ENOSYS, so that the C library uses older ones, whose arguments can be seen.</summary>
    public SystemCallPolicy Hide(params ReadOnlySpan<SystemCall> calls)
    {
        foreach (SystemCall call in calls)
        {
            _allowed.Remove((int)call);
            _missing.Add((int)call);
        }

        return this;
    }

    /// <summary>What becomes of a call, by the rules themselves. The filter must come to the same.</summary>
    public SystemCallVerdict Decide(int call, ReadOnlySpan<ulong> arguments)
    {
        if (_fatal.Contains(call))
        {
            return SystemCallVerdict.Kill;
        }

        if (_allowed.TryGetValue(call, out List<ArgumentCheck[]>? lists))
        {
            foreach (ArgumentCheck[] list in lists)
            {
                bool holds = true;
                foreach (ArgumentCheck check in list)
                {
                    holds &= ((uint)arguments[check.Index] & check.Mask) == check.Value;
                }

                if (holds)
                {
                    return SystemCallVerdict.Allow;
                }
            }
        }

        return _missing.Contains(call) || call >= FirstUnknown ? SystemCallVerdict.Missing : SystemCallVerdict.Refuse;
    }

    /// <summary>Makes the filter.</summary>
    public SystemCallFilter Build()
    {
        FilterAssembler assembler = new();
        assembler.BeginCalls();

        // Calls in order, where the verdict changes; a call with conditions stands alone.
        List<(int First, Action Emit)> parts = [];
        SystemCallVerdict? current = null;
        for (int call = 0; call < FirstUnknown + 64; call++)
        {
            if (_allowed.TryGetValue(call, out List<ArgumentCheck[]>? lists) && !lists.Exists(static l => l.Length == 0))
            {
                parts.Add((call, () => assembler.ReturnIf(lists, SystemCallVerdict.Refuse)));
                current = null;
                continue;
            }

            SystemCallVerdict verdict = Decide(call, []);
            if (verdict != current)
            {
                parts.Add((call, () => assembler.Return(verdict)));
                current = verdict;
            }
        }

        assembler.Choose(parts);
        return new SystemCallFilter(assembler.ToArray());
    }
}
