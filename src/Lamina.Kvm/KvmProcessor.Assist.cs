using System.Globalization;
using Lamina.Interop.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Kvm;

/// <summary>Instructions that KVM refuses to emulate: the interpreter executes them in its place.</summary>
internal sealed unsafe partial class KvmProcessor
{
    private const ulong SyncGeneral = 1;
    private const ulong SyncSystem = 2;
    private const ulong SyncEvents = 4;
    private const ulong HasInstructionBytes = 1;

    // Of this many assists in a row, most must have followed another directly before KVM counts as of no use.
    private const int JudgedAssists = 4096;
    private const int MostDirect = JudgedAssists * 19 / 20;

    private readonly ProcessorState _assistState = new();
    private ulong _exitsBefore;
    private ulong _resumedAt = ulong.MaxValue;
    private int _judged;
    private int _direct;

    // False: Run returns.
    private bool ExecuteRefused(out ProcessorExit exit)
    {
        exit = default;
        AssistOutcome outcome = IsPlain() ? ExecutePlain() : ExecuteAny();
        if (outcome == AssistOutcome.ShutDown)
        {
            exit = new ProcessorExit(ProcessorExitReason.Shutdown);
            return false;
        }

        if (outcome == AssistOutcome.Impossible)
        {
            exit = Failed("KVM's state of the processor is one that no processor can have");
            return false;
        }

        Volatile.Write(ref _assisted, _assisted + 1);
        return Judge(out exit);
    }

    // CMPXCHG8B and CMPXCHG16B, which a kernel may use all the time, touch general registers and memory alone. With the registers in the shared page they cost no call.
    private bool IsPlain()
    {
        if (_run->InternalDataCount < 4 || (_run->InternalData0 & HasInstructionBytes) == 0)
        {
            return false;
        }

        // SAFETY: a length and fifteen bytes in the shared page.
        byte* p = (byte*)&_run->InternalData1;
        ReadOnlySpan<byte> bytes = new(p + 1, Math.Min((int)*p, 15));
        int n = 0;
        while (n < bytes.Length && (bytes[n] is 0x66 or 0x67 or 0xf0 or 0xf2 or 0xf3 or 0x26 or 0x2e or 0x36 or 0x3e or 0x64 or 0x65 || (bytes[n] & 0xf0) == 0x40))
        {
            n++;
        }

        return n + 2 < bytes.Length && bytes[n] == 0x0f && bytes[n + 1] == 0xc7 && ((bytes[n + 2] >> 3) & 7) == 1;
    }

    private AssistOutcome ExecutePlain()
    {
        if (_run->ValidRegisters == 0)
        {
            // From now on KVM leaves the registers in the page at every exit.
            _run->ValidRegisters = SyncGeneral | SyncSystem | SyncEvents;
            _kvm.GetRegisters(out _run->Registers);
            _kvm.GetSystemRegisters(out _run->SystemRegisters);
            _kvm.GetEvents(out _run->Events);
        }

        NoteDirect(_run->Registers.Rip);
        ProcessorState state = _assistState;
        KvmStateTransfer.FromGeneral(_run->Registers, state);
        KvmStateTransfer.FromSystem(_run->SystemRegisters, state);
        KvmStateTransfer.FromEvents(_run->Events, state);
        state.Xcr0 = 1;
        state.Msrs.Clear();
        state.Msrs.Add(new MsrValue(KvmMsrs.Efer, _run->SystemRegisters.Efer));
        AssistOutcome outcome = Assist.Execute(state);
        if (outcome == AssistOutcome.Done)
        {
            KvmStateTransfer.ToGeneral(state, out _run->Registers);
            _run->DirtyRegisters = SyncGeneral;
            KvmSystemRegisters system = _run->SystemRegisters;
            KvmStateTransfer.ToSystem(state, ref system);
            if (!Same(system, _run->SystemRegisters))
            {
                // A fault was delivered.
                _run->SystemRegisters = system;
                _run->DirtyRegisters |= SyncSystem;
            }

            if (state.InterruptShadow != (_run->Events.InterruptShadow != 0))
            {
                KvmEvents events = _run->Events;
                KvmStateTransfer.ToEvents(state, ref events);
                _run->Events = events;
                _run->DirtyRegisters |= SyncEvents;
            }

            _unfinished = true;
            _run->InterruptFlag = (byte)((state.Rflags >> 9) & 1);
            _run->ReadyForInterrupt = 0;
        }

        _resumedAt = state.Rip;
        return outcome;
    }

    private AssistOutcome ExecuteAny()
    {
        SaveAll(_assistState);
        NoteDirect(_assistState.Rip);
        AssistOutcome outcome = Assist.Execute(_assistState);
        if (outcome == AssistOutcome.Done && !Load(_assistState, keepTime: true))
        {
            return AssistOutcome.Impossible;
        }

        _resumedAt = _assistState.Rip;
        return outcome;
    }

    private static bool Same(in KvmSystemRegisters a, in KvmSystemRegisters b)
    {
        fixed (KvmSystemRegisters* p = &a, q = &b)
        {
            // SAFETY: two structures without gaps.
            return new ReadOnlySpan<byte>(p, sizeof(KvmSystemRegisters)).SequenceEqual(new ReadOnlySpan<byte>(q, sizeof(KvmSystemRegisters)));
        }
    }

    // KVM executed nothing since the last assist if it fails where that one ended.
    private void NoteDirect(ulong rip)
    {
        _judged++;
        _direct += rip == _resumedAt && _exits == _exitsBefore + 1 ? 1 : 0;
        _exitsBefore = _exits;
    }

    private bool Judge(out ProcessorExit exit)
    {
        exit = default;
        if (_judged < JudgedAssists)
        {
            return true;
        }

        int direct = _direct;
        _judged = _direct = 0;
        if (direct < MostDirect)
        {
            return true;
        }

        exit = new ProcessorExit(
            ProcessorExitReason.Unsuited,
            string.Create(CultureInfo.InvariantCulture, $"KVM executed nothing itself between {direct} of {JudgedAssists} instructions that it refused"));
        return false;
    }
}
