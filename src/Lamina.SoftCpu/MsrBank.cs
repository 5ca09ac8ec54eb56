using Lamina.Machine.Processors;
using Lamina.Machine.Time;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>RDMSR and WRMSR of one processor. A register that does not exist, and a value that a register cannot hold, is a #GP: the answer <c>false</c>.</summary>
internal sealed unsafe class MsrBank
{
    private const ulong EferSyscall = 1;
    private const ulong EferLongModeEnable = 1 << 8;
    private const ulong EferLongModeActive = 1 << 10;
    private const ulong EferNoExecute = 1 << 11;
    private const ulong DefaultPat = 0x0007_0406_0007_0406;
    private const ulong MtrrCapabilityValue = 0x508;
    private const uint MtrrCount = 8;
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong ArchCapabilityValue = ArchitecturalCapabilities.Value;

    private readonly SoftwareProcessor _processor;
    private readonly IMachineClock _clock;
    private readonly ulong _tscFrequency;
    private readonly ulong[] _mtrrVariable = new ulong[2 * MtrrCount];
    private readonly ulong[] _mtrrFixed = new ulong[11];
    private readonly ulong[] _machineCheck = new ulong[40];
    private ulong _mtrrDefault;
    private ulong _pat = DefaultPat;
    private ulong _tscOffset;
    private ulong _tscAdjust;
    private ulong _specCtrl;
    private ulong _miscEnable;
    private ulong _mcgStatus;
    private ulong _featureControl;

    public MsrBank(SoftwareProcessor processor, PartitionSettings settings)
    {
        _processor = processor;
        _clock = settings.Clock;
        _tscFrequency = settings.TscFrequency;
    }

    /// <summary>Values after power-on.</summary>
    public void Reset()
    {
        Array.Clear(_mtrrVariable);
        Array.Clear(_mtrrFixed);
        Array.Clear(_machineCheck);
        _mtrrDefault = 0;
        _pat = DefaultPat;
        _tscOffset = 0;
        _tscAdjust = 0;
        _specCtrl = 0;
        _mcgStatus = 0;

        // Locked by firmware, VMX off; fast strings on.
        _featureControl = 1;
        _miscEnable = 1;
    }

    /// <summary>The time-stamp counter.</summary>
    public ulong ReadTsc()
    {
        ulong now = _clock.Now;
        ulong ticks = _tscFrequency == NanosecondsPerSecond ? now : (ulong)((UInt128)now * _tscFrequency / NanosecondsPerSecond);
        return ticks + _tscOffset;
    }

    /// <summary>Says where translated code finds the counter while the processor runs. On its thread: before it begins, and when the counter is set.</summary>
    public void ShowTimeStamp()
    {
        ProcessorContext* c = _processor.Context;
        ulong? behind = _tscFrequency == NanosecondsPerSecond ? _clock.HostOffset : null;
        c->CountsHostTime = behind != null;
        c->TscLead = _tscOffset - (behind ?? 0);
    }

    /// <summary>Reads.</summary>
    public bool TryRead(uint index, out ulong value)
    {
        ProcessorContext* c = _processor.Context;
        switch (index)
        {
            case Msr.ApicBase or Msr.TscDeadline or (>= Msr.X2ApicFirst and <= Msr.X2ApicLast):
                value = 0;
                return _processor.Controller is { } apic && apic.TryReadMsr(index, out value);
            case Msr.TimeStampCounter:
                value = ReadTsc();
                return true;
            case Msr.Efer:
                value = c->Efer;
                return true;
            case Msr.Star:
                value = c->Star;
                return true;
            case Msr.Lstar:
                value = c->Lstar;
                return true;
            case Msr.Cstar:
                value = c->Cstar;
                return true;
            case Msr.Fmask:
                value = c->Fmask;
                return true;
            case Msr.FsBase:
                value = c->Segments[SegmentRegister.Fs].Base;
                return true;
            case Msr.GsBase:
                value = c->Segments[SegmentRegister.Gs].Base;
                return true;
            case Msr.KernelGsBase:
                value = c->KernelGsBase;
                return true;
            case Msr.TscAux:
                value = c->TscAux;
                return true;
            case Msr.SysenterCs:
                value = c->SysenterCs;
                return true;
            case Msr.SysenterEsp:
                value = c->SysenterEsp;
                return true;
            case Msr.SysenterEip:
                value = c->SysenterEip;
                return true;
            case Msr.Pat:
                value = _pat;
                return true;
            case Msr.TscAdjust:
                value = _tscAdjust;
                return Has(ProcessorFeatures.TscAdjust);
            case Msr.SpecCtrl:
                value = _specCtrl;
                return Has(ProcessorFeatures.SpecCtrl);
            case Msr.ArchCapabilities:
                value = ArchCapabilityValue;
                return Has(ProcessorFeatures.ArchCapabilities);
            case Msr.MiscEnable:
                value = _miscEnable;
                return true;
            case Msr.FeatureControl:
                value = _featureControl;
                return true;
            case Msr.McgCapabilities:
                // Ten banks, no control register.
                value = 10;
                return true;
            case Msr.McgStatus:
                value = _mcgStatus;
                return true;
            case >= Msr.MachineCheckBank0 and <= Msr.MachineCheckBankLast:
                value = _machineCheck[index - Msr.MachineCheckBank0];
                return true;
            case Msr.MtrrCapabilities:
                value = MtrrCapabilityValue;
                return true;
            case Msr.MtrrDefaultType:
                value = _mtrrDefault;
                return true;
            case >= Msr.MtrrPhysicalBase0 and <= Msr.MtrrPhysicalLast:
                value = _mtrrVariable[index - Msr.MtrrPhysicalBase0];
                return true;
            case Msr.MtrrFixed64K or Msr.MtrrFixed16KFirst or Msr.MtrrFixed16KLast or (>= Msr.MtrrFixed4KFirst and <= Msr.MtrrFixed4KLast):
                value = _mtrrFixed[FixedIndex(index)];
                return true;
            case Msr.MicrocodeRevision:
                // A revision that no update supersedes.
                value = 0xffff_ffffUL << 32;
                return true;
            case Msr.PlatformInfo:
                // Maximum non-turbo ratio in units of 100 MHz.
                value = Math.Min(_tscFrequency / 100_000_000, 255) << 8;
                return true;
            case Msr.P5McAddress or Msr.P5McType or Msr.PlatformId or Msr.DebugControl:
                value = 0;
                return true;
            default:
                value = 0;
                return _processor.Partition.Personality is { } personality && personality.TryReadMsr(_processor.Index, ReadTsc(), index, out value);
        }
    }

    /// <summary>Writes.</summary>
    public bool TryWrite(uint index, ulong value)
    {
        ProcessorContext* c = _processor.Context;
        switch (index)
        {
            case Msr.ApicBase or Msr.TscDeadline or (>= Msr.X2ApicFirst and <= Msr.X2ApicLast):
                return _processor.Controller is { } apic && apic.TryWriteMsr(index, value);
            case Msr.TimeStampCounter:
                ulong before = _tscOffset;
                _tscOffset = value - (ReadTsc() - _tscOffset);
                _tscAdjust += _tscOffset - before;
                TellTimeStamp(before);
                return true;
            case Msr.TscAdjust:
                if (!Has(ProcessorFeatures.TscAdjust))
                {
                    return false;
                }

                before = _tscOffset;
                _tscOffset += value - _tscAdjust;
                _tscAdjust = value;
                TellTimeStamp(before);
                return true;
            case Msr.Efer:
                return WriteEfer(c, value);
            case Msr.Star:
                c->Star = value;
                return true;
            case Msr.Lstar:
                return WriteAddress(ref c->Lstar, value);
            case Msr.Cstar:
                return WriteAddress(ref c->Cstar, value);
            case Msr.Fmask:
                c->Fmask = (uint)value;
                return true;
            case Msr.FsBase:
                return WriteSegmentBase(c, SegmentRegister.Fs, value);
            case Msr.GsBase:
                return WriteSegmentBase(c, SegmentRegister.Gs, value);
            case Msr.KernelGsBase:
                return WriteAddress(ref c->KernelGsBase, value);
            case Msr.TscAux:
                return WriteChecked(ref c->TscAux, (uint)value, value <= uint.MaxValue);
            case Msr.SysenterCs:
                c->SysenterCs = (uint)value;
                return true;
            case Msr.SysenterEsp:
                return WriteAddress(ref c->SysenterEsp, value);
            case Msr.SysenterEip:
                return WriteAddress(ref c->SysenterEip, value);
            case Msr.Pat:
                return WritePat(value);
            case Msr.SpecCtrl:
                // IBRS, STIBP, SSBD, BHI_DIS_S.
                return WriteChecked(ref _specCtrl, value, Has(ProcessorFeatures.SpecCtrl) && (value & ~0x407UL) == 0);
            case Msr.PredCmd:
                return Has(ProcessorFeatures.SpecCtrl) && value <= 1;
            case Msr.FlushCmd:
                return false;
            case Msr.MiscEnable:
                _miscEnable = value;
                return true;
            case Msr.McgStatus:
                _mcgStatus = value;
                return true;
            case >= Msr.MachineCheckBank0 and <= Msr.MachineCheckBankLast:
                return WriteMachineCheck(index - Msr.MachineCheckBank0, value);
            case Msr.MtrrDefaultType:
                return WriteChecked(ref _mtrrDefault, value, (value & ~0xcffUL) == 0 && IsMemoryType(value & 0xff));
            case >= Msr.MtrrPhysicalBase0 and <= Msr.MtrrPhysicalLast:
                return WriteMtrr(index - Msr.MtrrPhysicalBase0, value);
            case Msr.MtrrFixed64K or Msr.MtrrFixed16KFirst or Msr.MtrrFixed16KLast or (>= Msr.MtrrFixed4KFirst and <= Msr.MtrrFixed4KLast):
                return WriteFixedMtrr(index, value);
            case Msr.MicrocodeRevision or Msr.P5McAddress or Msr.P5McType:
                return true;
            case Msr.MicrocodeUpdate:
                return true;
            case Msr.DebugControl:
                return value == 0;
            default:
                return _processor.Partition.Personality is { } personality && personality.TryWriteMsr(_processor.Index, ReadTsc(), index, value);
        }
    }

    /// <summary>Registers that a saved state holds.</summary>
    public static ReadOnlySpan<uint> SavedRegisters =>
    [
        Msr.TimeStampCounter, Msr.TscAdjust, Msr.SpecCtrl, Msr.MiscEnable, Msr.SysenterCs, Msr.SysenterEsp, Msr.SysenterEip, Msr.Pat, Msr.MtrrDefaultType,
        Msr.MtrrFixed64K, Msr.MtrrFixed16KFirst, Msr.MtrrFixed16KLast,
        0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
        0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
        Msr.McgStatus, Msr.Efer, Msr.Star, Msr.Lstar, Msr.Cstar, Msr.Fmask, Msr.FsBase, Msr.GsBase, Msr.KernelGsBase, Msr.TscAux,
    ];

    // A reset, which writes what is there already, sets no clock apart from the others.
    private void TellTimeStamp(ulong before)
    {
        ShowTimeStamp();
        if (_tscOffset != before)
        {
            _processor.Partition.Personality?.OnTimeStampSet(_processor.Index, ReadTsc());
        }
    }

    private bool Has(ProcessorFeatures feature) => (_processor.Features & feature) != 0;

    private bool WriteEfer(ProcessorContext* c, ulong value)
    {
        ulong allowed = EferLongModeActive;
        allowed |= Has(ProcessorFeatures.Syscall) ? EferSyscall : 0;
        allowed |= Has(ProcessorFeatures.Nx) ? EferNoExecute : 0;
        allowed |= Has(ProcessorFeatures.LongMode) ? EferLongModeEnable : 0;
        bool paging = (c->Cr0 & (1UL << 31)) != 0;
        if ((value & ~allowed) != 0 || (paging && ((value ^ c->Efer) & EferLongModeEnable) != 0))
        {
            return false;
        }

        c->Efer = (value & ~EferLongModeActive) | (c->Efer & EferLongModeActive);
        MemoryUnit.FlushTlb(c);
        ProcessorMode.Update(c);
        return true;
    }

    private static bool WriteAddress(ref ulong register, ulong value) => WriteChecked(ref register, value, MemoryUnit.IsCanonical(value));

    private static bool WriteChecked<T>(ref T register, T value, bool allowed)
        where T : unmanaged
    {
        register = allowed ? value : register;
        return allowed;
    }

    private static bool WriteSegmentBase(ProcessorContext* c, int segment, ulong value)
    {
        if (!MemoryUnit.IsCanonical(value))
        {
            return false;
        }

        c->Segments[segment].Base = value;
        c->SegmentBase[segment] = value;
        return true;
    }

    private bool WritePat(ulong value)
    {
        for (int n = 0; n < 8; n++)
        {
            ulong type = (value >> (8 * n)) & 0xff;
            if (type is not (0 or 1 or 4 or 5 or 6 or 7))
            {
                return false;
            }
        }

        _pat = value;
        return true;
    }

    private static bool IsMemoryType(ulong type) => type is 0 or 1 or 4 or 5 or 6;

    private bool WriteMtrr(uint index, ulong value)
    {
        ulong reserved = _processor.ReservedAddressBits | 0xfff0_0000_0000_0000;
        bool mask = (index & 1) != 0;
        if ((value & reserved) != 0 || (mask ? (value & 0x7ff) != 0 : (value & 0xf00) != 0 || !IsMemoryType(value & 0xff)))
        {
            return false;
        }

        _mtrrVariable[index] = value;
        return true;
    }

    private bool WriteFixedMtrr(uint index, ulong value)
    {
        for (int n = 0; n < 8; n++)
        {
            if (!IsMemoryType((value >> (8 * n)) & 0xff))
            {
                return false;
            }
        }

        _mtrrFixed[FixedIndex(index)] = value;
        return true;
    }

    private static uint FixedIndex(uint index) => index switch
    {
        Msr.MtrrFixed64K => 0,
        Msr.MtrrFixed16KFirst => 1,
        Msr.MtrrFixed16KLast => 2,
        _ => index - Msr.MtrrFixed4KFirst + 3,
    };

    // CTL is all or nothing, but for a bit that some guests leave off; STATUS takes zero; ADDR and MISC take anything, as under KVM.
    private bool WriteMachineCheck(uint index, ulong value)
    {
        bool allowed = (index & 3) switch
        {
            0 => value == 0 || (value | (1 << 10)) == ulong.MaxValue,
            1 => value == 0,
            _ => true,
        };
        if (allowed)
        {
            _machineCheck[index] = value;
        }

        return allowed;
    }
}
