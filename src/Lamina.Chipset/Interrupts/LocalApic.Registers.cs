using Lamina.Machine;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset.Interrupts;

/// <content>Registers: the xAPIC page and the MSRs.</content>
public sealed partial class LocalApic
{
    private const uint BaseMsr = 0x1b;
    private const uint TscDeadlineMsr = 0x6e0;
    private const uint FirstExtendedMsr = 0x800;
    private const uint LastExtendedMsr = 0x8ff;
    private const uint VersionValue = 0x0105_0014;
    private const uint DeliveryPending = 1 << 12;

    // x2APIC interrupt command register: bits 31:20, 17:16 and 13 are reserved (Intel SDM volume 3, figure 11-28).
    private const ulong ReservedExtendedCommand = 0xfff3_2000;

    /// <summary>Bits of each local vector that exist; the delivery status and remote IRR among them are read-only (Intel SDM volume 3, figure 11-8).</summary>
    private static ReadOnlySpan<uint> EntryBits => [0x7_10ff, 0x1_17ff, 0x1_17ff, 0x1_f7ff, 0x1_f7ff, 0x1_10ff];

    private uint ExtendedLogicalId => ((InitialId >> 4) << 16) | (1u << (int)(InitialId & 0xf));

    /// <inheritdoc/>
    public AccessResult ReadPage(ulong offset, Span<byte> data)
    {
        ApplyInit();
        int inside = (int)(offset & 0xf);
        if (inside >= 4 || (inside + data.Length > 4 && (inside != 0 || data.Length != 8)))
        {
            data.Clear();
            return AccessResult.BadWidth;
        }

        ApicRegister register = (ApicRegister)(offset >> 4);
        ulong value = 0;
        if (!IsPageRegister(register) || !TryReadRegister(register, out value))
        {
            value = 0;
            ReportError(ApicErrors.IllegalRegisterAddress);
        }

        LittleEndian.Put(data, (uint)value >> (inside * 8));
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data)
    {
        ApplyInit();
        if ((offset & 0xf) != 0 || data.Length < 4)
        {
            return AccessResult.BadWidth;
        }

        uint value = (uint)LittleEndian.Get(data);
        ApicRegister register = (ApicRegister)(offset >> 4);
        switch (register)
        {
            case ApicRegister.EndOfInterrupt:
                EndOfInterrupt();
                break;
            case ApicRegister.TaskPriority:
                WriteTaskPriority((byte)value);
                break;
            case ApicRegister.CommandLow:
                _command = (_command & 0xffff_ffff_0000_0000) | (value & 0xc_cfffu);
                SendCommand(InterruptMessage.WidenDestination((uint)(_command >> 56), (value & 0x800) != 0));
                break;
            case ApicRegister.CommandHigh:
                _command = (uint)_command | ((ulong)(value & 0xff00_0000) << 32);
                break;
            case ApicRegister.LogicalDestination:
                Volatile.Write(ref _logicalDestination, value & 0xff00_0000);
                break;
            case ApicRegister.DestinationFormat:
                Volatile.Write(ref _destinationFormat, value | 0x0fff_ffff);
                break;
            case ApicRegister.ErrorStatus:
                LatchErrors();
                break;
            case >= ApicRegister.LocalTimer and <= ApicRegister.LocalError:
                WriteEntry(register - ApicRegister.LocalTimer, value);
                break;
            case ApicRegister.SpuriousVector:
            case ApicRegister.InitialCount:
            case ApicRegister.DivideConfiguration:
                WritePlainRegister(register, value);
                break;
            case ApicRegister.Id: // Read-only in this model, as section 11.4.6 allows.
            case ApicRegister.Version:
            case ApicRegister.ArbitrationPriority:
            case ApicRegister.ProcessorPriority:
            case ApicRegister.RemoteRead:
            case >= ApicRegister.InService and < ApicRegister.ErrorStatus:
            case ApicRegister.CurrentCount:
                break;
            default:
                ReportError(ApicErrors.IllegalRegisterAddress);
                break;
        }

        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public bool TryReadMsr(uint index, out ulong value)
    {
        ApplyInit();
        switch (index)
        {
            case TscDeadlineMsr:
                value = _timer.TscDeadline;
                return true;
            case BaseMsr:
                value = _base;
                return true;
            case >= FirstExtendedMsr and <= LastExtendedMsr when IsExtended:
                ApicRegister register = (ApicRegister)(index - FirstExtendedMsr);
                if (register == ApicRegister.Id)
                {
                    value = InitialId;
                    return true;
                }

                if (register == ApicRegister.CommandLow)
                {
                    value = _command;
                    return true;
                }

                if (register is ApicRegister.ArbitrationPriority or ApicRegister.RemoteRead or ApicRegister.DestinationFormat or ApicRegister.CommandHigh
                    or ApicRegister.EndOfInterrupt)
                {
                    value = 0;
                    return false;
                }

                return TryReadRegister(register, out value);
            default:
                value = 0;
                return false;
        }
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(uint index, ulong value)
    {
        ApplyInit();
        switch (index)
        {
            case TscDeadlineMsr:
                _timer.TscDeadline = value;
                return true;
            case BaseMsr:
                return TryWriteBase(value);
            case >= FirstExtendedMsr and <= LastExtendedMsr when IsExtended:
                return TryWriteExtended((ApicRegister)(index - FirstExtendedMsr), value);
            default:
                return false;
        }
    }

    private static bool IsPageRegister(ApicRegister register) => register < ApicRegister.SelfInterrupt;

    // Intel SDM volume 3, section 11.12.1.2: which registers x2APIC mode has, and what it refuses.
    private bool TryWriteExtended(ApicRegister register, ulong value)
    {
        switch (register)
        {
            case ApicRegister.EndOfInterrupt:
                if (value != 0)
                {
                    return false;
                }

                EndOfInterrupt();
                return true;
            case ApicRegister.CommandLow:
                if ((value & ReservedExtendedCommand) != 0)
                {
                    return false;
                }

                _command = value & ~(ulong)DeliveryPending;
                SendCommand((uint)(value >> 32));
                return true;
            case ApicRegister.TaskPriority:
                if (value > 0xff)
                {
                    return false;
                }

                WriteTaskPriority((byte)value);
                return true;
            case ApicRegister.SelfInterrupt:
                if (value > 0xff)
                {
                    return false;
                }

                SendToSelf((byte)value);
                return true;
            case ApicRegister.ErrorStatus:
                if (value != 0)
                {
                    return false;
                }

                LatchErrors();
                return true;
            case ApicRegister.SpuriousVector:
                return (value & ~0x13ffUL) == 0 && WritePlainRegister(register, (uint)value);
            case ApicRegister.InitialCount:
                return value <= uint.MaxValue && WritePlainRegister(register, (uint)value);
            case ApicRegister.DivideConfiguration:
                return (value & ~0xbUL) == 0 && WritePlainRegister(register, (uint)value);
            case >= ApicRegister.LocalTimer and <= ApicRegister.LocalError:
                int entry = register - ApicRegister.LocalTimer;
                if ((value & ~(ulong)EntryBits[entry]) != 0)
                {
                    return false;
                }

                WriteEntry(entry, (uint)value);
                return true;
            default:
                return false;
        }
    }

    private bool TryReadRegister(ApicRegister register, out ulong value)
    {
        switch (register)
        {
            case ApicRegister.Id:
                value = InitialId << 24;
                return true;
            case ApicRegister.Version:
                value = VersionValue;
                return true;
            case ApicRegister.TaskPriority:
                value = _taskPriority;
                return true;
            case ApicRegister.ArbitrationPriority:
                value = (uint)ArbitrationPriority;
                return true;
            case ApicRegister.ProcessorPriority:
                value = (uint)_processorPriority;
                return true;
            case ApicRegister.EndOfInterrupt:
            case ApicRegister.RemoteRead:
                value = 0;
                return true;
            case ApicRegister.LogicalDestination:
                value = IsExtended ? ExtendedLogicalId : _logicalDestination;
                return true;
            case ApicRegister.DestinationFormat:
                value = _destinationFormat;
                return true;
            case ApicRegister.SpuriousVector:
                value = _spuriousVector;
                return true;
            case >= ApicRegister.InService and < ApicRegister.TriggerMode:
                value = _inService.GetRegister(register - ApicRegister.InService);
                return true;
            case >= ApicRegister.TriggerMode and < ApicRegister.InterruptRequest:
                value = _triggerMode.GetRegister(register - ApicRegister.TriggerMode);
                return true;
            case >= ApicRegister.InterruptRequest and < ApicRegister.ErrorStatus:
                value = _requests.GetRegister(register - ApicRegister.InterruptRequest);
                return true;
            case ApicRegister.ErrorStatus:
                value = _errorStatus;
                return true;
            case ApicRegister.CommandLow:
                value = (uint)_command;
                return true;
            case ApicRegister.CommandHigh:
                value = _command >> 32;
                return true;
            case >= ApicRegister.LocalTimer and <= ApicRegister.LocalError:
                value = Volatile.Read(ref _entries[register - ApicRegister.LocalTimer]);
                return true;
            case ApicRegister.InitialCount:
                value = _timer.InitialCount;
                return true;
            case ApicRegister.CurrentCount:
                value = _timer.CurrentCount;
                return true;
            case ApicRegister.DivideConfiguration:
                value = _timer.DivideConfiguration;
                return true;
            default:
                value = 0;
                return false;
        }
    }

    private bool WritePlainRegister(ApicRegister register, uint value)
    {
        switch (register)
        {
            case ApicRegister.SpuriousVector:
                WriteSpuriousVector(value);
                break;
            case ApicRegister.InitialCount:
                _timer.WriteInitialCount(value);
                break;
            default:
                _timer.WriteDivideConfiguration(value);
                break;
        }

        return true;
    }

    private void WriteTaskPriority(byte value)
    {
        _taskPriority = value;
        UpdateProcessorPriority();
    }

    private void WriteSpuriousVector(uint value)
    {
        Volatile.Write(ref _spuriousVector, value & 0x13ff);
        if ((value & SoftwareEnable) == 0)
        {
            // Section 11.4.7.2: a software-disabled APIC has every local vector masked.
            for (int i = 0; i < EntryCount; i++)
            {
                Interlocked.Or(ref _entries[i], EntryMasked);
            }
        }
    }

    private void WriteEntry(int index, uint value)
    {
        if (index == TimerIndex)
        {
            // What has run down has done so by the entry of before, even if nobody has come to it yet.
            _timer.Settle();
        }

        uint masked = (_spuriousVector & SoftwareEnable) == 0 ? EntryMasked : 0;
        uint writable = EntryBits[index] & ~(DeliveryPending | EntryRemoteRequest);
        uint before = Volatile.Read(ref _entries[index]);
        uint after;
        uint seen;
        do
        {
            seen = Volatile.Read(ref _entries[index]);
            after = (value & writable) | masked;
            if ((after & EntryLevel) != 0)
            {
                after |= seen & EntryRemoteRequest;
            }
        }
        while (Interlocked.CompareExchange(ref _entries[index], after, seen) != seen);
        if (index == TimerIndex)
        {
            _timer.OnEntryChanged(before, after);
        }
        else if (index == Lint0Index && _bus.ExternalInterrupt && IsLevelEntry(after))
        {
            RaiseLint(Lint0Index);
        }
    }

    // A pin that follows the level of INTR: ExtINT always, fixed mode when it is programmed so.
    private static bool IsLevelEntry(uint entry) => (DeliveryMode)((entry >> 8) & 7) switch
    {
        DeliveryMode.External => true,
        DeliveryMode.Fixed => (entry & EntryLevel) != 0,
        _ => false,
    };

    private void LatchErrors() => _errorStatus = (uint)Interlocked.Exchange(ref _pendingErrors, 0);

    private void EndOfInterrupt()
    {
        EndHighest();
        SignalDeliverable();
    }

    private void EndHighest()
    {
        int highest = _inService.Highest;
        if (highest < 0)
        {
            return;
        }

        byte vector = (byte)highest;
        _inService.Clear(vector);
        SetProcessorPriority();
        if (!_triggerMode.Contains(vector))
        {
            return;
        }

        EndLevelLint0(vector);
        if ((_spuriousVector & SuppressEndOfInterruptBroadcast) == 0)
        {
            _bus.EndOfInterrupt(vector);
        }
    }

    private void EndLevelLint0(byte vector)
    {
        uint entry = Volatile.Read(ref _entries[Lint0Index]);
        if ((entry & EntryRemoteRequest) != 0 && (byte)entry == vector)
        {
            Interlocked.And(ref _entries[Lint0Index], ~EntryRemoteRequest);
            if (_bus.ExternalInterrupt)
            {
                RaiseLint(Lint0Index);
            }
        }
    }

    // Intel SDM volume 3, section 11.6.1.
    private void SendCommand(uint destination)
    {
        uint command = (uint)_command;
        DeliveryMode mode = (DeliveryMode)((command >> 8) & 7);
        byte vector = (byte)command;
        bool deassert = (command & 0x4000) == 0 && (command & 0x8000) != 0;
        if (mode is DeliveryMode.Reserved or DeliveryMode.External || (mode == DeliveryMode.Init && deassert))
        {
            return;
        }

        if (mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority && vector < 16)
        {
            ReportError(ApicErrors.SendIllegalVector);
            return;
        }

        InterruptMessage message = new(destination, (command & 0x800) != 0, mode, vector, Level: false);
        switch ((command >> 18) & 3)
        {
            case 0:
                _bus.Deliver(message);
                break;
            case 1:
                Accept(message);
                break;
            case 2:
                _bus.DeliverToAll(message, except: null);
                break;
            default:
                _bus.DeliverToAll(message, except: this);
                break;
        }
    }

    private void SendToSelf(byte vector)
    {
        if (vector < 16)
        {
            ReportError(ApicErrors.SendIllegalVector);
            return;
        }

        AcceptVector(vector, level: false);
    }

    // Intel SDM volume 3, section 11.12.5: disabled, xAPIC and x2APIC, and the ways between them.
    private bool TryWriteBase(ulong value)
    {
        const ulong modes = EnableFlag | ExtendedFlag;
        ulong from = _base & modes;
        ulong to = value & modes;
        bool invalid = to == ExtendedFlag || (from == modes && to == EnableFlag) || (from == 0 && to == modes);
        if (invalid || (value & _baseReserved) != 0)
        {
            return false;
        }

        if (to == 0 && from != 0)
        {
            ResetRegisters();
        }

        SetBase(value);
        return true;
    }
}
