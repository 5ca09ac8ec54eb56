using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Interop.Threading;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>What guest code leaves KVM for.</summary>
internal sealed unsafe partial class KvmProcessor
{
    private const int EmulationError = 1;

    // A host that is short of something for a moment says "try again".
    private const int MostTryAgain = 100;
    private byte _taskPriority;
    private int _tryAgain;

    private static ProcessorExit Failure(uint request, int error)
    {
        return Failed($"{KvmRequest.GetName(request)}: {Marshal.GetPInvokeErrorMessage(-error)} (errno {-error})");
    }

    private static ProcessorExit Failed(string detail) => new(ProcessorExitReason.Failed, detail);

    // After KVM_RUN. False: Run returns.
    private bool HandleExit(int result, out ProcessorExit exit)
    {
        exit = default;
        if (result < 0)
        {
            if (result == -ErrorNumber.Interrupted)
            {
                ThreadSignal.Consume();
                _unfinished = false;
                FetchTaskPriority();
                return true;
            }

            if (result == -ErrorNumber.TryAgain && _interrupts is not null && _kvm.GetRunState() is KvmRunState.Uninitialized or KvmRunState.InitReceived)
            {
                // Something has woken a processor that waits for its start-up message.
                return true;
            }

            exit = Failure(KvmRequest.Run, result);
            return result == -ErrorNumber.TryAgain && ++_tryAgain < MostTryAgain;
        }

        _tryAgain = 0;

        Volatile.Write(ref _exits, _exits + 1);
        ref ulong ofReason = ref _exitsByReason[Math.Min(_run->ExitReason, ExitReasons - 1)];
        Volatile.Write(ref ofReason, ofReason + 1);
        _unfinished = false;
        FetchTaskPriority();
        _partition.DrainGathered(_kvm);
        switch ((KvmExitReason)_run->ExitReason)
        {
            case KvmExitReason.Port:
                _unfinished = true;
                AccessPort();
                return true;
            case KvmExitReason.Mmio:
                _unfinished = true;
                AccessMmio();
                return true;
            case KvmExitReason.ReadMsr:
            case KvmExitReason.WriteMsr:
                _unfinished = true;
                AccessMsr((KvmExitReason)_run->ExitReason == KvmExitReason.WriteMsr);
                return true;
            case KvmExitReason.Halt:
                Halt(endsMasked: false);
                return true;
            case KvmExitReason.Xen when _run->XenType == XenHypercall:
                _unfinished = true;
                CallByInstruction();
                return true;
            case KvmExitReason.InterruptWindow:
            case KvmExitReason.Interrupted:
            case KvmExitReason.TaskPriority:
                return true;
            case KvmExitReason.EndOfInterrupt:
                _interrupts?.Board?.EndOfInterrupt(_run->EndedVector);
                return true;
            case KvmExitReason.DirtyRingFull:
                _partition.MakeRoomInRings();
                return true;
            case KvmExitReason.Shutdown:
                exit = new ProcessorExit(ProcessorExitReason.Shutdown);
                return false;
            case KvmExitReason.InternalError when _run->InternalError == EmulationError:
                return ExecuteRefused(out exit);
            default:
                exit = Failed(Describe());
                return false;
        }
    }

    // Has KVM finish the instruction of the last exit, without executing another. False: Run returns.
    private bool FinishExit(out ProcessorExit exit)
    {
        exit = default;
        while (_unfinished)
        {
            _run->ImmediateExit = 1;
            int result = _kvm.Enter();
            _run->ImmediateExit = 0;
            if (!HandleExit(result, out exit))
            {
                return false;
            }
        }

        return true;
    }

    private void FetchTaskPriority()
    {
        byte now = (byte)(_run->Cr8 & 15);
        if (now != _taskPriority && _interrupts is null && Controller is { } controller)
        {
            controller.TaskPriorityClass = now;
            _taskPriority = now;
        }
    }

    private void AccessPort()
    {
        int size = _run->PortSize;
        byte* data = (byte*)_run + _run->PortDataOffset;
        bool write = _run->PortIsWrite != 0;
        ushort port = _run->Port;
        if (_personality is { } personality && TryAccessPersonality(personality, port, size, data, _run->PortCount, write))
        {
            return;
        }

        for (uint count = _run->PortCount; count > 0; count--, data += size)
        {
            // SAFETY: KVM keeps the data of all accesses inside the area that it shares.
            Span<byte> span = new(data, size);
            if (write)
            {
                _settings.Ports.Write(port, span);
            }
            else
            {
                _settings.Ports.Read(port, span);
            }
        }
    }

    private void AccessMmio()
    {
        ulong address = _run->MmioAddress;
        byte* data = (byte*)&_run->MmioData;
        int rest = (int)Math.Min(_run->MmioLength, sizeof(ulong));
        bool write = _run->MmioIsWrite != 0;
        while (rest > 0)
        {
            int piece = rest >= 8 ? 8 : rest >= 4 ? 4 : rest >= 2 ? 2 : 1;

            // SAFETY: a piece of the eight bytes in the shared page.
            Span<byte> span = new(data, piece);
            if (_interrupts is null && Controller is { } apic && address - apic.PageAddress < 0x1000)
            {
                if (write)
                {
                    apic.WritePage(address & 0xfff, span);
                }
                else
                {
                    apic.ReadPage(address & 0xfff, span);
                }
            }
            else if (write)
            {
                _settings.Mmio.Write(address, span);
            }
            else
            {
                _settings.Mmio.Read(address, span);
            }

            address += (ulong)piece;
            data += piece;
            rest -= piece;
        }
    }

    // What is neither the local APIC's nor the hypervisor's does not exist: KVM has answered for all that it knows.
    private void AccessMsr(bool write)
    {
        uint index = _run->MsrIndex;
        bool done = false;
        if (_interrupts is null && KvmMsrs.IsOfController(index) && Controller is { } controller)
        {
            if (write)
            {
                ulong value = _run->MsrData;
                done = controller.TryWriteMsr(index, index == KvmMsrs.TscDeadline ? ToMachineTicks(value) : value);
                if (done && index == KvmMsrs.ApicBase)
                {
                    CopyApicBase(value);
                }
            }
            else
            {
                done = controller.TryReadMsr(index, out ulong value);
                _run->MsrData = index == KvmMsrs.TscDeadline ? FromMachineTicks(value) : value;
            }
        }

        else if (_personality is { } personality)
        {
            done = AccessPersonality(personality, index, write);
        }

        _run->MsrError = done ? (byte)0 : (byte)1;
    }

    // CPUID and the width of the task priority follow it.
    private void CopyApicBase(ulong value)
    {
        _kvm.GetSystemRegisters(out KvmSystemRegisters registers);
        registers.ApicBase = value;
        _ = _kvm.SetSystemRegisters(registers);
    }

    private string Describe()
    {
        KvmExitReason reason = (KvmExitReason)_run->ExitReason;
        string what = reason switch
        {
            KvmExitReason.FailEntry => $"the hardware refuses the guest's state (reason 0x{_run->FailureReason:x})",
            KvmExitReason.InternalError => $"KVM's internal error {_run->InternalError}",
            KvmExitReason.Unknown => $"an exit that KVM does not know (hardware reason 0x{_run->FailureReason:x})",
            _ => string.Create(CultureInfo.InvariantCulture, $"KVM exit {_run->ExitReason}, which Lamina does not know"),
        };
        _kvm.GetRegisters(out KvmRegisters registers);
        return $"{what}, at RIP 0x{registers.Rip:x}";
    }

    private ulong CountExits(KvmExitReason reason) => Volatile.Read(ref _exitsByReason[(int)reason]);
}
