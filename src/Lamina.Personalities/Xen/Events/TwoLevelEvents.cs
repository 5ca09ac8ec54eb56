using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen.Events;

/// <summary>Events as bits in the shared page, with a word of each processor's that says where to look.</summary>
internal sealed class TwoLevelEvents(GuestMemory memory, SharedInfo shared, ProcessorInfo[] processors) : IEventDelivery
{
    private const int BitsPerWord = 64;

    /// <inheritdoc/>
    public uint Capacity => BitsPerWord * BitsPerWord;

    /// <inheritdoc/>
    public void SetPending(uint port, ref EventPort state)
    {
        uint bit = 1u << (int)(port % 32);
        if (shared.Address != 0 && memory.TryOr(GetWord(SharedInfo.Pending, port), bit, out uint before) && (before & bit) == 0
            && memory.TryRead(GetWord(SharedInfo.Mask, port), out uint mask) && (mask & bit) == 0)
        {
            Tell(port, state.Processor);
        }
    }

    /// <inheritdoc/>
    public void Unmask(uint port, ref EventPort state)
    {
        if (shared.Address != 0 && TryClear(GetWord(SharedInfo.Mask, port), port) && IsPending(port))
        {
            Tell(port, state.Processor);
        }
    }

    /// <inheritdoc/>
    public void ClearPending(uint port)
    {
        if (shared.Address != 0)
        {
            TryClear(GetWord(SharedInfo.Pending, port), port);
        }
    }

    /// <inheritdoc/>
    public bool IsPending(uint port) =>
        shared.Address != 0 && memory.TryRead(GetWord(SharedInfo.Pending, port), out uint pending) && (pending & (1u << (int)(port % 32))) != 0;

    private ulong GetWord(int field, uint port) => shared.Address + (uint)field + (port / 32 * sizeof(uint));

    private void Tell(uint port, int processor)
    {
        if (processors[processor].Select((int)(port / BitsPerWord)))
        {
            processors[processor].MarkPending();
        }
    }

    // The guest changes other bits at the same time. Answers whether it was set.
    private bool TryClear(ulong address, uint port)
    {
        uint bit = 1u << (int)(port % 32);
        return memory.TryAnd(address, ~bit, out uint before) && (before & bit) != 0;
    }
}
