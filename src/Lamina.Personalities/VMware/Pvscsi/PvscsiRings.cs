using System.Numerics;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>
/// The request and completion rings in guest memory, and the page with their indices (struct PVSCSIRingsState). The device's own indices are the ones that count; the driver's
/// is copied once and held against the size of the ring.
/// </summary>
internal sealed class PvscsiRings(GuestMemory memory)
{
    /// <summary>Most pages of a ring.</summary>
    internal const int MaximumPages = 32;

    private const int PageShift = 12;
    private const int RequestsPerPage = 32;
    private const int CompletionsPerPage = 128;
    private const int CompletionLength = 32;
    private const ulong RequestProducer = 0;
    private const ulong RequestConsumer = 4;
    private const ulong RequestLog = 8;
    private const ulong CompletionProducer = 12;
    private const ulong CompletionConsumer = 16;
    private const ulong CompletionLog = 20;
    private const ulong FrameMask = (1UL << 40) - 1;

    private readonly ulong[] _requestPages = new ulong[MaximumPages];
    private readonly ulong[] _completionPages = new ulong[MaximumPages];
    private uint _requestCount;
    private uint _completionCount;
    private ulong _state;
    private uint _consumed;
    private uint _produced;

    /// <summary>The page with the indices; 0 if they are not set up.</summary>
    internal ulong StatePage => IsActive ? _state : 0;

    /// <summary>Whether the driver has set them up.</summary>
    internal bool IsActive => _requestCount != 0;

    /// <summary>Nothing is set up.</summary>
    internal void Reset() => _requestCount = _completionCount = _consumed = _produced = 0;

    /// <summary>Sets them up.</summary>
    /// <param name="words">The command's data: struct PVSCSICmdDescSetupRings in words of 32 bits.</param>
    /// <returns><c>false</c> if they cannot be so.</returns>
    internal bool TrySetUp(ReadOnlySpan<uint> words)
    {
        Reset();
        uint requests = words[0];
        uint completions = words[1];
        bool sizes = requests <= MaximumPages && completions <= MaximumPages && BitOperations.IsPow2(requests) && BitOperations.IsPow2(completions);
        _state = ToAddress(words[2..]);
        if (!sizes || memory.GetHostAddress(_state, GuestMemory.PageSize) == 0)
        {
            return false;
        }

        for (int i = 0; i < MaximumPages; i++)
        {
            _requestPages[i] = ToAddress(words[(4 + (2 * i))..]);
            _completionPages[i] = ToAddress(words[(4 + (2 * MaximumPages) + (2 * i))..]);
        }

        _requestCount = requests * RequestsPerPage;
        _completionCount = completions * CompletionsPerPage;
        memory.TryWrite(_state + RequestProducer, 0u);
        memory.TryWrite(_state + RequestConsumer, 0u);
        memory.TryWrite(_state + RequestLog, (uint)BitOperations.Log2(_requestCount));
        memory.TryWrite(_state + CompletionProducer, 0u);
        memory.TryWrite(_state + CompletionConsumer, 0u);
        return memory.TryWrite(_state + CompletionLog, (uint)BitOperations.Log2(_completionCount));
    }

    /// <summary>How many requests wait; 0 if the driver's index cannot be right.</summary>
    internal uint CountRequests()
    {
        if (!IsActive || !memory.TryRead(_state + RequestProducer, out uint producer))
        {
            return 0;
        }

        Interlocked.MemoryBarrier();
        uint waiting = producer - _consumed;
        return waiting <= _requestCount ? waiting : 0;
    }

    /// <summary>Copies the next request.</summary>
    internal bool TryTake(Span<byte> descriptor)
    {
        uint index = _consumed & (_requestCount - 1);
        ulong address = _requestPages[index / RequestsPerPage] + (index % RequestsPerPage * PvscsiRequest.Length);
        bool read = memory.TryRead(address, descriptor);
        _consumed++;
        return memory.TryWrite(_state + RequestConsumer, _consumed) && read;
    }

    /// <summary>Writes a completion. <see cref="Publish"/> shows it.</summary>
    internal void Complete(ulong context, ulong length, uint senseLength, HostStatus host, byte status)
    {
        Span<byte> descriptor = stackalloc byte[CompletionLength];
        descriptor.Clear();
        BitConverter.TryWriteBytes(descriptor, context);
        BitConverter.TryWriteBytes(descriptor[8..], length);
        BitConverter.TryWriteBytes(descriptor[16..], senseLength);
        BitConverter.TryWriteBytes(descriptor[20..], (ushort)host);
        BitConverter.TryWriteBytes(descriptor[22..], (ushort)status);
        uint index = _produced & (_completionCount - 1);
        memory.TryWrite(_completionPages[index / CompletionsPerPage] + (index % CompletionsPerPage * CompletionLength), descriptor);
        _produced++;
    }

    /// <summary>Shows the driver what was completed.</summary>
    internal void Publish()
    {
        Interlocked.MemoryBarrier();
        memory.TryWrite(_state + CompletionProducer, _produced);
    }

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> pages = stackalloc byte[MaximumPages * 16];
        for (int i = 0; i < MaximumPages; i++)
        {
            BitConverter.TryWriteBytes(pages[(i * 16)..], _requestPages[i]);
            BitConverter.TryWriteBytes(pages[((i * 16) + 8)..], _completionPages[i]);
        }

        state.Write(field, pages);
        state.Write((ushort)(field + 1), (ulong)_requestCount);
        state.Write((ushort)(field + 2), (ulong)_completionCount);
        state.Write((ushort)(field + 3), _state);
        state.Write((ushort)(field + 4), (ulong)_consumed);
        state.Write((ushort)(field + 5), (ulong)_produced);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> pages = stackalloc byte[MaximumPages * 16];
        bool valid = state.TryTake(field, pages) & state.TryTake((ushort)(field + 1), ref _requestCount) & state.TryTake((ushort)(field + 2), ref _completionCount)
            & state.TryTake((ushort)(field + 3), ref _state) & state.TryTake((ushort)(field + 4), ref _consumed) & state.TryTake((ushort)(field + 5), ref _produced);
        for (int i = 0; i < MaximumPages; i++)
        {
            _requestPages[i] = BitConverter.ToUInt64(pages[(i * 16)..]);
            _completionPages[i] = BitConverter.ToUInt64(pages[((i * 16) + 8)..]);
        }

        bool requests = _requestCount == 0 || (BitOperations.IsPow2(_requestCount) && _requestCount is >= RequestsPerPage and <= MaximumPages * RequestsPerPage);
        bool completions = _requestCount == 0 || (BitOperations.IsPow2(_completionCount) && _completionCount is >= CompletionsPerPage and <= MaximumPages * CompletionsPerPage);
        return valid && requests && completions;
    }

    private static ulong ToAddress(ReadOnlySpan<uint> words) => ((words[0] | ((ulong)words[1] << 32)) & FrameMask) << PageShift;
}
