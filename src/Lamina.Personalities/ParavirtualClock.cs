using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities;

/// <summary>
/// The clock of KVM and Xen: <c>struct pvclock_vcpu_time_info</c>, from which a guest computes the machine's time by the time-stamp counter, and <c>struct pvclock_wall_clock</c>
/// (Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW). A record's version is odd while it is being written.
/// </summary>
internal sealed class ParavirtualClock
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const int TimeLength = 32;
    private const int WallLength = 12;
    private const byte StableFlag = 1;

    // Set by whoever has stopped the guest, and cleared by the guest alone.
    private const byte GuestStoppedFlag = 2;
    private const ulong FlagsOffset = 29;

    private readonly GuestMemory _memory;
    private readonly uint _multiplier;
    private readonly sbyte _shift;

    internal ParavirtualClock(GuestMemory memory, ulong tscFrequency)
    {
        _memory = memory;
        (_multiplier, _shift) = GetScale(tscFrequency);
    }

    /// <summary>How nanoseconds are made of ticks: shifted left by the second, or right where it is negative, multiplied by the first, and divided by 2 to the power of 32.</summary>
    internal static (uint Multiplier, sbyte Shift) GetScale(ulong frequency)
    {
        // The multiplier is to have its highest bit set.
        int shift = 0;
        UInt128 multiplier = ((UInt128)NanosecondsPerSecond << 32) / frequency;
        while (multiplier > uint.MaxValue)
        {
            shift++;
            multiplier = ((UInt128)NanosecondsPerSecond << (32 - shift)) / frequency;
        }

        while (multiplier <= uint.MaxValue >> 1)
        {
            shift--;
            multiplier = ((UInt128)NanosecondsPerSecond << (32 - shift)) / frequency;
        }

        return ((uint)multiplier, (sbyte)shift);
    }

    /// <summary>Writes a processor's record.</summary>
    /// <returns><c>false</c> if it is not in RAM.</returns>
    internal bool TryWriteTime(ulong address, ulong timeStamp, ulong now)
    {
        Span<byte> record = stackalloc byte[TimeLength];
        record.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], timeStamp);
        BinaryPrimitives.WriteUInt64LittleEndian(record[16..], now);
        BinaryPrimitives.WriteUInt32LittleEndian(record[24..], _multiplier);
        record[28] = (byte)_shift;
        byte stopped = _memory.TryRead(address + FlagsOffset, out byte flags) ? (byte)(flags & GuestStoppedFlag) : (byte)0;
        record[(int)FlagsOffset] = (byte)(StableFlag | stopped);
        return TryPublish(address, record);
    }

    /// <summary>Says in a processor's record that the guest stood still.</summary>
    internal void NoteStop(ulong address)
    {
        if (_memory.TryRead(address + FlagsOffset, out byte flags))
        {
            _memory.TryWrite(address + FlagsOffset, (byte)(flags | GuestStoppedFlag));
        }
    }

    /// <summary>Writes at which time of day the machine's time was zero.</summary>
    /// <returns><c>false</c> if it is not in RAM.</returns>
    internal bool TryWriteWall(ulong address, ulong unixTimeAtZero)
    {
        Span<byte> record = stackalloc byte[WallLength];
        BinaryPrimitives.WriteUInt32LittleEndian(record[4..], (uint)(unixTimeAtZero / NanosecondsPerSecond));
        BinaryPrimitives.WriteUInt32LittleEndian(record[8..], (uint)(unixTimeAtZero % NanosecondsPerSecond));
        return TryPublish(address, record);
    }

    // The version is the first field of both.
    private bool TryPublish(ulong address, Span<byte> record)
    {
        if (_memory.GetHostAddress(address, (ulong)record.Length) == 0 || !_memory.TryRead(address, out uint version))
        {
            return false;
        }

        version |= 1;
        _memory.TryWrite(address, version);
        Interlocked.MemoryBarrier();
        _memory.TryWrite(address + 4, record[4..]);
        Interlocked.MemoryBarrier();
        return _memory.TryWrite(address, version + 1);
    }
}
