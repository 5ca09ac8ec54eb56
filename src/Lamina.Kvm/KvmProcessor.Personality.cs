using Lamina.Interop.Kvm;
using Lamina.Machine.Personalities;

namespace Lamina.Kvm;

/// <summary>What the guest asks of its hypervisor: KVM hands accesses to registers and ports over, and with them hypercalls (<see cref="HypercallPort"/>; VMCALL and VMMCALL only where it can).</summary>
internal sealed unsafe partial class KvmProcessor : ILinearTranslation
{
    private const uint XenHypercall = 1;
    private const int InvalidOpcode = 6;
    private const byte OutImmediate = 0xe6;
    private const ulong OutLength = 2;
    private const ulong ProtectedMode = 1;
    private const ulong WriteProtect = 1 << 16;
    private const ulong Paging = 1UL << 31;
    private const ulong LongModeActive = 1 << 10;
    private const ulong Virtual8086 = 1 << 17;
    private const ulong EntryPresent = 1;
    private const ulong EntryWritable = 2;
    private const ulong EntryLarge = 1 << 7;
    private const ulong EntryAddress = 0x000f_ffff_ffff_f000;
    private const uint LongestInstruction = 15;
    private const int UserPrivilege = 3;

    private readonly IPersonality? _personality;
    private readonly ulong[] _callRegisters = new ulong[16];
    private KvmSystemRegisters _callSystem;

    // Of a call: general registers as KVM has them.
    private KvmRegisters _callGeneral;

    /// <inheritdoc/>
    public bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        physical = 0;
        if ((_callSystem.Cr0 & Paging) == 0 || (_callSystem.Efer & LongModeActive) == 0 || (ulong)((long)linear << 16 >> 16) != linear)
        {
            return false;
        }

        ulong table = _callSystem.Cr3 & EntryAddress;
        bool needsRight = write && (_callSystem.Cr0 & WriteProtect) != 0;
        for (int shift = 39; ; shift -= 9)
        {
            if (!_settings.Memory.TryRead(table + (((linear >> shift) & 511) * sizeof(ulong)), out ulong entry) || (entry & EntryPresent) == 0
                || (needsRight && (entry & EntryWritable) == 0))
            {
                return false;
            }

            if (shift == 12 || (shift <= 30 && (entry & EntryLarge) != 0))
            {
                ulong inside = (1UL << shift) - 1;
                physical = (entry & EntryAddress & ~inside) | (linear & inside);
                return true;
            }

            table = entry & EntryAddress;
        }
    }

    private static bool Same(in KvmRegisters a, in KvmRegisters b)
    {
        fixed (KvmRegisters* p = &a, q = &b)
        {
            // SAFETY: two structures without gaps.
            return new ReadOnlySpan<byte>(p, sizeof(KvmRegisters)).SequenceEqual(new ReadOnlySpan<byte>(q, sizeof(KvmRegisters)));
        }
    }

    // A port of the personality's. False: it is a device's.
    private bool TryAccessPersonality(IPersonality personality, ushort port, int size, byte* data, uint count, bool write)
    {
        if (port == HypercallPort.Number && personality.HasHypercallPage)
        {
            return write && size == 1 && TryCallByPort(personality);
        }

        if ((uint)(port - personality.FirstPort) >= (uint)personality.PortCount)
        {
            return false;
        }

        FetchCall();
        ulong left = _callRegisters[GuestCall.Rcx];
        for (uint n = 0; n < count; n++, data += size)
        {
            // Of several elements each finds how many are left.
            _callRegisters[GuestCall.Rcx] = count == 1 ? _callRegisters[GuestCall.Rcx] : left - n;

            // SAFETY: KVM keeps the data of all accesses inside the area that it shares.
            Span<byte> span = new(data, size);
            if (write)
            {
                personality.WritePort(CreateCall(), port, span);
            }
            else
            {
                personality.ReadPort(CreateCall(), port, span);
            }
        }

        if (count > 1)
        {
            _callRegisters[GuestCall.Rcx] = left;
        }
        else if (!write && !Same(KvmStateTransfer.WithGeneral(_callGeneral, _callRegisters), _callGeneral) && !IsString())
        {
            // KVM's emulator forgets what was read when registers are set meanwhile.
            ulong kept = size == sizeof(uint) ? 0 : _callGeneral.Rax >> (8 * size) << (8 * size);
            data -= size;
            _callRegisters[GuestCall.Rax] = kept | (size == 1 ? *data : size == sizeof(ushort) ? *(ushort*)data : *(uint*)data);
        }

        StoreCall();
        return true;
    }

    // INS rather than IN, at which RIP still is.
    private bool IsString()
    {
        const byte StringByte = 0x6c;
        ulong linear = _callSystem.Cs.Base + _callGeneral.Rip;
        for (uint n = 0; n < LongestInstruction; n++)
        {
            byte code = TryReadCode(linear + n, out byte value) ? value : (byte)0;
            if (code is not (0x26 or 0x2e or 0x36 or 0x3e or 0x64 or 0x65 or 0x66 or 0x67 or 0xf0 or 0xf2 or 0xf3) && (code & 0xf0) != 0x40)
            {
                return (code & 0xfe) == StringByte;
            }
        }

        return false;
    }

    private bool TryReadCode(ulong linear, out byte value)
    {
        value = 0;
        return _kvm.TryTranslate(linear, out ulong physical) && _settings.Memory.TryRead(physical, out value);
    }

    private bool TryCallByPort(IPersonality personality)
    {
        FetchCall();
        GuestCallEnd end = GuestCallEnd.GoOn;
        if (!personality.TryHypercall(new GuestCall(CreateCall(), ref end), byInstruction: false))
        {
            return false;
        }

        if (end is GuestCallEnd.Repeat or GuestCallEnd.Continue)
        {
            StayAtCall(FindOut(), end);
        }
        else
        {
            StoreCall();
            HaltAfterCall(end);
        }

        return true;
    }

    // VMCALL or VMMCALL, at which RIP is still: KVM goes to the next instruction with the result, unless RIP has changed.
    private void CallByInstruction()
    {
        FetchCall();
        GuestCallEnd end = GuestCallEnd.GoOn;
        if (_personality?.TryHypercall(new GuestCall(CreateCall(), ref end)) != true)
        {
            SaveAll(_scratch);
            if (Assist.DeliverException(_scratch, InvalidOpcode, hasCode: false, 0) == SoftCpu.AssistOutcome.Done)
            {
                Load(_scratch, keepTime: true);
            }
        }
        else if (end is GuestCallEnd.Repeat or GuestCallEnd.Continue)
        {
            StayAtCall(_callGeneral.Rip, end);
        }
        else
        {
            _run->XenResult = _callRegisters[GuestCall.Rax];
            StoreCall();
            HaltAfterCall(end);
        }
    }

    // The processor is before the instruction, with the registers that the call has left: KVM ends its part first, which may move RIP.
    private void StayAtCall(ulong rip, GuestCallEnd end)
    {
        EndInstruction();
        _callGeneral = KvmStateTransfer.WithGeneral(_callGeneral, _callRegisters);
        _callGeneral.Rip = rip;
        _kvm.SetRegisters(_callGeneral);
        if (end == GuestCallEnd.Repeat)
        {
            Halt(endsMasked: false);
        }
    }

    private void HaltAfterCall(GuestCallEnd end)
    {
        if (end == GuestCallEnd.Halt)
        {
            EndInstruction();
            Halt(endsMasked: true);
        }
    }

    private void EndInstruction()
    {
        _run->ImmediateExit = 1;
        _ = _kvm.Enter();
        _run->ImmediateExit = 0;
        _unfinished = false;
    }

    private void Halt(bool endsMasked)
    {
        _halted = !_kicked;
        _haltEndsMasked = endsMasked;
        _kicked = false;
    }

    // KVM says of a write to a port before or after it has moved RIP, depending on whether the hardware or its emulator has found the instruction.
    private ulong FindOut()
    {
        ulong linear = _callSystem.Cs.Base + _callGeneral.Rip;
        return TryReadCode(linear, out byte code) && TryReadCode(linear + 1, out byte port) && code == OutImmediate && port == HypercallPort.Number
            ? _callGeneral.Rip : _callGeneral.Rip - OutLength;
    }

    private void FetchCall()
    {
        if (_run->ValidRegisters != 0)
        {
            (_callGeneral, _callSystem) = (_run->Registers, _run->SystemRegisters);
        }
        else
        {
            _kvm.GetRegisters(out _callGeneral);
            _kvm.GetSystemRegisters(out _callSystem);
        }

        KvmStateTransfer.CopyGeneral(_callGeneral, _callRegisters);
    }

    private void StoreCall()
    {
        KvmRegisters changed = KvmStateTransfer.WithGeneral(_callGeneral, _callRegisters);
        if (Same(changed, _callGeneral))
        {
            return;
        }

        if (_run->ValidRegisters != 0)
        {
            _run->Registers = changed;
            _run->DirtyRegisters |= SyncGeneral;
        }
        else
        {
            _kvm.SetRegisters(changed);
        }
    }

    private GuestCall CreateCall()
    {
        int privilege = (_callSystem.Cr0 & ProtectedMode) == 0 ? 0 : (_callGeneral.Rflags & Virtual8086) != 0 ? UserPrivilege : _callSystem.Ss.Privilege;
        return new GuestCall(Index, _callRegisters, privilege, (_callSystem.Efer & LongModeActive) != 0 && _callSystem.Cs.Long != 0, this, this);
    }

    // False: #GP.
    private bool AccessPersonality(IPersonality personality, uint index, bool write)
    {
        ulong timeStamp = personality.DependsOnTimeStamp(index) ? GuestTicks : 0;
        if (!write)
        {
            bool known = personality.TryReadMsr(Index, timeStamp, index, out ulong value);
            _run->MsrData = value;
            return known;
        }

        bool allowed = personality.TryWriteMsr(Index, timeStamp, index, _run->MsrData);
        if (allowed && index == KvmMsrs.InvariantTscControl)
        {
            ShowInvariantTsc(personality);
        }

        return allowed;
    }

    // KVM knows the register too, and shows the feature in CPUID by it. It is told what the guest is not to tell it.
    private void ShowInvariantTsc(IPersonality personality)
    {
        if (personality.TryReadMsr(Index, 0, KvmMsrs.InvariantTscControl, out ulong value))
        {
            _ = _kvm.TrySetMsr(KvmMsrs.InvariantTscControl, value);
        }
    }
}
