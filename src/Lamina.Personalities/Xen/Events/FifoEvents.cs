using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen.Events;

/// <summary>
/// Events as words in pages that the guest gives, linked to queues by priority (struct evtchn_fifo_control_block). The guest takes from the heads while events are put at the tails; it may write
/// anything into words and links, which then is its own loss: nothing here follows a link.
/// </summary>
internal sealed partial class FifoEvents(GuestMemory memory, ProcessorInfo[] processors) : IEventDelivery
{
    /// <summary>Bits of a link.</summary>
    internal const byte LinkBits = 17;

    /// <summary>Number of queues of a processor.</summary>
    internal const int QueueCount = 16;

    /// <summary>Bytes of struct evtchn_fifo_control_block.</summary>
    internal const int ControlLength = 8 + (QueueCount * sizeof(uint));

    /// <summary>Most pages of words.</summary>
    internal const int MaximumPages = (1 << LinkBits) / (GuestMemory.PageSize / sizeof(uint));

    private const uint WordsPerPage = GuestMemory.PageSize / sizeof(uint);
    private const uint Pending = 1u << 31;
    private const uint Masked = 1u << 30;
    private const uint Linked = 1u << 29;
    private const uint Busy = 1u << 28;
    private const uint LinkMask = (1u << LinkBits) - 1;
    private const int HeadsOffset = 8;
    private const int BitsPerWord = 32;

    // A guest that keeps changing a word loses the event.
    private const int MostTries = 64;

    private readonly ulong[] _pages = new ulong[MaximumPages];
    private readonly ulong[] _controls = new ulong[processors.Length];
    private readonly uint[] _tails = new uint[processors.Length * QueueCount];

    // Events that were raised before there was a word for them, a bit each.
    private readonly uint[] _early = new uint[EventChannels.PortCount / BitsPerWord];
    private uint _pageCount;

    /// <inheritdoc/>
    public uint Capacity => _pageCount * WordsPerPage;

    internal void Reset()
    {
        _pageCount = 0;
        Array.Clear(_controls);
        Array.Clear(_tails);
        Array.Clear(_early);
    }

    /// <summary>Notes that an event is pending that has no word yet.</summary>
    internal void NoteEarly(uint port) => _early[port / BitsPerWord] |= 1u << (int)(port % BitsPerWord);

    /// <summary>Whether an event was pending before it had a word; then no longer.</summary>
    internal bool TakeEarly(uint port)
    {
        uint bit = 1u << (int)(port % BitsPerWord);
        bool early = (_early[port / BitsPerWord] & bit) != 0;
        _early[port / BitsPerWord] &= ~bit;
        return early;
    }

    /// <summary>Takes a processor's control block.</summary>
    internal bool TrySetControl(int processor, ulong address)
    {
        if ((address & 7) != 0 || address % GuestMemory.PageSize > GuestMemory.PageSize - ControlLength || memory.GetHostAddress(address, ControlLength) == 0)
        {
            return false;
        }

        _controls[processor] = address;
        Array.Clear(_tails, processor * QueueCount, QueueCount);
        return true;
    }

    /// <summary>Takes a page of words.</summary>
    /// <returns>0 or an error.</returns>
    internal long AddPage(ulong address)
    {
        if (_pageCount == MaximumPages)
        {
            return XenError.NoSpace;
        }

        if (memory.GetHostAddress(address, GuestMemory.PageSize) == 0)
        {
            return XenError.InvalidArgument;
        }

        _pages[_pageCount++] = address;
        return 0;
    }

    /// <inheritdoc/>
    public void SetPending(uint port, ref EventPort state)
    {
        if (port >= Capacity)
        {
            NoteEarly(port);
        }
        else if (memory.TryOr(GetWord(port), Pending, out uint before) && (before & (Masked | Linked)) == 0)
        {
            Link(port, ref state);
        }
    }

    /// <inheritdoc/>
    public void Unmask(uint port, ref EventPort state)
    {
        if (port < Capacity && memory.TryAnd(GetWord(port), ~Masked, out uint before) && (before & Pending) != 0 && (before & Linked) == 0)
        {
            Link(port, ref state);
        }
    }

    /// <inheritdoc/>
    public void ClearPending(uint port)
    {
        TakeEarly(port);
        if (port < Capacity)
        {
            memory.TryAnd(GetWord(port), ~Pending, out _);
        }
    }

    /// <inheritdoc/>
    public bool IsPending(uint port) =>
        port < Capacity ? memory.TryRead(GetWord(port), out uint word) && (word & Pending) != 0 : (_early[port / BitsPerWord] & (1u << (int)(port % BitsPerWord))) != 0;

    private ulong GetWord(uint port) => _pages[port / WordsPerPage] + (port % WordsPerPage * sizeof(uint));

    private void Link(uint port, ref EventPort state)
    {
        ulong control = _controls[state.Processor];
        if (control == 0 || !memory.TryOr(GetWord(port), Linked, out uint before) || (before & Linked) != 0)
        {
            return;
        }

        // As the tail of another queue it is not to be linked behind.
        ref uint old = ref _tails[(state.LastProcessor * QueueCount) + state.LastPriority];
        if (old == port)
        {
            old = 0;
        }

        ref uint tail = ref _tails[(state.Processor * QueueCount) + state.Priority];
        bool linked = tail != 0 && TryAppend(tail, port);
        if (!linked)
        {
            memory.TryWrite(control + HeadsOffset + ((uint)state.Priority * sizeof(uint)), port);
            Interlocked.MemoryBarrier();
        }

        tail = port;
        (state.LastProcessor, state.LastPriority) = (state.Processor, state.Priority);
        uint bit = 1u << state.Priority;
        if (!linked && memory.TryOr(control, bit, out uint ready) && (ready & bit) == 0)
        {
            processors[state.Processor].MarkPending();
        }
    }

    // False if the guest has taken the tail: then the queue is empty.
    private bool TryAppend(uint tail, uint port)
    {
        ulong address = GetWord(tail);
        if (!memory.TryRead(address, out uint seen))
        {
            return false;
        }

        for (int i = 0; i < MostTries && (seen & Linked) != 0; i++)
        {
            memory.TryCompareExchange(address, (seen & ~(LinkMask | Busy)) | port, seen, out uint before);
            if (before == seen)
            {
                return true;
            }

            seen = before;
        }

        return false;
    }
}
