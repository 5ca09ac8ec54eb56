using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;

namespace Lamina.Kvm;

/// <summary>The processor's local APIC, where KVM has it.</summary>
internal sealed unsafe partial class KvmProcessor
{
    private const int TimerEntry = 0x32;
    private const int Lint1Entry = 0x36;
    private const int InitialCount = 0x38;
    private const int CurrentCount = 0x39;
    private const uint EntryMasked = 1 << 16;
    private const uint EntryMode = 7 << 8;
    private const uint NonMaskableMode = 4 << 8;
    private const uint TimerMode = 3 << 17;

    private readonly KvmInterrupts? _interrupts;
    private readonly LocalApicState _apic = new();

    // When the timer fires that goes by the time-stamp counter, in ticks of the machine clock, while the processor stands still.
    private ulong _heldDeadline;

    // The 8259's interrupt, which does not go through the local APIC. False: nothing to run, which KVM finds out itself.
    private void PrepareHostedEntry(KvmInterrupts interrupts)
    {
        bool wanted = !interrupts.HasLineControllers && interrupts.Board is { ExternalInterrupt: true };
        if (wanted && _run->ReadyForInterrupt != 0)
        {
            // KVM is ready only while LINT0 lets the interrupt through.
            _ = _kvm.Interrupt(interrupts.Board!.AcknowledgeExternal());
            _run->ReadyForInterrupt = 0;
            wanted = interrupts.Board.ExternalInterrupt;
        }

        _run->RequestInterruptWindow = wanted ? (byte)1 : (byte)0;
    }

    // A pulse on LINT1.
    private bool TakesNonMaskable()
    {
        if (_interrupts is null)
        {
            return !_waitingForStartUp;
        }

        _kvm.GetLocalApic(out KvmLocalApic apic);
        return (apic[Lint1Entry] & (EntryMasked | EntryMode)) == NonMaskableMode;
    }

    private void TakeController(in KvmSystemRegisters system)
    {
        if (_interrupts is null || Controller is not ILocalApicRecord record)
        {
            return;
        }

        _kvm.GetLocalApic(out KvmLocalApic apic);
        for (int n = 0; n < KvmLocalApic.RegisterCount; n++)
        {
            _apic.Registers[n] = apic[n];
        }

        // Whether a single shot has been delivered cannot be seen. One too many is better than one too few.
        if ((apic[TimerEntry] & (TimerMode | EntryMasked)) == 0 && apic[InitialCount] != 0 && apic[CurrentCount] == 0)
        {
            _apic.Registers[CurrentCount] = 1;
        }

        _apic.Base = system.ApicBase;
        _apic.TscDeadline = _heldDeadline;
        record.TakeBack(_apic);
    }

    // False: KVM refuses it.
    private bool GiveController()
    {
        KvmLocalApic apic = default;
        for (int n = 0; n < KvmLocalApic.RegisterCount; n++)
        {
            apic[n] = _apic.Registers[n];
        }

        _heldDeadline = _apic.TscDeadline;
        return _kvm.SetLocalApic(apic) >= 0;
    }

    private void SaveRunState()
    {
        if (_interrupts is not null)
        {
            KvmRunState state = _kvm.GetRunState();
            _halted = state == KvmRunState.Halted;
            _waitingForStartUp = state is KvmRunState.Uninitialized or KvmRunState.InitReceived;
        }
    }

    private void LoadRunState()
    {
        if (_interrupts is not null)
        {
            _kvm.SetRunState(_waitingForStartUp ? KvmRunState.InitReceived : _halted ? KvmRunState.Halted : KvmRunState.Runnable);
        }
    }

    // While the processor stands still, the timer does too.
    private void HoldDeadline()
    {
        if (_interrupts is not null && _kvm.TryGetMsr(KvmMsrs.TscDeadline, out ulong deadline) && deadline != 0)
        {
            _heldDeadline = ToMachineTicks(deadline);
            _ = _kvm.TrySetMsr(KvmMsrs.TscDeadline, 0);
        }
    }

    private void ReleaseDeadline()
    {
        if (_heldDeadline != 0)
        {
            _ = _kvm.TrySetMsr(KvmMsrs.TscDeadline, FromMachineTicks(_heldDeadline));
            _heldDeadline = 0;
        }
    }
}
