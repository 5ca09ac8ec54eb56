using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary>
/// The kernel's io_uring: requests are put into a ring and end in another, in any order. Several threads may submit; one waits. Hosts may refuse it, containers often do.
/// </summary>
public sealed unsafe partial class IoRing : IDisposable
{
    private const int SetupCall = 425;
    private const int EnterCall = 426;
    private const int ParametersSize = 120;
    private const int FeaturesOffset = 20;
    private const int SubmissionOffsets = 40;
    private const int CompletionOffsets = 80;
    private const uint SingleMap = 1;
    private const uint GetEvents = 1;
    private const long EntriesMap = 0x10000000;
    private const int EntrySize = 64;
    private const int CompletionSize = 16;
    private const int ProtectReadWrite = 3;
    private const int MapShared = 1;
    private const uint DataOnly = 1;
    private const ulong WakeTag = ulong.MaxValue;
    private const int RegisterCall = 427;
    private const int FlagsOffset = 8;
    private const uint StartsDisabled = 1 << 6;
    private const uint RegisterRestrictions = 11;
    private const uint EnableRings = 12;
    private const int RestrictionLength = 16;
    private const byte RestrictOperation = 1;
    private readonly object _gate = new();
    private readonly int _descriptor;
    private readonly byte* _rings;
    private readonly nuint _ringsSize;
    private readonly byte* _entries;
    private readonly nuint _entriesSize;
    private readonly IoVector* _vectors;
    private readonly uint* _submissionTail;
    private readonly uint* _completionHead;
    private readonly uint* _completionTail;
    private readonly uint* _array;
    private readonly byte* _completions;
    private readonly uint _submissionMask;
    private readonly uint _completionMask;
    private bool _disposed;

    private IoRing(int descriptor, ReadOnlySpan<uint> parameters, byte* rings, nuint ringsSize, byte* entries, nuint entriesSize, int slots)
    {
        _descriptor = descriptor;
        _rings = rings;
        _ringsSize = ringsSize;
        _entries = entries;
        _entriesSize = entriesSize;
        Slots = slots;
        ReadOnlySpan<uint> submission = parameters[(SubmissionOffsets / 4)..];
        ReadOnlySpan<uint> completion = parameters[(CompletionOffsets / 4)..];
        // SAFETY: the kernel says where in the rings these are; they stay mapped until Dispose.
        _submissionTail = (uint*)(rings + submission[1]);
        _submissionMask = *(uint*)(rings + submission[2]);
        _array = (uint*)(rings + submission[6]);
        _completionHead = (uint*)(rings + completion[0]);
        _completionTail = (uint*)(rings + completion[1]);
        _completionMask = *(uint*)(rings + completion[2]);
        _completions = rings + completion[5];
        _vectors = (IoVector*)NativeMemory.AllocZeroed((nuint)slots * MaximumVectors, (nuint)sizeof(IoVector));
    }

    /// <summary>Most vectors of a request.</summary>
    public const int MaximumVectors = 130;

    /// <summary>How many requests may be under way: they are numbered from 0.</summary>
    public int Slots { get; }

    /// <summary>Makes a ring; null where the host has none or refuses.</summary>
    public static IoRing? TryCreate(int slots)
    {
        uint* parameters = stackalloc uint[ParametersSize / 4];
        NativeMemory.Clear(parameters, ParametersSize);
        parameters[FlagsOffset / 4] = StartsDisabled;

        // One more than requests, for waking.
        int descriptor = (int)Setup(SetupCall, (uint)slots + 1, parameters);
        if (descriptor < 0)
        {
            return null;
        }

        if (!Restrict(descriptor))
        {
            _ = NativeMethods.Close(descriptor);
            return null;
        }

        // SAFETY: the sizes are those that the kernel gave for the two mappings.
        ReadOnlySpan<uint> values = new(parameters, ParametersSize / 4);
        nuint submissionEnd = values[(SubmissionOffsets / 4) + 6] + (values[0] * sizeof(uint));
        nuint completionEnd = values[(CompletionOffsets / 4) + 5] + (values[1] * CompletionSize);
        nuint ringsSize = Math.Max(submissionEnd, completionEnd);
        nuint entriesSize = values[0] * EntrySize;
        nint rings = (values[FeaturesOffset / 4] & SingleMap) == 0 ? -1 : NativeMethods.Map(0, ringsSize, ProtectReadWrite, MapShared, descriptor, 0);
        nint entries = rings == -1 ? -1 : NativeMethods.Map(0, entriesSize, ProtectReadWrite, MapShared, descriptor, EntriesMap);
        if (entries == -1)
        {
            if (rings != -1)
            {
                _ = NativeMethods.Unmap(rings, ringsSize);
            }

            _ = NativeMethods.Close(descriptor);
            return null;
        }

        return new IoRing(descriptor, values, (byte*)rings, ringsSize, (byte*)entries, entriesSize, slots);
    }

    /// <summary>Begins a request. Any thread.</summary>
    /// <param name="operation">What is done.</param>
    /// <param name="file">The file, which stays open.</param>
    /// <param name="offset">Where.</param>
    /// <param name="vectors">Memory that stays as it is until the end of the request.</param>
    /// <param name="slot">The request's number, which no other under way has.</param>
    /// <returns>Whether the kernel took it.</returns>
    public bool TrySubmit(IoRingOperation operation, BlockFile file, ulong offset, ReadOnlySpan<IoVector> vectors, int slot)
    {
        ArgumentNullException.ThrowIfNull(file);
        if ((uint)slot >= (uint)Slots || vectors.Length > MaximumVectors)
        {
            return false;
        }

        // SAFETY: the slot's own vectors, of which there are so many.
        IoVector* own = _vectors + (slot * MaximumVectors);
        vectors.CopyTo(new Span<IoVector>(own, MaximumVectors));
        bool synchronizes = operation == IoRingOperation.Synchronize;
        return Submit((byte)operation, file.Descriptor, offset, synchronizes ? null : own, synchronizes ? 0u : (uint)vectors.Length, synchronizes ? DataOnly : 0, (ulong)slot);
    }

    /// <summary>Lets the thread that waits go on.</summary>
    public void Wake()
    {
        // A host that cannot take it now will: whoever waits waits for nothing else.
        SpinWait spin = default;
        while (!Submit(0, -1, 0, null, 0, 0, WakeTag) && Marshal.GetLastPInvokeError() is ErrorNumber.TryAgain or ErrorNumber.Busy)
        {
            spin.SpinOnce();
        }
    }

    /// <summary>Waits until requests have ended, or <see cref="Wake"/>. One thread.</summary>
    /// <param name="ended">Takes them.</param>
    /// <returns>How many there are.</returns>
    public int Wait(Span<IoRingCompletion> ended)
    {
        uint head = *_completionHead;
        while (Volatile.Read(ref *_completionTail) == head)
        {
            if (Enter(EnterCall, _descriptor, 0, 1, GetEvents, 0, 0) < 0 && Marshal.GetLastPInvokeError() != ErrorNumber.Interrupted)
            {
                return 0;
            }
        }

        int count = 0;
        uint tail = Volatile.Read(ref *_completionTail);
        for (; head != tail && count < ended.Length; head++)
        {
            // SAFETY: the kernel has written the entries before the tail, and the mask keeps inside the ring.
            byte* entry = _completions + ((head & _completionMask) * CompletionSize);
            ulong tag = *(ulong*)entry;
            if (tag != WakeTag)
            {
                ended[count++] = new IoRingCompletion((int)tag, *(int*)(entry + 8));
            }
        }

        Volatile.Write(ref *_completionHead, head);
        return count;
    }

    /// <summary>Ends it. No request is under way.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _ = NativeMethods.Unmap((nint)_entries, _entriesSize);
        _ = NativeMethods.Unmap((nint)_rings, _ringsSize);
        _ = NativeMethods.Close(_descriptor);
        // SAFETY: allocated by the constructor, and used by nobody any more.
        NativeMemory.Free(_vectors);
    }

    // A ring makes system calls that no filter sees. This one makes those that it is for, whoever writes to it.
    private static bool Restrict(int descriptor)
    {
        ReadOnlySpan<byte> operations = [0, (byte)IoRingOperation.Read, (byte)IoRingOperation.Write, (byte)IoRingOperation.Synchronize];
        byte* restrictions = stackalloc byte[RestrictionLength * 4];
        new Span<byte>(restrictions, RestrictionLength * 4).Clear();
        for (int i = 0; i < operations.Length; i++)
        {
            restrictions[i * RestrictionLength] = RestrictOperation;
            restrictions[(i * RestrictionLength) + 2] = operations[i];
        }

        // SAFETY: that many of struct io_uring_restriction.
        return Register(RegisterCall, descriptor, RegisterRestrictions, restrictions, (uint)operations.Length) == 0 && Register(RegisterCall, descriptor, EnableRings, null, 0) == 0;
    }

    private bool Submit(byte operation, int descriptor, ulong offset, void* address, uint length, uint flags, ulong tag)
    {
        lock (_gate)
        {
            uint tail = *_submissionTail;
            uint index = tail & _submissionMask;
            // SAFETY: the mask keeps inside the entries; as each submission is entered at once, the entry is free.
            byte* entry = _entries + (index * EntrySize);
            NativeMemory.Clear(entry, EntrySize);
            entry[0] = operation;
            *(int*)(entry + 4) = descriptor;
            *(ulong*)(entry + 8) = offset;
            *(ulong*)(entry + 16) = (ulong)address;
            *(uint*)(entry + 24) = length;
            *(uint*)(entry + 28) = flags;
            *(ulong*)(entry + 32) = tag;
            _array[index] = index;
            Volatile.Write(ref *_submissionTail, tail + 1);
            while (true)
            {
                long taken = Enter(EnterCall, _descriptor, 1, 0, 0, 0, 0);
                if (taken == 1)
                {
                    return true;
                }

                if (taken == 0 || Marshal.GetLastPInvokeError() != ErrorNumber.Interrupted)
                {
                    // Not taken: it is withdrawn.
                    Volatile.Write(ref *_submissionTail, tail);
                    return false;
                }
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Setup(nint number, uint entries, uint* parameters);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Register(nint number, int descriptor, uint operation, void* argument, uint count);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Enter(nint number, int descriptor, uint submit, uint minimum, uint flags, nint signals, nuint size);
}
