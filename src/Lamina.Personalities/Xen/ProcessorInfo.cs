using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>struct vcpu_info of one processor, and the interrupt that tells it to look at it. With the domain's lock held.</summary>
internal sealed class ProcessorInfo(GuestMemory memory, IMessageInterruptSink messages, SharedInfo shared, int processor)
{
    /// <summary>The lowest vector that can be one.</summary>
    internal const byte FirstVector = 16;

    private const ulong MessageAddress = 0xfee0_0000;
    private const int DestinationShift = 12;
    private ulong _placed;
    private bool _blocked;

    /// <summary>The processor.</summary>
    internal IProcessorSignals? Signals { get; set; }

    /// <summary>The vector of its own interrupt, or else of the domain's; 0 for none.</summary>
    internal byte Vector => UpcallVector != 0 ? UpcallVector : CallbackVector;

    /// <summary>The vector of its own interrupt, which goes through the local APIC; 0 for none.</summary>
    internal byte UpcallVector { get; set; }

    /// <summary>The vector of the domain's interrupt; 0 for none.</summary>
    internal byte CallbackVector { get; set; }

    /// <summary>Where the guest has put the structure; 0 if it is in the shared page.</summary>
    internal ulong Placed => _placed;

    /// <summary>Where the structure is; 0 if it is nowhere.</summary>
    internal ulong Address => _placed != 0 ? _placed : shared.GetProcessor(processor);

    internal void Reset()
    {
        _placed = 0;
        _blocked = false;
        UpcallVector = CallbackVector = 0;
    }

    /// <summary>Moves the structure out of the shared page, once.</summary>
    /// <returns>0 or an error.</returns>
    internal long Place(ulong address)
    {
        Span<byte> info = stackalloc byte[SharedInfo.ProcessorLength];
        if (_placed != 0 || !IsPlace(address))
        {
            return XenError.InvalidArgument;
        }

        info.Clear();
        ulong old = Address;
        if ((old != 0 && !memory.TryRead(old, info)) || !memory.TryWrite(address, info))
        {
            return XenError.InvalidArgument;
        }

        // What was pending is so here. Nothing else is: a processor that does not run yet would not hear of it, nor of what comes later.
        _placed = address;
        Repeat();
        return 0;
    }

    /// <summary>Says where the structure is that a guest has placed whose machine was saved; 0 for in the shared page.</summary>
    /// <returns><c>false</c> if it cannot be there.</returns>
    internal bool TryPlaceAgain(ulong address)
    {
        Span<byte> info = stackalloc byte[SharedInfo.ProcessorLength];
        bool valid = address == 0 || (IsPlace(address) && memory.TryRead(address, info));
        _placed = valid ? address : 0;
        return valid;
    }

    /// <summary>Takes the domain's vector out of the parameter that says how the guest hears of events. Lines are taken, but nothing comes on them.</summary>
    /// <param name="value">The parameter.</param>
    /// <param name="vector">The vector; 0 for none.</param>
    /// <returns><c>false</c> if it is no such parameter.</returns>
    internal static bool TryParseCallback(ulong value, out byte vector)
    {
        const int TypeShift = 56;
        const ulong VectorType = 2;
        vector = value >> TypeShift == VectorType ? (byte)value : (byte)0;
        return value >> TypeShift < VectorType || (value >> TypeShift == VectorType && vector >= FirstVector);
    }

    /// <summary>Says in <see cref="SharedInfo.PendingSelector"/> that a word has bits.</summary>
    /// <returns>Whether it did not say so before.</returns>
    internal bool Select(int word)
    {
        ulong address = Address;
        uint bit = 1u << (word % 32);
        return address != 0 && memory.TryOr(address + SharedInfo.PendingSelector + ((uint)word / 32 * sizeof(uint)), bit, out uint before) && (before & bit) == 0;
    }

    /// <summary>Tells the processor that events are pending, unless it has been told already.</summary>
    internal void MarkPending()
    {
        ulong address = Address;
        if (address == 0 || !memory.TryRead(address + SharedInfo.UpcallPending, out byte pending) || pending != 0)
        {
            return;
        }

        memory.TryWrite(address + SharedInfo.UpcallPending, (byte)1);
        Interrupt();
    }

    /// <summary>Unmasks its upcall. Unless events are pending, the next one kicks the processor, whatever its vector is and whether it takes interrupts.</summary>
    /// <returns>Whether it is to wait for that.</returns>
    internal bool TryBlock()
    {
        ulong address = Address;
        byte pending = 0;
        if (address != 0)
        {
            memory.TryWrite(address + SharedInfo.UpcallMask, (byte)0);
            memory.TryRead(address + SharedInfo.UpcallPending, out pending);
        }

        _blocked = pending == 0;
        return _blocked;
    }

    /// <summary>Interrupts it if events are pending, because it has only now said by which vector.</summary>
    internal void Repeat()
    {
        ulong address = Address;
        if (address != 0 && memory.TryRead(address + SharedInfo.UpcallPending, out byte pending) && pending != 0)
        {
            Interrupt();
        }
    }

    private static bool IsPlace(ulong address) => address % GuestMemory.PageSize <= GuestMemory.PageSize - SharedInfo.ProcessorLength && (address & 7) == 0;

    private void Interrupt()
    {
        if (Vector != 0)
        {
            messages.Send(MessageAddress | ((ulong)(uint)processor << DestinationShift), Vector);
        }

        if (_blocked)
        {
            _blocked = false;
            Signals?.SignalKick();
        }
    }
}
