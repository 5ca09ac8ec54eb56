using Lamina.Interop.Kvm;
using Lamina.Interop.Threading;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Kvm;

/// <summary>One processor of KVM: the loop around KVM_RUN.</summary>
internal sealed unsafe partial class KvmProcessor : IVirtualProcessor
{
    private const int ExitBit = 1;
    private const int InterruptBit = 2;
    private const int NonMaskableBit = 4;
    private const int InitBit = 8;
    private const int StartUpBit = 16;
    private const int DropBit = 32;
    private const int KickBit = 64;
    private const int StandBit = 128;

    private readonly KvmPartition _partition;
    private readonly PartitionSettings _settings;
    private readonly KvmVirtualProcessor _kvm;
    private readonly KvmRun* _run;
    private readonly ProcessorState _scratch = new();
    private readonly ProcessorState _powerOn = new();
    private InstructionAssist? _assist;
    private Thread? _thread;
    private int _threadNumber;
    private int _attention;
    private int _running;
    private volatile int _startUpVector = -1;
    private bool _halted;

    // While it has halted: an interrupt that comes ends that even if it is masked.
    private bool _haltEndsMasked;
    private bool _waitingForStartUp;
    private volatile bool _standsStill;
    private IProcessorEntry? _entry;

    // The next HLT ends at once.
    private bool _kicked;

    // The last exit is finished only by the next KVM_RUN.
    private bool _unfinished;
    private const int ExitReasons = 64;
    private readonly ulong[] _exitsByReason = new ulong[ExitReasons];
    private ulong _exits;
    private ulong _assisted;
    private bool _disposed;

    public KvmProcessor(KvmPartition partition, KvmVirtualProcessor kvm, int index)
    {
        _partition = partition;
        _interrupts = partition.Interrupts;
        _hasClock = partition.HasClock;
        _settings = partition.Settings;
        _personality = _settings.Personality;
        _follower = _personality as Machine.Personalities.ICounterLead;
        _kvm = kvm;
        _run = kvm.Run;
        Index = index;
        _waitingForStartUp = index != 0;
        _extendedState = new byte[kvm.ExtendedStateSize];
        if (kvm.SetCpuid(KvmCpuid.ForProcessor(_settings.Cpuid, index)) is var error and < 0)
        {
            throw new Interop.SystemCallException(KvmRequest.GetName(KvmRequest.SetCpuid), -error);
        }

        FindMsrs();
        SavePowerOn();
    }

    /// <inheritdoc/>
    public int Index { get; }

    /// <inheritdoc/>
    public ulong InstructionsRetired => 0;

    /// <inheritdoc/>
    public ProcessorCounters Counters => new(
        Volatile.Read(ref _exits),
        Volatile.Read(ref _assisted),
        CountExits(KvmExitReason.Port),
        CountExits(KvmExitReason.Mmio),
        CountExits(KvmExitReason.ReadMsr) + CountExits(KvmExitReason.WriteMsr),
        CountExits(KvmExitReason.Halt));

    /// <summary>The local APIC; null in tests without one.</summary>
    public ILocalInterruptController? Controller { get; set; }

    /// <summary>The page that KVM shares with us.</summary>
    internal KvmRun* SharedPage => _run;

    private InstructionAssist Assist => _assist ??= new InstructionAssist(_partition.AssistSettings, Index, _interrupts is null ? Controller : new HostedController(_kvm, Index), this);

    /// <inheritdoc/>
    public ProcessorExit Run()
    {
        BindThread();
        ContinueTime();
        ProcessorExit exit = RunLoop();
        NoteTime();
        return exit;
    }

    /// <inheritdoc/>
    public void RequestExit() => Ask(ExitBit);

    /// <inheritdoc/>
    public void SignalInterrupt() => Ask(InterruptBit);

    /// <inheritdoc/>
    public void SignalNonMaskable() => Ask(NonMaskableBit);

    /// <inheritdoc/>
    public void SignalSystemManagement()
    {
        // As on the software CPU, the machine has no system-management mode.
    }

    /// <inheritdoc/>
    public void SignalKick() => Ask(KickBit);

    /// <inheritdoc/>
    public void SignalInit() => Ask(InitBit);

    /// <inheritdoc/>
    public void SignalStartUp(byte vector)
    {
        _startUpVector = vector;
        Ask(StartUpBit);
    }

    /// <inheritdoc/>
    public bool IsUp
    {
        get
        {
            bool ended = Volatile.Read(ref _halted) && !_haltEndsMasked && _run->InterruptFlag == 0;
            return !_standsStill && !ended && !WaitsForStartUp;
        }
    }

    /// <inheritdoc/>
    public bool WaitsForStartUp
    {
        get
        {
            // What has come and was not looked at yet counts.
            int bits = Volatile.Read(ref _attention);
            return (bits & StartUpBit) == 0 && ((bits & InitBit) != 0 || Volatile.Read(ref _waitingForStartUp));
        }
    }

    /// <inheritdoc/>
    public void SignalBegin(IProcessorEntry entry)
    {
        Volatile.Write(ref _entry, entry);
        Ask(StartUpBit);
    }

    /// <inheritdoc/>
    public void SignalStandStill()
    {
        _standsStill = true;
        Ask(StandBit);
    }

    /// <inheritdoc/>
    public void SignalGoOn() => _standsStill = false;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _assist?.Dispose();
            _kvm.Dispose();
        }
    }

    private ProcessorExit RunLoop()
    {
        while (true)
        {
            int attention = Volatile.Read(ref _attention) == 0 ? 0 : Interlocked.Exchange(ref _attention, 0);
            if (attention != 0 && !Attend(attention, out ProcessorExit exit))
            {
                return exit;
            }

            if (_awaits != 0 && !AwaitDrops())
            {
                continue;
            }

            if (_standsStill)
            {
                return new ProcessorExit(ProcessorExitReason.Halted);
            }

            if (_interrupts is { } interrupts)
            {
                PrepareHostedEntry(interrupts);
            }
            else if (_waitingForStartUp || !PrepareEntry())
            {
                return new ProcessorExit(ProcessorExitReason.Halted);
            }

            // Whoever asks for attention after this look finds us running, and sends the signal.
            Interlocked.Exchange(ref _running, 1);
            if (Volatile.Read(ref _attention) != 0)
            {
                Volatile.Write(ref _running, 0);
                continue;
            }

            int result = _kvm.Enter();
            Volatile.Write(ref _running, 0);
            if (!HandleExit(result, out exit))
            {
                return exit;
            }

            FollowTime();
        }
    }

    private void Ask(int bit)
    {
        Interlocked.Or(ref _attention, bit);
        if (Volatile.Read(ref _running) != 0)
        {
            ThreadSignal.Send(Volatile.Read(ref _threadNumber));
        }
    }

    private void BindThread()
    {
        if (_thread != Thread.CurrentThread)
        {
            _thread = Thread.CurrentThread;
            Volatile.Write(ref _threadNumber, ThreadSignal.CurrentThread);
            _kvm.SetSignalMask(ThreadSignal.BlockInThisThread());
        }
    }

    // False: Run returns.
    private bool Attend(int attention, out ProcessorExit exit)
    {
        exit = default;
        if ((attention & (InitBit | StartUpBit | ExitBit | DropBit | StandBit)) != 0 && !FinishExit(out exit))
        {
            // The rest is still to be done, should the machine go on.
            Interlocked.Or(ref _attention, attention);
            return false;
        }

        if ((attention & (InitBit | StartUpBit)) != 0)
        {
            TakeResets(attention);
        }

        if ((attention & DropBit) != 0)
        {
            DropNow();
        }

        if ((attention & KickBit) != 0)
        {
            // Whoever kicks needs the machine's local APICs, with which HLT is here.
            _kicked = !_halted;
            _halted = false;
        }

        if ((attention & InterruptBit) != 0)
        {
            _halted &= !_haltEndsMasked;
        }

        if ((attention & NonMaskableBit) != 0 && TakesNonMaskable())
        {
            _halted = false;
            if (_kvm.NonMaskable() is var error and < 0)
            {
                exit = Failure(KvmRequest.NonMaskable, error);
                return false;
            }
        }

        if ((attention & ExitBit) != 0)
        {
            exit = new ProcessorExit(ProcessorExitReason.Requested);
            return false;
        }

        return true;
    }

    private void TakeResets(int attention)
    {
        bool init = (attention & InitBit) != 0;
        bool start = (attention & StartUpBit) != 0 && (init || _waitingForStartUp);
        IProcessorEntry? entry = (attention & StartUpBit) != 0 ? Interlocked.Exchange(ref _entry, null) : null;
        if (!init && !start)
        {
            return;
        }

        _standsStill &= !init;
        SaveAll(_scratch);
        if (Assist.Reset(_scratch, init, start && entry == null ? _startUpVector : -1) != AssistOutcome.Done)
        {
            return;
        }

        Load(_scratch, keepTime: true);
        if (start && entry != null)
        {
            entry.Apply(_scratch);
            _scratch.WaitingForStartUp = false;
            _ = _scratch.IsPossible(ReservedAddressBits) && Load(_scratch, keepTime: true);
        }
    }

    // Brings our interrupt controller and KVM together. False: the processor has nothing to run.
    private bool PrepareEntry()
    {
        if (Controller is not { } controller)
        {
            return !_halted;
        }

        _run->Cr8 = _taskPriority = controller.TaskPriorityClass;
        bool wanted = controller.HasInterrupt;
        if (_halted)
        {
            if (!wanted || _run->InterruptFlag == 0)
            {
                return false;
            }

            _halted = false;
        }

        if (wanted && _run->ReadyForInterrupt != 0)
        {
            if (controller.TryAcknowledge(out byte vector))
            {
                // KVM refuses it only if another is queued, and then it is not ready.
                _ = _kvm.Interrupt(vector);
                _run->ReadyForInterrupt = 0;
            }

            wanted = controller.HasInterrupt;
        }

        _run->RequestInterruptWindow = wanted ? (byte)1 : (byte)0;
        return true;
    }
}
