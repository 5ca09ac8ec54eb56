using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV;

/// <summary>The partition's reference time in units of 100 nanoseconds, and the page from which guests compute it by the time-stamp counter (Top-Level Functional Specification, section 12.7).</summary>
internal sealed class ReferenceTime(GuestMemory memory, CounterClock clock, ulong tscFrequency)
{
    /// <summary>Nanoseconds of a unit.</summary>
    internal const ulong Unit = 100;

    private const ulong UnitsPerSecond = 10_000_000;
    private const ulong Enable = 1;
    private const ulong AddressMask = ~0xfffUL;
    private const int PageLength = 24;
    private readonly ulong _scale = (ulong)(((UInt128)UnitsPerSecond << 64) / tscFrequency);
    private uint _sequence;
    private long _counterOffset;

    /// <summary>The register.</summary>
    internal ulong Register { get; private set; }

    /// <summary>Now.</summary>
    internal ulong Now => clock.Now / Unit;

    /// <summary>What a guest computes at a time-stamp; for 0, which tells of none, now.</summary>
    internal ulong At(ulong timeStamp) => timeStamp == 0 ? Now : (ulong)(((UInt128)timeStamp * _scale) >> 64) + PageOffset;

    internal void Reset()
    {
        Register = 0;
        _sequence = 0;
        _counterOffset = 0;
        clock.Reset();
    }

    /// <summary>Writes the register.</summary>
    internal void Write(ulong value)
    {
        Register = value;
        Publish();
    }

    /// <summary>Writes the page again, after a counter was set.</summary>
    internal void OnTimeStampSet(ulong timeStamp)
    {
        // Until then a counter counts the machine's time from zero.
        _counterOffset = (long)(timeStamp - clock.Ticks);
        Publish();
    }

    /// <summary>Takes it that a processor's counter is that far ahead of the machine clock. The page is the partition's: only the first processor's counter moves it.</summary>
    internal void OnLead(int processor, long lead)
    {
        clock.Follow(lead, _counterOffset, out long jump);
        if (jump != 0 && processor == 0)
        {
            _counterOffset += jump;
            Publish();
        }
    }

    private ulong PageOffset => (ulong)-(long)(((Int128)_counterOffset * _scale) >> 64);

    private void Publish()
    {
        if ((Register & Enable) == 0)
        {
            return;
        }

        ulong address = Register & AddressMask;
        Span<byte> page = stackalloc byte[PageLength];
        page.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], _scale);
        BinaryPrimitives.WriteUInt64LittleEndian(page[16..], PageOffset);

        // While the sequence is zero, guests read the counter register.
        _sequence = _sequence == uint.MaxValue ? 1 : _sequence + 1;
        memory.TryWrite(address, 0u);
        Interlocked.MemoryBarrier();
        memory.TryWrite(address + sizeof(uint), page[sizeof(uint)..]);
        Interlocked.MemoryBarrier();
        memory.TryWrite(address, _sequence);
    }

    /// <summary>How far counters are from the machine's time, for the next time that the page is written.</summary>
    internal ulong CounterOffset => (ulong)_counterOffset;

    /// <summary>Takes a saved register and offset: the page is in memory.</summary>
    internal void Restore(ulong register, ulong counterOffset)
    {
        Register = register;
        _counterOffset = (long)counterOffset;
        memory.TryRead(register & AddressMask, out _sequence);
    }
}
