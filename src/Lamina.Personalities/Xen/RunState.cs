using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>
/// struct vcpu_runstate_info of one processor (xen/include/public/vcpu.h): how long it has run, waited for the host, been blocked and been down, since the guest asked first. As in Xen, times are
/// added up when a state ends, and their sum is the time that has passed. The structure is given by a linear address and may lie in two pages. With the domain's lock held.
/// </summary>
/// <remarks>
/// What the host takes is known a few times a second only, and not when it was. It is owed to <see cref="RunStateKind.Runnable"/>, and taken from what is added next to the states in which a thread may have waited
/// for a host processor: running, and blocked, which ends when the thread runs again. So no time ever becomes less.
/// </remarks>
internal sealed partial class RunState(GuestMemory memory)
{
    /// <summary>Bytes of the structure.</summary>
    internal const int Length = 48;

    private const int StateCount = 4;
    private const int EntryTime = 8;
    private const int Times = 16;
    private const ulong UpdateFlag = 1UL << 63;

    private readonly ulong[] _times = new ulong[StateCount];
    private RunStateKind _state;
    private ulong _first;
    private ulong _second;
    private int _split;
    private ulong _entered;
    private ulong _owed;
    private ulong _stolenBefore;

    /// <summary>Whether times are counted: the guest has asked for them.</summary>
    internal bool IsCounting { get; private set; }

    internal void Reset()
    {
        IsCounting = false;
        _split = 0;
        _state = RunStateKind.Running;
        Clear(0, 0);
    }

    /// <summary>Begins to count, unless it does: a structure that is placed again goes on.</summary>
    internal void Begin(ulong now, ulong stolen)
    {
        if (!IsCounting)
        {
            IsCounting = true;
            Clear(now, stolen);
        }
    }

    /// <summary>Places the structure.</summary>
    /// <param name="arguments">The call.</param>
    /// <param name="linear">Its linear address.</param>
    /// <returns><c>false</c> if it is not in RAM.</returns>
    internal bool TryPlace(in CallArguments arguments, ulong linear)
    {
        int split = (int)Math.Min(Length, GuestMemory.PageSize - (linear % GuestMemory.PageSize));
        ulong second = 0;
        if (!arguments.TryTranslate(linear, write: true, out ulong first) || memory.GetHostAddress(first, (uint)split) == 0
            || (split < Length && (!arguments.TryTranslate(linear + (uint)split, write: true, out second) || memory.GetHostAddress(second, (uint)(Length - split)) == 0)))
        {
            return false;
        }

        (_first, _second, _split) = (first, second, split);
        return true;
    }

    /// <summary>The processor does something else from now on.</summary>
    /// <param name="state">What it does.</param>
    /// <param name="now">The time; not used unless times are counted.</param>
    /// <param name="flagged">Whether the guest looks at the flag that says that an update is under way.</param>
    internal void Change(RunStateKind state, ulong now, bool flagged)
    {
        if (IsCounting)
        {
            AddUp(now);
            _state = state;
            Publish(flagged);
        }

        _state = state;
    }

    /// <summary>Counts what the host took. A processor that runs is shown it at once, others when they do again.</summary>
    internal void Update(ulong now, ulong stolen, bool flagged)
    {
        Owe(stolen);
        if (_state == RunStateKind.Running)
        {
            AddUp(now);
            Publish(flagged);
        }
    }

    /// <summary>Fills in the structure, with the time since the present state began.</summary>
    internal void Describe(Span<byte> structure, ulong now, ulong stolen)
    {
        if (!IsCounting)
        {
            // Nobody has asked before: all was spent as it is now.
            IsCounting = true;
            _stolenBefore = stolen;
        }

        Owe(stolen);
        (ulong runnable, ulong present, ulong owed, ulong entered) = (_times[(int)RunStateKind.Runnable], _times[(int)_state], _owed, _entered);
        AddUp(now);
        Fill(structure);
        BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], entered);
        (_times[(int)RunStateKind.Runnable], _times[(int)_state], _owed, _entered) = (runnable, present, owed, entered);
    }

    /// <summary>Writes it, if it has a place.</summary>
    /// <param name="flagged">Whether the guest looks at the flag that says that an update is under way.</param>
    internal void Publish(bool flagged)
    {
        if (_split == 0)
        {
            return;
        }

        Span<byte> structure = stackalloc byte[Length];
        Fill(structure);
        if (flagged)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], _entered | UpdateFlag);
            Write(structure.Slice(EntryTime, sizeof(ulong)), EntryTime);
            Interlocked.MemoryBarrier();
        }

        Write(structure[Times..], Times);
        Interlocked.MemoryBarrier();
        BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], _entered);
        Write(structure[..Times], 0);
    }

    private void Fill(Span<byte> structure)
    {
        structure[..Length].Clear();
        structure[0] = (byte)_state;
        BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], _entered);
        for (int i = 0; i < StateCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(structure[(Times + (i * sizeof(ulong)))..], _times[i]);
        }
    }

    private void Clear(ulong now, ulong stolen)
    {
        Array.Clear(_times);
        (_entered, _owed, _stolenBefore) = (now, 0, stolen);
    }

    private void Owe(ulong stolen)
    {
        _owed += stolen > _stolenBefore ? stolen - _stolenBefore : 0;
        _stolenBefore = stolen;
    }

    // The present state's time ends, and begins anew.
    private void AddUp(ulong now)
    {
        if (now <= _entered)
        {
            return;
        }

        ulong passed = now - _entered;
        ulong paid = _state is RunStateKind.Running or RunStateKind.Blocked ? Math.Min(_owed, passed) : 0;
        _times[(int)RunStateKind.Runnable] += paid;
        _times[(int)_state] += passed - paid;
        _owed -= paid;
        _entered = now;
    }

    private void Write(ReadOnlySpan<byte> bytes, int offset)
    {
        int before = Math.Clamp(_split - offset, 0, bytes.Length);
        memory.TryWrite(_first + (uint)offset, bytes[..before]);
        if (before < bytes.Length)
        {
            memory.TryWrite(_second + (uint)(offset + before - _split), bytes[before..]);
        }
    }
}
