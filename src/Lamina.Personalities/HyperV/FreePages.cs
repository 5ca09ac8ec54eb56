using System.Buffers.Binary;
using Lamina.Personalities.HyperV.Memory;

namespace Lamina.Personalities.HyperV;

/// <summary>Memory that a guest says it does not use at present: the extended hypercall for heat hints (Linux, struct hv_memory_hint), of which the cold ones that may be discarded are known.</summary>
internal sealed class FreePages(PageReclaim reclaim)
{
    /// <summary>The bit of the extended calls' capabilities that says so.</summary>
    internal const ulong Capability = 1 << 8;

    private const ulong TypeMask = 3;
    private const ulong ColdDiscard = 2;
    private const ulong CountMask = 0x7ff;
    private const ulong IsLarge = 1 << 11;
    private const ulong IsHuge = 1 << 12;
    private const int PageShift = 12;
    private const int LargeShift = 21;
    private const int HugeShift = 30;

    private ulong _reported;

    /// <summary>Bytes that were reported. Any thread.</summary>
    internal ulong Bytes => Volatile.Read(ref _reported);

    /// <summary>Executes the call.</summary>
    internal HypercallStatus Take(in HypercallInput input, out int completed)
    {
        completed = input.Control.RepStart;
        if ((input.Get64(0) & TypeMask) != ColdDiscard)
        {
            return HypercallStatus.InvalidParameter;
        }

        ulong named = 0;
        for (; completed < input.Control.RepCount; completed++)
        {
            ulong range = BinaryPrimitives.ReadUInt64LittleEndian(input.GetElement(completed));
            int shift = (range & IsLarge) == 0 ? PageShift : (range & IsHuge) == 0 ? LargeShift : HugeShift;
            ulong start = range >> shift << shift;
            ulong length = ((range & CountMask) + 1) << shift;
            if (start >= reclaim.End)
            {
                return HypercallStatus.InvalidParameter;
            }

            // A call that names more than there is names something twice.
            length = Math.Min(length, reclaim.End - start);
            named += length;
            if (named > reclaim.End)
            {
                return HypercallStatus.InvalidParameter;
            }

            Interlocked.Add(ref _reported, reclaim.Reclaim(start, length));
        }

        return HypercallStatus.Success;
    }
}
