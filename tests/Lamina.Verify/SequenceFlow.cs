using Iced.Intel;

namespace Lamina.Verify;

/// <summary>Where the instructions of a sequence go on, and what that says of status flags: which are undefined at its end, and which nobody looks at any more.</summary>
internal sealed class SequenceFlow
{
    private const ulong Status = 0x8d5;
    private readonly List<Step> _steps = [];
    private readonly List<int> _starts = [];

    /// <summary>Looks at a sequence's instructions.</summary>
    /// <param name="test">The sequence; the flags of which nothing is known are put there.</param>
    /// <param name="decoder">What decodes as if each were the first.</param>
    /// <returns>Whether no instruction looks at an undefined flag, and each jump is to one of them or their end.</returns>
    public bool Look(TestCase test, ICaseSource decoder)
    {
        _steps.Clear();
        _starts.Clear();
        int at = 0;
        foreach (int length in test.Lengths)
        {
            _starts.Add(at);
            at += length;
        }

        _starts.Add(at);
        bool known = true;
        test.HasJumps = false;
        for (int n = 0; n < test.Lengths.Count; n++)
        {
            Instruction i = decoder.Decode(test.Code.AsSpan(_starts[n], test.Lengths[n]));
            int target = FindTarget(i, _starts[n]);
            known &= i.Op0Kind != OpKind.NearBranch64 || target >= 0;
            test.HasJumps |= i.FlowControl != FlowControl.Next;

            // A count of zero leaves all flags as they are.
            bool always = !i.HasRepPrefix && !i.HasRepnePrefix
                && i.Mnemonic is not (Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr);
            _steps.Add(new Step(Flags(i.RflagsRead), Flags(i.RflagsWritten | i.RflagsCleared | i.RflagsSet), UndefinedResults.Flags(i), always, target, i.FlowControl, i.Mnemonic));
        }

        return FindUndefined(test) && known && FindDead(test) && IsBounded(test);
    }

    /// <summary>The status flags among some.</summary>
    public static ulong Flags(RflagsBits bits)
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

    // Index of the instruction that a near branch leads to, or of the end; -1: none.
    private int FindTarget(in Instruction i, int start)
    {
        if (i.Op0Kind != OpKind.NearBranch64)
        {
            return -1;
        }

        return _starts.IndexOf((int)(long)(i.NearBranch64 - Arena.Slot) + start);
    }

    // One loop at most, which counts down: LOOP, or DEC R14D and JNE, which nothing jumps between. Calls lead forwards, so that none is of itself.
    private bool IsBounded(TestCase test)
    {
        test.Counter = -1;
        bool calls = false;
        for (int n = 0; n < _steps.Count; n++)
        {
            Step s = _steps[n];
            calls |= s.Flow == FlowControl.Call;
            if (s.Flow == FlowControl.Return && !calls)
            {
                return false;
            }

            if (s.Target < 0 || s.Target > n)
            {
                continue;
            }

            bool counts = n > 0 && test.Code.AsSpan(_starts[n - 1], test.Lengths[n - 1]).SequenceEqual(SequenceGenerator.CountDown) && !_steps.Exists(other => other.Target == n);
            int counter = s.Mnemonic switch { Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne => SequenceGenerator.LoopCounter, Mnemonic.Jne when counts => SequenceGenerator.OwnCounter, _ => -1 };
            if (counter < 0 || test.Counter >= 0)
            {
                return false;
            }

            test.Counter = counter;
        }

        return true;
    }

    // Until nothing more is found.
    private bool FindUndefined(TestCase test)
    {
        ulong[] before = new ulong[_steps.Count + 1];
        bool changes = true;
        while (changes)
        {
            changes = false;
            for (int n = 0; n < _steps.Count; n++)
            {
                Step s = _steps[n];
                ulong after = (s.Always ? before[n] & ~s.Written : before[n]) | s.Undefined;
                foreach (int next in Next(n))
                {
                    changes |= (after & ~before[next]) != 0;
                    before[next] |= after;
                }
            }
        }

        test.UndefinedFlags = before[^1];
        test.UndefinedAtFault = 0;
        bool known = true;
        for (int n = 0; n < _steps.Count; n++)
        {
            test.UndefinedAtFault |= _steps[n].Undefined;
            known &= (_steps[n].Read & before[n]) == 0;
        }

        return known;
    }

    private bool FindDead(TestCase test)
    {
        ulong[] live = new ulong[_steps.Count + 1];
        live[^1] = Status;
        bool changes = true;
        while (changes)
        {
            changes = false;
            for (int n = _steps.Count - 1; n >= 0; n--)
            {
                ulong needed = 0;
                foreach (int next in Next(n))
                {
                    needed |= live[next];
                }

                ulong now = _steps[n].Read | (needed & ~(_steps[n].Written | _steps[n].Undefined));
                changes |= now != live[n];
                live[n] = now;
            }
        }

        test.DeadFlags.Clear();
        for (int n = 0; n < _steps.Count; n++)
        {
            test.DeadFlags.Add(Status & ~live[n]);
        }

        return true;
    }

    // A return may go on behind any call.
    private IEnumerable<int> Next(int n)
    {
        Step s = _steps[n];
        if (s.Flow == FlowControl.Return)
        {
            for (int call = 0; call < _steps.Count; call++)
            {
                if (_steps[call].Flow == FlowControl.Call)
                {
                    yield return call + 1;
                }
            }

            yield break;
        }

        if (s.Target >= 0)
        {
            yield return s.Target;
        }

        if (s.Flow is not (FlowControl.UnconditionalBranch or FlowControl.Call))
        {
            yield return n + 1;
        }
    }

    private readonly record struct Step(ulong Read, ulong Written, ulong Undefined, bool Always, int Target, FlowControl Flow, Mnemonic Mnemonic);
}
