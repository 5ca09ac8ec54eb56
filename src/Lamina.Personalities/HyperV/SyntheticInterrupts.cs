using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV;

/// <summary>
/// The synthetic interrupt controller of one processor (Top-Level Functional Specification, chapter 11): sixteen sources, each with a place for a message and 2048 event flags. A source may have its
/// interrupts end of themselves, which guests are told to leave be.
/// </summary>
internal sealed class SyntheticInterrupts(GuestMemory memory, IMessageInterruptSink messages, int processor)
{
    /// <summary>Number of sources.</summary>
    internal const int SourceCount = 16;

    /// <summary>Most bytes of a message.</summary>
    internal const int MaximumPayload = 240;

    /// <summary>Event flags of a source.</summary>
    internal const int FlagCount = 2048;

    private const ulong Enable = 1;
    private const ulong Masked = 1 << 16;
    private const ulong AutoEnd = 1 << 17;
    private const ulong Polling = 1 << 18;
    private const ulong AddressMask = ~0xfffUL;
    private const byte FirstVector = 16;
    private const int SlotLength = 256;
    private const int HeaderLength = 16;
    private const int PayloadSizeOffset = 4;
    private const int FlagsOffset = 5;
    private const byte MessagePending = 1;
    private const ulong MessageAddress = 0xfee0_0000;
    private const int DestinationShift = 12;

    private readonly ulong[] _sources = new ulong[SourceCount];
    private ulong _control;
    private ulong _eventFlags;
    private ulong _messagePage;

    internal void Reset()
    {
        Array.Fill(_sources, Masked);
        _control = _eventFlags = _messagePage = 0;
    }

    internal bool TryRead(uint index, out ulong value)
    {
        const ulong Version = 1;
        value = index switch
        {
            HyperVMsr.SControl => _control,
            HyperVMsr.SVersion => Version,
            HyperVMsr.EventFlagsPage => _eventFlags,
            HyperVMsr.MessagePage => _messagePage,
            HyperVMsr.EndOfMessage => 0,
            _ => _sources[index - HyperVMsr.FirstSint],
        };
        return true;
    }

    internal bool TryWrite(uint index, ulong value)
    {
        switch (index)
        {
            case HyperVMsr.SControl:
                _control = value;
                return true;
            case HyperVMsr.EventFlagsPage:
                _eventFlags = value;
                return true;
            case HyperVMsr.MessagePage:
                _messagePage = value;
                return true;
            case HyperVMsr.EndOfMessage:
                return true;
            case >= HyperVMsr.FirstSint and <= HyperVMsr.LastSint:
                bool allowed = (value & Masked) != 0 || (byte)value >= FirstVector;
                if (allowed)
                {
                    _sources[index - HyperVMsr.FirstSint] = value & (0xff | Masked | AutoEnd | Polling);
                }

                return allowed;
            default:
                return false;
        }
    }

    /// <summary>Puts a message into its source's place and interrupts.</summary>
    /// <returns><c>false</c> if there is one already; an end of message will be told.</returns>
    internal bool TryPost(int source, uint type, ReadOnlySpan<byte> payload)
    {
        if (((_control & _messagePage) & Enable) == 0)
        {
            return false;
        }

        ulong slot = (_messagePage & AddressMask) + ((uint)source * SlotLength);
        if (!memory.TryRead(slot, out uint present))
        {
            return true; // Lost: the page is not RAM.
        }

        if (present != 0)
        {
            memory.TryWrite(slot + FlagsOffset, MessagePending);
            Interlocked.MemoryBarrier();
            memory.TryRead(slot, out present);
            if (present != 0)
            {
                return false;
            }
        }

        Span<byte> header = stackalloc byte[HeaderLength];
        header.Clear();
        header[PayloadSizeOffset] = (byte)payload.Length;
        memory.TryWrite(slot + sizeof(uint), header[sizeof(uint)..]);
        memory.TryWrite(slot + HeaderLength, payload);
        Interlocked.MemoryBarrier();
        memory.TryWrite(slot, type);
        Interrupt(source);
        return true;
    }

    /// <summary>Sets an event flag, and interrupts if it was not set.</summary>
    internal void Signal(int source, int flag)
    {
        if (((_control & _eventFlags) & Enable) == 0 || (uint)flag >= FlagCount)
        {
            return;
        }

        // The guest clears flags at the same time.
        if (TrySetFlag((_eventFlags & AddressMask) + ((uint)source * SlotLength) + ((uint)flag / 32 * sizeof(uint)), 1u << (flag % 32)))
        {
            Interrupt(source);
        }
    }

    /// <summary>Has the local APIC leave the vectors out of its service that end of themselves.</summary>
    internal void ShowDirect(IDirectVectors controller)
    {
        controller.ClearDirect();
        foreach (ulong source in _sources)
        {
            if ((source & (Masked | AutoEnd)) == AutoEnd)
            {
                controller.SetDirect((byte)source, isDirect: true);
            }
        }
    }

    /// <summary>Interrupts the processor for a source, unless that is masked or polled.</summary>
    internal void Interrupt(int source)
    {
        if ((_sources[source] & (Masked | Polling)) == 0)
        {
            Send((byte)_sources[source]);
        }
    }

    /// <summary>Sends a vector to the processor.</summary>
    internal void Send(byte vector) => messages.Send(MessageAddress | ((ulong)(uint)processor << DestinationShift), vector);

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> sources = stackalloc byte[SourceCount * sizeof(ulong)];
        for (int i = 0; i < SourceCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(sources[(i * sizeof(ulong))..], _sources[i]);
        }

        state.Write(field, sources);
        state.Write((ushort)(field + 1), _control);
        state.Write((ushort)(field + 2), _eventFlags);
        state.Write((ushort)(field + 3), _messagePage);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> sources = stackalloc byte[SourceCount * sizeof(ulong)];
        bool valid = state.TryTake(field, sources) & state.TryTake((ushort)(field + 1), ref _control) & state.TryTake((ushort)(field + 2), ref _eventFlags)
            & state.TryTake((ushort)(field + 3), ref _messagePage);
        for (uint i = 0; i < SourceCount && valid; i++)
        {
            valid = TryWrite(HyperVMsr.FirstSint + i, BinaryPrimitives.ReadUInt64LittleEndian(sources[((int)i * sizeof(ulong))..]));
        }

        return valid;
    }

    private bool TrySetFlag(ulong address, uint bit)
    {
        return memory.TryOr(address, bit, out uint before) && (before & bit) == 0;
    }
}
