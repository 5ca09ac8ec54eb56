using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>Between KVM's idea of a processor and the architectural state that every accelerator shares.</summary>
internal sealed unsafe partial class KvmProcessor
{
    private const int BreakpointVector = 3;
    private const int OverflowVector = 4;
    private readonly byte[] _extendedState;
    private readonly List<MsrValue> _held = [];

    // Both with a first element for the call's own use.
    private KvmMsrEntry[] _known = [];
    private KvmMsrEntry[] _written = [];

    private ulong ReservedAddressBits => ((1UL << 52) - 1) & ~((1UL << _settings.PhysicalAddressBits) - 1);

    /// <inheritdoc/>
    public void Save(ProcessorState state)
    {
        int resets = Interlocked.And(ref _attention, ~(InitBit | StartUpBit)) & (InitBit | StartUpBit);
        if (resets != 0)
        {
            TakeResets(resets);
        }

        _partition.DrainGathered(_kvm);
        DeliverQueued();
        SaveAll(state, out KvmSystemRegisters system);
        TakeController(system);
        state.NonMaskablePending |= (Volatile.Read(ref _attention) & NonMaskableBit) != 0;
    }

    /// <inheritdoc/>
    public bool Restore(ProcessorState state)
    {
        Interlocked.And(ref _attention, ~NonMaskableBit);
        if (state.IsPossible(ReservedAddressBits) && Load(state, keepTime: false))
        {
            return true;
        }

        Load(_powerOn, keepTime: false);
        return false;
    }

    private void FindMsrs()
    {
        List<KvmMsrEntry> known = [default];
        foreach (uint index in KvmMsrs.Saved)
        {
            bool offered = index switch
            {
                KvmMsrs.TscAdjust => Offers(7, e => e.Ebx, 1),
                KvmMsrs.WallClock or KvmMsrs.SystemTime => _partition.HasClock,
                KvmMsrs.SpecCtrl => Offers(7, e => e.Edx, 26),
                _ => true,
            };
            if (offered && _kvm.TryGetMsr(index, out _))
            {
                known.Add(new KvmMsrEntry { Index = index });
            }
        }

        _known = [.. known];
        _written = new KvmMsrEntry[_known.Length];
    }

    private bool Offers(uint leaf, Func<CpuidEntry, uint> register, int bit)
    {
        return _settings.Cpuid.Any(e => e.Leaf == leaf && e.Subleaf is 0 or CpuidEntry.AnySubleaf && ((register(e) >> bit) & 1) != 0);
    }

    // KVM's own reset leaves out what depends on the machine.
    private void SavePowerOn()
    {
        const uint MiscEnable = 0x1a0;

        // AMD's processors begin with a task-state segment of 16 bits.
        const uint SegmentType = 15;
        const uint BusyTask = 11;
        SaveAll(_powerOn);
        _powerOn.TaskRegister = _powerOn.TaskRegister with { Attributes = (_powerOn.TaskRegister.Attributes & ~SegmentType) | BusyTask };
        _powerOn.GeneralRegisters[2] = _settings.Cpuid.FirstOrDefault(e => e.Leaf == 1).Eax;
        _powerOn.Msrs.RemoveAll(static m => m.Index is MiscEnable or KvmMsrs.TimeStampCounter);
        _powerOn.Msrs.Add(new MsrValue(MiscEnable, 1));
        Load(_powerOn, keepTime: false);
    }

    // An event that KVM has taken and not delivered is in no register. It is delivered now; faults and software interrupts come again by themselves.
    private void DeliverQueued()
    {
        _kvm.GetEvents(out KvmEvents events);
        bool interrupt = events.InterruptInjected != 0 && events.InterruptSoft == 0;
        bool exception = (events.ExceptionInjected | events.ExceptionPending) != 0 && events.ExceptionVector is not (BreakpointVector or OverflowVector);
        if (!interrupt && !exception)
        {
            return;
        }

        SaveAll(_scratch);
        SoftCpu.AssistOutcome outcome = interrupt
            ? Assist.DeliverInterrupt(_scratch, events.InterruptVector)
            : Assist.DeliverException(_scratch, events.ExceptionVector, events.ExceptionHasCode != 0, events.ExceptionCode);
        if (outcome == SoftCpu.AssistOutcome.Done)
        {
            Load(_scratch, keepTime: true);
        }
    }

    private void SaveAll(ProcessorState state) => SaveAll(state, out _);

    private void SaveAll(ProcessorState state, out KvmSystemRegisters system)
    {
        // First, because it makes KVM take resets that have come.
        SaveRunState();
        _kvm.GetRegisters(out KvmRegisters general);
        _kvm.GetSystemRegisters(out system);
        _kvm.GetEvents(out KvmEvents events);
        _kvm.GetDebugRegisters(out KvmDebugRegisters debug);
        KvmStateTransfer.FromGeneral(general, state);
        KvmStateTransfer.FromSystem(system, state);
        KvmStateTransfer.FromEvents(events, state);
        KvmStateTransfer.FromDebug(debug, state);
        state.Cr8 = _interrupts is null && Controller is { } controller ? controller.TaskPriorityClass : system.Cr8;
        state.Xcr0 = _kvm.GetExtendedControl();
        _kvm.GetExtendedState(_extendedState);
        KvmStateTransfer.FromExtended(_extendedState, state);
        // Whoever waits for anything looks again where the state is loaded.
        state.Halted = _halted && !_haltEndsMasked;
        state.WaitingForStartUp = _waitingForStartUp;
        state.StandsStill = _standsStill;
        SaveMsrs(state, system);
    }

    private void SaveMsrs(ProcessorState state, in KvmSystemRegisters system)
    {
        _kvm.GetMsrs(_known);
        state.Msrs.Clear();
        for (int n = 1; n < _known.Length; n++)
        {
            bool pendingTime = _known[n].Index == KvmMsrs.TimeStampCounter && _timePending;
            state.Msrs.Add(new MsrValue(_known[n].Index, pendingTime ? MachineTicks + _tscOffset : _known[n].Value));
        }

        state.Msrs.Add(new MsrValue(KvmMsrs.Efer, system.Efer));
        state.Msrs.Add(new MsrValue(KvmMsrs.FsBase, system.Fs.Base));
        state.Msrs.Add(new MsrValue(KvmMsrs.GsBase, system.Gs.Base));
        state.Msrs.AddRange(_held);
    }

    // False: KVM refuses something.
    private bool Load(ProcessorState state, bool keepTime)
    {
        _kvm.GetSystemRegisters(out KvmSystemRegisters system);
        KvmStateTransfer.ToSystem(state, ref system);
        system.Cr8 = state.Cr8 & 15;
        if (_interrupts is null && Controller is { } controller)
        {
            controller.TaskPriorityClass = (byte)system.Cr8;
            _ = controller.TryReadMsr(KvmMsrs.ApicBase, out system.ApicBase);
        }

        // An instruction executed in KVM's place leaves the local APIC, to which others may be sending, as it is.
        bool gives = !keepTime && _interrupts is not null && Controller is ILocalApicRecord;
        if (gives)
        {
            ((ILocalApicRecord)Controller!).HandOver(_apic);
            system.ApicBase = _apic.Base;
        }

        foreach (MsrValue msr in state.Msrs)
        {
            switch (msr.Index)
            {
                case KvmMsrs.Efer:
                    system.Efer = msr.Value;
                    break;
                case KvmMsrs.FsBase:
                    system.Fs.Base = msr.Value;
                    break;
                case KvmMsrs.GsBase:
                    system.Gs.Base = msr.Value;
                    break;
            }
        }

        KvmStateTransfer.ToGeneral(state, out KvmRegisters general);
        KvmStateTransfer.ToDebug(state, out KvmDebugRegisters debug);
        KvmStateTransfer.ToExtended(state, _extendedState);
        KvmEvents events = default;
        KvmStateTransfer.ToEvents(state, ref events);
        _run->DirtyRegisters = 0;
        _unfinished = false;
        bool loaded = _kvm.SetSystemRegisters(system) >= 0
            && (_kvm.SetExtendedControl(state.Xcr0) >= 0 || state.Xcr0 == 1)
            && _kvm.SetExtendedState(_extendedState) >= 0
            && _kvm.SetDebugRegisters(debug) >= 0
            && LoadMsrs(state, ofAssist: keepTime)
            && (!gives || GiveController());
        if (!loaded)
        {
            return false;
        }

        _kvm.SetRegisters(general);
        _kvm.SetEvents(events);
        _halted = state.Halted;
        _haltEndsMasked = false;
        _waitingForStartUp = state.WaitingForStartUp;
        LoadRunState();
        _taskPriority = (byte)system.Cr8;
        _run->Cr8 = system.Cr8;
        _run->InterruptFlag = (byte)((state.Rflags >> 9) & 1);
        _run->ReadyForInterrupt = 0;
        if (!keepTime)
        {
            _kicked = false;
            _standsStill = state.StandsStill;
            TakeTime(state);
            if (_personality is { } personality)
            {
                ShowInvariantTsc(personality);
            }
        }

        return true;
    }

    private bool LoadMsrs(ProcessorState state, bool ofAssist)
    {
        if (!ofAssist)
        {
            _held.Clear();
        }

        int count = 1;
        foreach (MsrValue msr in state.Msrs)
        {
            if (msr.Index is KvmMsrs.TimeStampCounter or KvmMsrs.Efer or KvmMsrs.FsBase or KvmMsrs.GsBase)
            {
                continue;
            }

            if (Array.Exists(_known, k => k.Index == msr.Index) && count < _written.Length)
            {
                _written[count++] = new KvmMsrEntry { Index = msr.Index, Value = msr.Value };
            }
            else if (!ofAssist)
            {
                _held.Add(msr);
            }
            else if (_held.FindIndex(h => h.Index == msr.Index) is var held and >= 0)
            {
                // The interpreter may have registers that are none of this machine's.
                _held[held] = msr;
            }
        }

        int first = 1;
        while (first < count)
        {
            first += _kvm.SetMsrs(_written.AsSpan(first - 1, count - first + 1));

            // A register that holds the value already need not be writable.
            if (first < count && (!_kvm.TryGetMsr(_written[first].Index, out ulong now) || now != _written[first].Value))
            {
                return false;
            }

            first++;
        }

        return true;
    }
}
