namespace Lamina.Interop.Kvm;

/// <summary>One virtual processor of KVM, and the page that it shares with this process. One thread at a time.</summary>
public sealed unsafe class KvmVirtualProcessor : KvmHandle
{
    private const int PageSize = 4096;
    private const int ReadWrite = 3;
    private const int Shared = 1;
    private readonly int _runSize;
    private nint _dirtyRing;
    private nuint _dirtyRingSize;

    internal KvmVirtualProcessor(IKvmCalls calls, int descriptor, int runSize, int extendedStateSize)
        : base(calls, descriptor)
    {
        _runSize = runSize;
        ExtendedStateSize = Math.Max(PageSize, extendedStateSize);
        nint map = NativeMethods.Map(0, (nuint)runSize, ReadWrite, Shared, descriptor, 0);
        if (map == -1)
        {
            SystemCallException failure = SystemCallException.FromLastError("mmap of KVM's run page");
            Dispose();
            throw failure;
        }

        Run = (KvmRun*)map;
    }

    /// <summary>The shared page. Valid until disposal.</summary>
    public KvmRun* Run { get; private set; }

    /// <summary>Maps the ring of dirty pages that the machine's processors have had enabled.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public KvmDirtyPage* MapDirtyRing(int entries)
    {
        const int FirstPage = 64;
        _dirtyRingSize = (nuint)(entries * sizeof(KvmDirtyPage));
        nint map = NativeMethods.Map(0, _dirtyRingSize, ReadWrite, Shared, Descriptor, FirstPage * PageSize);
        if (map == -1)
        {
            throw SystemCallException.FromLastError("mmap of KVM's dirty ring");
        }

        _dirtyRing = map;
        return (KvmDirtyPage*)map;
    }

    /// <summary>The ring of gathered writes, where KVM has it.</summary>
    /// <param name="page">The page of the shared area, as the capability tells it.</param>
    /// <returns>null if the shared area does not reach there.</returns>
    public KvmWriteRing* GetWriteRing(int page) => page > 0 && (page + 1) * PageSize <= _runSize ? (KvmWriteRing*)((byte*)Run + (page * PageSize)) : null;

    /// <summary>Bytes that <see cref="GetExtendedState"/> needs.</summary>
    public int ExtendedStateSize { get; }

    /// <summary>Runs guest code.</summary>
    /// <returns>0 with the reason in the shared page, or the errno value negated.</returns>
    public int Enter() => Calls.Control(Descriptor, KvmRequest.Run, null);

    /// <summary>Reads the general registers.</summary>
    public void GetRegisters(out KvmRegisters registers)
    {
        // SAFETY: the layout of struct kvm_regs; so for the structures below.
        fixed (KvmRegisters* p = &registers)
        {
            Call(KvmRequest.GetRegisters, p);
        }
    }

    /// <summary>Writes them.</summary>
    public void SetRegisters(in KvmRegisters registers)
    {
        fixed (KvmRegisters* p = &registers)
        {
            Call(KvmRequest.SetRegisters, p);
        }
    }

    /// <summary>Reads segments, tables and control registers.</summary>
    public void GetSystemRegisters(out KvmSystemRegisters registers)
    {
        fixed (KvmSystemRegisters* p = &registers)
        {
            Call(KvmRequest.GetSystemRegisters, p);
        }
    }

    /// <summary>Writes them.</summary>
    /// <returns>0, or the errno value negated: KVM refuses what no processor can hold.</returns>
    public int SetSystemRegisters(in KvmSystemRegisters registers)
    {
        fixed (KvmSystemRegisters* p = &registers)
        {
            return TryCall(KvmRequest.SetSystemRegisters, p);
        }
    }

    /// <summary>Translates a linear address as the processor's kernel reads.</summary>
    /// <returns><c>false</c> if nothing is there.</returns>
    public bool TryTranslate(ulong linear, out ulong physical)
    {
        ulong* translation = stackalloc ulong[3];
        translation[0] = linear;
        translation[1] = translation[2] = 0;
        // SAFETY: struct kvm_translation is 24 bytes: the two addresses, and bytes of which the first says whether the second counts.
        bool known = TryCall(KvmRequest.Translate, translation) >= 0 && (byte)translation[2] != 0;
        physical = translation[1];
        return known;
    }

    /// <summary>Reads events that await delivery.</summary>
    public void GetEvents(out KvmEvents events)
    {
        fixed (KvmEvents* p = &events)
        {
            Call(KvmRequest.GetEvents, p);
        }
    }

    /// <summary>Writes them.</summary>
    public void SetEvents(in KvmEvents events)
    {
        fixed (KvmEvents* p = &events)
        {
            Call(KvmRequest.SetEvents, p);
        }
    }

    /// <summary>Reads the debug registers.</summary>
    public void GetDebugRegisters(out KvmDebugRegisters registers)
    {
        fixed (KvmDebugRegisters* p = &registers)
        {
            Call(KvmRequest.GetDebugRegisters, p);
        }
    }

    /// <summary>Writes them.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetDebugRegisters(in KvmDebugRegisters registers)
    {
        fixed (KvmDebugRegisters* p = &registers)
        {
            return TryCall(KvmRequest.SetDebugRegisters, p);
        }
    }

    /// <summary>Reads XCR0.</summary>
    public ulong GetExtendedControl()
    {
        const int Size = 392;
        byte* controls = stackalloc byte[Size];
        new Span<byte>(controls, Size).Clear();
        // SAFETY: struct kvm_xcrs: count, flags, sixteen entries of number, padding and value, and padding.
        return TryCall(KvmRequest.GetExtendedControl, controls) == 0 && *(uint*)controls > 0 ? *(ulong*)(controls + 16) : 1;
    }

    /// <summary>Writes XCR0.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetExtendedControl(ulong value)
    {
        const int Size = 392;
        byte* controls = stackalloc byte[Size];
        new Span<byte>(controls, Size).Clear();
        *(uint*)controls = 1;
        *(ulong*)(controls + 16) = value;
        // SAFETY: as above.
        return TryCall(KvmRequest.SetExtendedControl, controls);
    }

    /// <summary>Reads the XSAVE area in its standard format into <see cref="ExtendedStateSize"/> bytes.</summary>
    public void GetExtendedState(Span<byte> area)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(area.Length, ExtendedStateSize);
        // SAFETY: the kernel writes a page, or with the second request what the capability told.
        fixed (byte* p = area)
        {
            Call(ExtendedStateSize > PageSize ? KvmRequest.GetExtendedState2 : KvmRequest.GetExtendedState, p);
        }
    }

    /// <summary>Writes it.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetExtendedState(ReadOnlySpan<byte> area)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(area.Length, ExtendedStateSize);
        fixed (byte* p = area)
        {
            return TryCall(KvmRequest.SetExtendedState, p);
        }
    }

    /// <summary>Reads MSRs, up to the first that KVM does not have.</summary>
    /// <param name="list">The MSRs, from the second element on; the first is for the call's own use.</param>
    /// <returns>How many were read.</returns>
    public int GetMsrs(Span<KvmMsrEntry> list) => CallMsrs(KvmRequest.GetMsrs, list);

    /// <summary>Writes MSRs, up to the first that KVM does not have or not with this value.</summary>
    /// <param name="list">As for <see cref="GetMsrs"/>.</param>
    /// <returns>How many were written.</returns>
    public int SetMsrs(Span<KvmMsrEntry> list) => CallMsrs(KvmRequest.SetMsrs, list);

    /// <summary>Reads an MSR.</summary>
    /// <returns><c>false</c> if KVM does not have it.</returns>
    public bool TryGetMsr(uint index, out ulong value)
    {
        Span<KvmMsrEntry> list = [default, new KvmMsrEntry { Index = index }];
        bool done = GetMsrs(list) == 1;
        value = list[1].Value;
        return done;
    }

    /// <summary>Writes an MSR.</summary>
    /// <returns><c>false</c> if KVM does not have it, or not with this value.</returns>
    public bool TrySetMsr(uint index, ulong value) => SetMsrs([default, new KvmMsrEntry { Index = index, Value = value }]) == 1;

    /// <summary>Sets the CPUID answers.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetCpuid(ReadOnlySpan<KvmCpuidEntry> entries)
    {
        const int Header = 8;
        byte[] buffer = new byte[Header + (entries.Length * sizeof(KvmCpuidEntry))];
        // SAFETY: struct kvm_cpuid2: a count, padding and the entries.
        fixed (byte* p = buffer)
        {
            *(int*)p = entries.Length;
            entries.CopyTo(new Span<KvmCpuidEntry>(p + Header, entries.Length));
            return TryCall(KvmRequest.SetCpuid, p);
        }
    }

    /// <summary>Queues a maskable interrupt. The processor must be ready for it.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int Interrupt(byte vector)
    {
        uint number = vector;
        // SAFETY: struct kvm_interrupt is the number.
        return TryCall(KvmRequest.Interrupt, &number);
    }

    /// <summary>Queues a non-maskable interrupt.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int NonMaskable() => TryCall(KvmRequest.NonMaskable, null);

    /// <summary>Reads the local APIC that KVM has for it.</summary>
    public void GetLocalApic(out KvmLocalApic state)
    {
        fixed (KvmLocalApic* p = &state)
        {
            Call(KvmRequest.GetLocalApic, p);
        }
    }

    /// <summary>Writes it.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetLocalApic(in KvmLocalApic state)
    {
        fixed (KvmLocalApic* p = &state)
        {
            return TryCall(KvmRequest.SetLocalApic, p);
        }
    }

    /// <summary>Reads whether it runs, where KVM has its local APIC.</summary>
    public KvmRunState GetRunState()
    {
        uint state;
        // SAFETY: struct kvm_mp_state is the number.
        Call(KvmRequest.GetRunState, &state);
        return (KvmRunState)state;
    }

    /// <summary>Writes it.</summary>
    public void SetRunState(KvmRunState state)
    {
        uint number = (uint)state;
        // SAFETY: as above.
        Call(KvmRequest.SetRunState, &number);
    }

    /// <summary>Tells the guest by its paravirtual clock that it was stopped.</summary>
    /// <returns>0, or the errno value negated: the guest does not use the clock.</returns>
    public int NoteStop() => TryCall(KvmRequest.ClockControl, null);

    /// <summary>Sets which signals interrupt <see cref="Enter"/>: those whose bit is clear.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public void SetSignalMask(ulong blocked)
    {
        byte* mask = stackalloc byte[12];
        *(uint*)mask = sizeof(ulong);
        *(ulong*)(mask + 4) = blocked;
        // SAFETY: struct kvm_signal_mask is a length and that many bytes.
        Call(KvmRequest.SetSignalMask, mask);
    }

    /// <summary>Frequency of the time-stamp counter in kHz, or the errno value negated.</summary>
    public int GetTscKilohertz() => TryCall(KvmRequest.GetTscKilohertz, null);

    /// <summary>Sets it.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetTscKilohertz(uint frequency) => TryCall(KvmRequest.SetTscKilohertz, (void*)frequency);

    private int CallMsrs(uint request, Span<KvmMsrEntry> list)
    {
        list[0].Value = (ulong)(list.Length - 1);
        // SAFETY: struct kvm_msrs is a count, padding, and the entries. The count is the last eight bytes of the first element.
        fixed (KvmMsrEntry* p = list)
        {
            return Math.Max(0, TryCall(request, (byte*)p + sizeof(KvmMsrEntry) - sizeof(ulong)));
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_dirtyRing != 0)
        {
            _ = NativeMethods.Unmap(_dirtyRing, _dirtyRingSize);
            _dirtyRing = 0;
        }

        if (Run != null)
        {
            _ = NativeMethods.Unmap((nint)Run, (nuint)_runSize);
            Run = null;
        }

        return base.ReleaseHandle();
    }
}
