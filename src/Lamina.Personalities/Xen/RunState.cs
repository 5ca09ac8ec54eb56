using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>
/// struct vcpu_runstate_info of one processor (xen/include/public/vcpu.h). A processor counts as running but for the time that the host took from it. The structure is given by a linear
/// address and may lie in two pages.
/// </summary>
internal sealed partial class RunState(GuestMemory memory)
{
    /// <summary>Bytes of the structure.</summary>
    internal const int Length = 48;

    private const int EntryTime = 8;
    private const int Times = 16;
    private const ulong UpdateFlag = 1UL << 63;

    private ulong _first;
    private ulong _second;
    private int _split;
    private ulong _entered;
    private ulong _stolenBefore;
    private ulong _takenBefore;

    /// <summary>Whether the guest has asked for it.</summary>
    internal bool IsPlaced => _split != 0;

    internal void Reset() => (_split, _takenBefore) = (0, 0);

    /// <summary>Begins to count.</summary>
    internal void Begin(ulong now, ulong stolen) => (_entered, _stolenBefore, _takenBefore) = (now, stolen, 0);

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

    /// <summary>Fills in the structure.</summary>
    internal void Describe(Span<byte> structure, ulong now, ulong stolen)
    {
        structure[..Length].Clear();
        ulong taken = Math.Min(GetTaken(stolen), now - _entered);
        BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], now);
        BinaryPrimitives.WriteUInt64LittleEndian(structure[Times..], now - _entered - taken);
        BinaryPrimitives.WriteUInt64LittleEndian(structure[(Times + 8)..], taken);
    }

    /// <summary>Writes it.</summary>
    /// <param name="now">The time.</param>
    /// <param name="stolen">What the host took.</param>
    /// <param name="flagged">Whether the guest looks at the flag that says that an update is under way.</param>
    internal void Publish(ulong now, ulong stolen, bool flagged)
    {
        if (!IsPlaced)
        {
            return;
        }

        Span<byte> structure = stackalloc byte[Length];
        Describe(structure, now, stolen);
        if (flagged)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], now | UpdateFlag);
            Write(structure.Slice(EntryTime, sizeof(ulong)), EntryTime);
            Interlocked.MemoryBarrier();
        }

        Write(structure[Times..], Times);
        Interlocked.MemoryBarrier();
        BinaryPrimitives.WriteUInt64LittleEndian(structure[EntryTime..], now);
        Write(structure[..Times], 0);
    }

    private ulong GetTaken(ulong stolen) => _takenBefore + (stolen > _stolenBefore ? stolen - _stolenBefore : 0);

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
