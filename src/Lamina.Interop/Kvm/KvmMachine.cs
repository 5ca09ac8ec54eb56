namespace Lamina.Interop.Kvm;

/// <summary>One virtual machine of KVM.</summary>
public sealed unsafe class KvmMachine : KvmHandle
{
    /// <summary>KVM_MEM_LOG_DIRTY_PAGES.</summary>
    public const uint LogDirtyPages = 1;

    /// <summary>KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, of <see cref="KvmCapability.XenGuests"/>.</summary>
    public const int InterceptedHypercalls = 2;

    private const int MostMsrRanges = 16;
    private const int MostMsrs = 512;
    private const int ChipHeader = 8;
    private const int ChipSize = 520;
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
        if (TrySetMemory(slot, flags, guestAddress, length, hostAddress) is var error and < 0)
        {
            throw new SystemCallException(KvmRequest.GetName(KvmRequest.SetMemoryRegion), -error);
        }
    }

    /// <inheritdoc cref="SetMemory"/>
    /// <returns>Zero, or a negative error number.</returns>
    public int TrySetMemory(uint slot, uint flags, ulong guestAddress, ulong length, nint hostAddress)
    {
        KvmMemoryRegion region = new() { Slot = slot, Flags = flags, GuestAddress = guestAddress, Length = length, HostAddress = (ulong)hostAddress };
        // SAFETY: struct kvm_userspace_memory_region. That the memory stays mapped is the caller's promise.
        return TryCall(KvmRequest.SetMemoryRegion, &region);
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

    /// <summary>Sets the paravirtual clock, in nanoseconds.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void SetClock(ulong nanoseconds)
    {
        ulong* clock = stackalloc ulong[6];
        // SAFETY: struct kvm_clock_data is 48 bytes: the clock, flags, and what flags tell of.
        new Span<ulong>(clock, 6).Clear();
        clock[0] = nanoseconds;
        Call(KvmRequest.SetClock, clock);
    }

    /// <summary>Gives entries of dirty rings that were harvested back to KVM, which protects their pages again.</summary>
    /// <returns>How many, or the errno value negated.</returns>
    public int ResetDirtyRings() => TryCall(KvmRequest.ResetDirtyRings, null);

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
    /// <param name="spans">Up to 16 of them, of up to 512 registers each.</param>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void InterceptMsrs(ReadOnlySpan<KvmMsrSpan> spans)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(spans.Length, MostMsrRanges);
        ulong* denied = stackalloc ulong[MostMsrs / 64];
        new Span<ulong>(denied, MostMsrs / 64).Clear();
        KvmMsrRange* ranges = stackalloc KvmMsrRange[MostMsrRanges];
        new Span<KvmMsrRange>(ranges, MostMsrRanges).Clear();
        for (int n = 0; n < spans.Length; n++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(spans[n].Count, (uint)MostMsrs);
            ranges[n] = new KvmMsrRange { Flags = 3, Count = spans[n].Count, First = spans[n].First, Bitmap = (ulong)denied };
        }

        // SAFETY: struct kvm_msr_filter: flags, padding, sixteen ranges; their bitmaps are one array of this frame, with a bit for each register of the longest.
        byte* filter = stackalloc byte[8 + (MostMsrRanges * sizeof(KvmMsrRange))];
        *(ulong*)filter = 0;
        new ReadOnlySpan<KvmMsrRange>(ranges, MostMsrRanges).CopyTo(new Span<KvmMsrRange>(filter + 8, MostMsrRanges));
        Call(KvmRequest.SetMsrFilter, filter);
    }

    /// <summary>Has VMCALL and VMMCALL come to user space (KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL).</summary>
    /// <param name="pageMsr">The register of Xen's hypercall page, which KVM wants to know; another than 0.</param>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void InterceptHypercalls(uint pageMsr)
    {
        ulong* configuration = stackalloc ulong[7];
        new Span<ulong>(configuration, 7).Clear();
        // SAFETY: struct kvm_xen_hvm_config is 56 bytes: flags and the register, and the code of a page, of which there is none.
        configuration[0] = InterceptedHypercalls | ((ulong)pageMsr << 32);
        Call(KvmRequest.ConfigureXen, configuration);
    }

    /// <summary>KVM_CHECK_EXTENSION on the machine: 0 if the capability is not there.</summary>
    public int GetCapability(int capability) => Math.Max(0, TryCall(KvmRequest.CheckExtension, (void*)capability));

    /// <summary>Makes local APICs of the processors that follow, and leaves the I/O APIC with <paramref name="pins"/> inputs and the 8259s to user space.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void CreateLocalApics(int pins) => Enable(KvmCapability.SplitControllers, (uint)pins);

    /// <summary>Makes the 8259s, the I/O APIC, and local APICs of the processors that follow.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void CreateControllers() => Call(KvmRequest.CreateControllers, null);

    /// <summary>Makes the interval timer, with port 61h.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void CreateTimer()
    {
        const uint SpeakerToo = 1;
        uint* configuration = stackalloc uint[16];
        // SAFETY: struct kvm_pit_config is 64 bytes.
        new Span<uint>(configuration, 16).Clear();
        configuration[0] = SpeakerToo;
        Call(KvmRequest.CreateTimer, configuration);
    }

    /// <summary>Reads one of the 8259s.</summary>
    public KvmPicState GetPic(KvmChip chip)
    {
        byte* buffer = stackalloc byte[ChipSize];
        GetController(chip, buffer);
        return *(KvmPicState*)(buffer + ChipHeader);
    }

    /// <summary>Writes it.</summary>
    public void SetPic(KvmChip chip, in KvmPicState state)
    {
        byte* buffer = stackalloc byte[ChipSize];
        new Span<byte>(buffer, ChipSize).Clear();
        *(KvmPicState*)(buffer + ChipHeader) = state;
        SetController(chip, buffer);
    }

    /// <summary>Reads the I/O APIC.</summary>
    public KvmIoApicState GetIoApic()
    {
        byte* buffer = stackalloc byte[ChipSize];
        GetController(KvmChip.IoApic, buffer);
        return *(KvmIoApicState*)(buffer + ChipHeader);
    }

    /// <summary>Writes it.</summary>
    public void SetIoApic(in KvmIoApicState state)
    {
        byte* buffer = stackalloc byte[ChipSize];
        new Span<byte>(buffer, ChipSize).Clear();
        *(KvmIoApicState*)(buffer + ChipHeader) = state;
        SetController(KvmChip.IoApic, buffer);
    }

    /// <summary>Reads the interval timer.</summary>
    public void GetTimer(out KvmTimerState state)
    {
        fixed (KvmTimerState* p = &state)
        {
            Call(KvmRequest.GetTimer, p);
        }
    }

    /// <summary>Writes it. All counts begin afresh.</summary>
    public void SetTimer(in KvmTimerState state)
    {
        fixed (KvmTimerState* p = &state)
        {
            Call(KvmRequest.SetTimer, p);
        }
    }

    /// <summary>Delivers a message to local APICs.</summary>
    /// <returns>More than 0 if it was taken, 0 if not, or the errno value negated.</returns>
    public int SendMessage(ulong address, uint data)
    {
        uint* message = stackalloc uint[8];
        // SAFETY: struct kvm_msi is 32 bytes: address, data, flags and padding.
        new Span<uint>(message, 8).Clear();
        message[0] = (uint)address;
        message[1] = (uint)(address >> 32);
        message[2] = data;
        return TryCall(KvmRequest.SendMessage, message);
    }

    /// <summary>Drives a global system interrupt.</summary>
    public void SetLine(int line, bool asserted)
    {
        uint* level = stackalloc uint[2];
        level[0] = (uint)line;
        level[1] = asserted ? 1u : 0;
        // SAFETY: struct kvm_irq_level.
        Call(KvmRequest.SetLine, level);
    }

    /// <summary>Sets what all global system interrupts do.</summary>
    /// <param name="table">The routes, from the first element on; <paramref name="count"/> of them.</param>
    /// <param name="count">How many.</param>
    /// <returns>0, or the errno value negated.</returns>
    public int SetRoutes(ReadOnlySpan<KvmRoute> table, int count)
    {
        const int Header = 8;
        byte* buffer = stackalloc byte[Header + (count * sizeof(KvmRoute))];
        *(uint*)buffer = (uint)count;
        *(uint*)(buffer + 4) = 0;
        // SAFETY: struct kvm_irq_routing: a count, flags and the entries. The caller has some tens of them.
        table[..count].CopyTo(new Span<KvmRoute>(buffer + Header, count));
        return TryCall(KvmRequest.SetRoutes, buffer);
    }

    /// <summary>Has an event raise a global system interrupt, or no more.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetInterruptEvent(int descriptor, uint line, bool assign)
    {
        uint* request = stackalloc uint[8];
        new Span<uint>(request, 8).Clear();
        request[0] = (uint)descriptor;
        request[1] = line;
        request[2] = assign ? 0u : 1;
        // SAFETY: struct kvm_irqfd is 32 bytes.
        return TryCall(KvmRequest.SetInterruptEvent, request);
    }

    /// <summary>Has writes to an address signal an event instead of coming to user space, or no more.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetDoorbell(int descriptor, ulong address, int length, bool assign)
    {
        ulong* request = stackalloc ulong[8];
        new Span<ulong>(request, 8).Clear();
        // SAFETY: struct kvm_ioeventfd is 64 bytes: value, address, length and descriptor, flags.
        request[1] = address;
        request[2] = (uint)length | ((ulong)(uint)descriptor << 32);
        request[3] = assign ? 0u : 4;
        return TryCall(KvmRequest.SetDoorbell, request);
    }

    /// <summary>Has writes be gathered in the ring that processors share, instead of coming one by one.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetCoalesced(ulong address, uint length, bool port)
    {
        ulong* zone = stackalloc ulong[2];
        zone[0] = address;
        zone[1] = length | (port ? 1UL << 32 : 0);
        // SAFETY: struct kvm_coalesced_mmio_zone is 16 bytes.
        return TryCall(KvmRequest.RegisterCoalesced, zone);
    }

    /// <summary>Makes a processor.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public KvmVirtualProcessor CreateProcessor(int index) => new(Calls, Call(KvmRequest.CreateProcessor, (void*)index), _runSize, _extendedStateSize);

    // SAFETY: struct kvm_irqchip is 520 bytes: the chip's number, padding, and its state.
    private void GetController(KvmChip chip, byte* buffer)
    {
        new Span<byte>(buffer, ChipSize).Clear();
        *(uint*)buffer = (uint)chip;
        Call(KvmRequest.GetController, buffer);
    }

    private void SetController(KvmChip chip, byte* buffer)
    {
        *(uint*)buffer = (uint)chip;
        Call(KvmRequest.SetController, buffer);
    }
}
