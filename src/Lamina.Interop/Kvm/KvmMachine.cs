namespace Lamina.Interop.Kvm;

/// <summary>One virtual machine of KVM.</summary>
public sealed unsafe class KvmMachine : KvmHandle
{
    /// <summary>KVM_MEM_LOG_DIRTY_PAGES.</summary>
    public const uint LogDirtyPages = 1;

    private const int MostMsrRanges = 16;
    private readonly int _runSize;
    private readonly int _extendedStateSize;

    internal KvmMachine(IKvmCalls calls, int descriptor, int runSize, int extendedStateSize)
        : base(calls, descriptor)
    {
        _runSize = runSize;
        _extendedStateSize = extendedStateSize;
    }

    /// <summary>Makes RAM of memory of this process, which must stay mapped. A length of zero removes the slot.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void SetMemory(uint slot, uint flags, ulong guestAddress, ulong length, nint hostAddress)
    {
        KvmMemoryRegion region = new() { Slot = slot, Flags = flags, GuestAddress = guestAddress, Length = length, HostAddress = (ulong)hostAddress };
        // SAFETY: struct kvm_userspace_memory_region. That the memory stays mapped is the caller's promise.
        Call(KvmRequest.SetMemoryRegion, &region);
    }

    /// <summary>Fetches and clears the dirty bits of a slot: one for each page.</summary>
    /// <exception cref="SystemCallException">The host refuses, or the slot is not logged.</exception>
    public void GetDirtyLog(uint slot, Span<ulong> bitmap)
    {
        // SAFETY: struct kvm_dirty_log. The kernel writes a bit for each page of the slot, rounded up to 64; the caller sized the bitmap by the slot's length.
        fixed (ulong* bits = bitmap)
        {
            ulong* log = stackalloc ulong[2];
            log[0] = slot;
            log[1] = (ulong)bits;
            Call(KvmRequest.GetDirtyLog, log);
        }
    }

    /// <summary>Three pages that an Intel processor without unrestricted guest mode needs, away from RAM.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void SetReservedPages(ulong address)
    {
        // SAFETY: the identity map's address is passed by pointer, the other by value.
        Call(KvmRequest.SetIdentityMapAddress, &address);
        Call(KvmRequest.SetTaskStateAddress, (void*)(address + 0x1000));
    }

    /// <summary>KVM_ENABLE_CAP with one argument.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void Enable(int capability, ulong argument)
    {
        ulong* enable = stackalloc ulong[13];
        new Span<ulong>(enable, 13).Clear();
        enable[0] = (uint)capability;
        enable[1] = argument;
        // SAFETY: struct kvm_enable_cap is 104 bytes: the number, flags, and arguments.
        Call(KvmRequest.EnableCapability, enable);
    }

    /// <summary>Has accesses to these MSRs come to user space; all others are as before. Not for the x2APIC range.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void InterceptMsrs(ReadOnlySpan<uint> indices)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(indices.Length, MostMsrRanges);
        ulong denied = 0;
        KvmMsrRange* ranges = stackalloc KvmMsrRange[MostMsrRanges];
        new Span<KvmMsrRange>(ranges, MostMsrRanges).Clear();
        for (int n = 0; n < indices.Length; n++)
        {
            ranges[n] = new KvmMsrRange { Flags = 3, Count = 1, First = indices[n], Bitmap = (ulong)&denied };
        }

        // SAFETY: struct kvm_msr_filter: flags, padding, sixteen ranges; each bitmap is a word of this frame.
        byte* filter = stackalloc byte[8 + (MostMsrRanges * sizeof(KvmMsrRange))];
        *(ulong*)filter = 0;
        new ReadOnlySpan<KvmMsrRange>(ranges, MostMsrRanges).CopyTo(new Span<KvmMsrRange>(filter + 8, MostMsrRanges));
        Call(KvmRequest.SetMsrFilter, filter);
    }

    /// <summary>Makes a processor.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public KvmVirtualProcessor CreateProcessor(int index) => new(Calls, Call(KvmRequest.CreateProcessor, (void*)index), _runSize, _extendedStateSize);
}
