using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>
/// Read-modify-write of a memory operand. Faults come before any change. With a LOCK prefix the operation is atomic towards all processors: by a host
/// compare-exchange in plain memory, else with the machine stopped.
/// </summary>
internal static unsafe class Modify
{
    private const ulong LineMask = 63;

    /// <summary>Applies an operation to the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Memory<TOperation, TWidth>(ProcessorContext* c, Instruction* i, ulong b)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* p = GuestAccess.Writable(c, i->Segment, offset, TWidth.Bytes, out ulong linear, out bool faulted);
        if (p != null)
        {
            TWidth.Write(p, TOperation.Apply<TWidth>(c, TWidth.Read(p), b));
            return true;
        }

        if (faulted)
        {
            return false;
        }

        ulong a = SlowRead<TWidth>(c, i->Segment, linear);
        return SlowWrite<TWidth>(c, i->Segment, linear, TOperation.Apply<TWidth>(c, a, b));
    }

    /// <summary>The same with a LOCK prefix.</summary>
    public static bool Locked<TOperation, TWidth>(ProcessorContext* c, Instruction* i, ulong b)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* p = GuestAccess.Writable(c, i->Segment, offset, TWidth.Bytes, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        if (p != null && IsOneLine(p, TWidth.Bytes))
        {
            uint carry = c->FlagCarry;
            ulong seen = TWidth.Read(p);
            while (true)
            {
                c->FlagCarry = carry;
                ulong now = TOperation.Apply<TWidth>(c, seen, b);
                ulong was = TWidth.CompareExchange(p, now, seen);
                if (was == seen)
                {
                    return true;
                }

                seen = was;
            }
        }

        if (!Begin(c))
        {
            return false;
        }

        ulong a = SlowRead<TWidth>(c, i->Segment, linear);
        bool done = SlowWrite<TWidth>(c, i->Segment, linear, TOperation.Apply<TWidth>(c, a, b));
        End(c);
        return done;
    }

    /// <summary>Whether an operand lies in one cache line, where the host makes a locked access cheap and atomic.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsOneLine(byte* p, int size) => ((ulong)p & LineMask) + (ulong)size <= LineMask + 1;

    /// <summary>Stops the other processors. False: the instruction begins again.</summary>
    public static bool Begin(ProcessorContext* c)
    {
        SoftwarePartition partition = SoftwareProcessor.Of(c).Partition;
        if (partition.EnterExclusive(c))
        {
            return true;
        }

        partition.ExitExclusive(c);
        c->Outcome = HandlerOutcome.Continue;
        return false;
    }

    /// <summary>Lets them go on.</summary>
    public static void End(ProcessorContext* c) => SoftwareProcessor.Of(c).Partition.ExitExclusive(c);

    /// <summary>Reads where <see cref="GuestAccess.Writable"/> has found no fault but no plain memory either.</summary>
    public static ulong SlowRead<TWidth>(ProcessorContext* c, int segment, ulong linear)
        where TWidth : struct, IWidth
    {
        ulong value = 0;
        MemoryUnit.LoadSlow(c, segment, linear, (byte*)&value, TWidth.Bytes);
        return value;
    }

    /// <summary>Writes there.</summary>
    public static bool SlowWrite<TWidth>(ProcessorContext* c, int segment, ulong linear, ulong value)
        where TWidth : struct, IWidth => MemoryUnit.StoreSlow(c, segment, linear, (byte*)&value, TWidth.Bytes);
}
