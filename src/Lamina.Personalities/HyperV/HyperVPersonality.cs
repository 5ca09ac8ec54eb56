using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;
using Lamina.Personalities.HyperV.Memory;

namespace Lamina.Personalities.HyperV;

/// <summary>
/// The hypervisor of a Hyper-V child partition (Top-Level Functional Specification 6.0b): leaves, reference time, hypercall page, local APIC registers, synthetic interrupt controllers and
/// timers. VMBus, which the parent partition serves, is connected as <see cref="Port"/>.
/// </summary>
public sealed class HyperVPersonality : IPersonality, ICounterLead
{
    private const ulong Enable = 1;
    private const ulong Locked = 2;
    private const ulong AddressMask = ~0xfffUL;
    private const ulong CrashNotify = 1UL << 63;
    private const uint InterfaceSignature = 0x3123_7648;
    private const uint MaximumLeaf = 0x4000_0006;
    private const int CrashCount = 5;
    private const int FieldsPerProcessor = 32;

    private readonly PersonalitySettings _settings;
    private readonly CounterClock _clock;
    private readonly ILock _gate;
    private readonly ReferenceTime _time;
    private readonly HyperVHypercalls _hypercalls;
    private readonly HyperVProcessor[] _processors;
    private readonly ulong[] _crash = new ulong[CrashCount];
    private ulong _guestOsId;
    private ulong _hypercall;
    private ulong _tscInvariant;

    /// <summary>Makes it.</summary>
    public HyperVPersonality(PersonalitySettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _clock = new CounterClock(settings.Clock, settings.TscFrequency);
        settings = settings with { Clock = _clock };
        _settings = settings;
        _gate = settings.Gate;
        _time = new ReferenceTime(settings.Memory, _clock, settings.TscFrequency);
        _processors = new HyperVProcessor[settings.ProcessorCount];
        _hypercalls = new HyperVHypercalls(this, settings.Memory, settings.Messages);
        for (int i = 0; i < _processors.Length; i++)
        {
            _processors[i] = new HyperVProcessor(settings, _time, i);
        }

        Leaves = CreateLeaves();
    }

    /// <inheritdoc/>
    public string Name => "hyperv";

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Leaves { get; }

    /// <inheritdoc/>
    public ushort FirstPort => 0;

    /// <inheritdoc/>
    public int PortCount => 0;

    /// <inheritdoc/>
    public bool HasHypercalls => true;

    /// <inheritdoc/>
    public bool HasHypercallPage => true;

    /// <inheritdoc/>
    public bool UsesHypercallInstruction => false;

    /// <inheritdoc/>
    public bool NeedsLocalApics => true;

    /// <summary>Who takes messages and events.</summary>
    internal IPartitionPort? Port
    {
        get => _hypercalls.Port;
        set => _hypercalls.Port = value;
    }

    /// <summary>Bytes of free memory that the guest has reported; what is used and freed again counts again. Any thread.</summary>
    public ulong ReportedBytes => _hypercalls.FreePages?.Bytes ?? 0;

    /// <summary>The machine clock, as the guest has it.</summary>
    internal IMachineClock Clock => _settings.Clock;

    /// <summary>Number of processors.</summary>
    internal int ProcessorCount => _processors.Length;

    /// <summary>Has the guest told that it may report free memory. Before it runs.</summary>
    /// <param name="reclaimer">Takes it.</param>
    public void TakeFreePages(IMemoryReclaimer reclaimer) => _hypercalls.FreePages = new FreePages(new PageReclaim(_settings.Memory, reclaimer));

    /// <inheritdoc/>
    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller) => _processors[processor].Connect(controller);

    /// <summary>Puts a message into a processor's place for a source.</summary>
    /// <returns><c>false</c> if there is one already.</returns>
    internal bool TryPost(int processor, int source, uint type, ReadOnlySpan<byte> payload)
    {
        _gate.Enter();
        bool posted = _processors[processor].Interrupts.TryPost(source, type, payload);
        _gate.Exit();
        return posted;
    }

    /// <summary>Sets an event flag of a processor's source.</summary>
    internal void Signal(int processor, int source, int flag)
    {
        _gate.Enter();
        _processors[processor].Interrupts.Signal(source, flag);
        _gate.Exit();
    }

    /// <summary>Interrupts a processor for a source, where the guest lets it.</summary>
    internal void Interrupt(int processor, int source)
    {
        _gate.Enter();
        _processors[processor].Interrupts.Interrupt(source);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        if (index is >= HyperVMsr.EndOfInterrupt and <= HyperVMsr.TaskPriority)
        {
            return _processors[processor].TryReadController(index, out value);
        }

        _gate.Enter();
        bool known = true;
        switch (index)
        {
            case HyperVMsr.GuestOsId:
                value = _guestOsId;
                break;
            case HyperVMsr.Hypercall:
                value = _hypercall;
                break;
            case HyperVMsr.VpIndex:
                value = (ulong)(uint)processor;
                break;
            case HyperVMsr.Reset:
                value = 0;
                break;
            case HyperVMsr.TimeReferenceCount:
                value = _time.At(timeStamp);
                break;
            case HyperVMsr.ReferenceTsc:
                value = _time.Register;
                break;
            case HyperVMsr.TscFrequency:
                value = _settings.TscFrequency;
                break;
            case HyperVMsr.ApicFrequency:
                value = _settings.LocalTimerFrequency;
                break;
            case >= HyperVMsr.CrashFirst and <= HyperVMsr.CrashLast:
                value = _crash[index - HyperVMsr.CrashFirst];
                break;
            case HyperVMsr.CrashControl:
                value = CrashNotify;
                break;
            case HyperVMsr.TscInvariantControl:
                value = _tscInvariant;
                break;
            default:
                known = _processors[processor].TryRead(index, out value);
                break;
        }

        _gate.Exit();
        return known;
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value)
    {
        switch (index)
        {
            case >= HyperVMsr.EndOfInterrupt and <= HyperVMsr.TaskPriority:
                return _processors[processor].TryWriteController(index, value);
            case HyperVMsr.Reset:
                if ((value & 1) != 0)
                {
                    _settings.Requests?.Reset();
                }

                return true;
            case HyperVMsr.CrashControl:
                if ((value & CrashNotify) != 0)
                {
                    _settings.Requests?.ReportCrash();
                }

                return true;
            case HyperVMsr.VpAssistPage:
                _processors[processor].SettleFlag();
                break;
        }

        _gate.Enter();
        bool allowed = true;
        switch (index)
        {
            case HyperVMsr.GuestOsId:
                _guestOsId = value;
                _hypercall = value == 0 ? 0 : _hypercall;
                break;
            case HyperVMsr.Hypercall:
                WriteHypercall(value);
                break;
            case HyperVMsr.ReferenceTsc:
                _time.Write(value);
                break;
            case >= HyperVMsr.CrashFirst and <= HyperVMsr.CrashLast:
                _crash[index - HyperVMsr.CrashFirst] = value;
                break;
            case HyperVMsr.TscInvariantControl:
                allowed = value <= 1;
                _tscInvariant |= value & 1;
                break;
            default:
                allowed = _processors[processor].TryWrite(index, value);
                break;
        }

        if (index == HyperVMsr.EndOfMessage)
        {
            _processors[processor].OnEndOfMessage();
        }

        _gate.Exit();
        if (index == HyperVMsr.EndOfMessage)
        {
            Port?.OnEndOfMessage();
        }

        return allowed;
    }

    /// <inheritdoc/>
    public bool DependsOnTimeStamp(uint index) => index == HyperVMsr.TimeReferenceCount;

    /// <inheritdoc/>
    public void OnLead(int processor, long lead)
    {
        _gate.Enter();
        _time.OnLead(processor, lead);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
        _gate.Enter();
        _time.OnTimeStampSet(timeStamp);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public bool TryHypercall(in GuestCall call, bool byInstruction = true)
    {
        if (call.PrivilegeLevel != 0 || (Volatile.Read(ref _hypercall) & Enable) == 0)
        {
            return false;
        }

        _hypercalls.Execute(call);
        return true;
    }

    /// <inheritdoc/>
    public void ReadPort(in GuestCall call, ushort port, Span<byte> data) => data.Fill(0xff);

    /// <inheritdoc/>
    public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
    {
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        foreach (HyperVProcessor processor in _processors)
        {
            processor.Start();
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        foreach (HyperVProcessor processor in _processors)
        {
            processor.Stop();
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        _guestOsId = _hypercall = _tscInvariant = 0;
        _time.Reset();
        Array.Clear(_crash);
        foreach (HyperVProcessor processor in _processors)
        {
            processor.Reset();
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _guestOsId);
        state.Write(2, _hypercall);
        state.Write(3, _time.Register);
        state.Write(4, _tscInvariant);
        state.Write(5, _time.CounterOffset);
        state.Write(6, (ulong)_clock.Drift);
        for (int i = 0; i < CrashCount; i++)
        {
            state.Write((ushort)(8 + i), _crash[i]);
        }

        for (int i = 0; i < _processors.Length; i++)
        {
            _processors[i].Save(state, (ushort)((i + 1) * FieldsPerProcessor));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        ulong time = 0;
        ulong offset = 0;
        bool valid = state.TryTake(1, ref _guestOsId) & state.TryTake(2, ref _hypercall) & state.TryTake(3, ref time) & state.TryTake(4, ref _tscInvariant)
            & state.TryTake(5, ref offset);

        // Machines of before had none. They had another instruction in their page too.
        valid &= _clock.TryRestore(state.TryRead(6, out ulong drift) ? (long)drift : 0);
        _time.Restore(time, offset);
        WritePage();
        for (int i = 0; i < CrashCount; i++)
        {
            valid &= state.TryTake((ushort)(8 + i), ref _crash[i]);
        }

        for (int i = 0; i < _processors.Length; i++)
        {
            valid &= _processors[i].Restore(state, (ushort)((i + 1) * FieldsPerProcessor));
        }

        return valid && _tscInvariant <= 1;
    }

    private void WriteHypercall(ulong value)
    {
        if (_guestOsId == 0 || (_hypercall & Locked) != 0)
        {
            return;
        }

        _hypercall = value;
        WritePage();
    }

    // The page is the guest's own, with the instruction and a return in it.
    private void WritePage()
    {
        if ((_hypercall & Enable) != 0)
        {
            const byte Return = 0xc3;
            ReadOnlySpan<byte> instruction = HypercallPort.Instruction;
            _settings.Memory.TryWrite(_hypercall & AddressMask, [instruction[0], instruction[1], instruction[2], Return]);
        }
    }

    private CpuidEntry[] CreateLeaves()
    {
        const uint Any = CpuidEntry.AnySubleaf;
        const uint Build = 20348;
        const uint Version = 10 << 16;
        const uint NeverSpin = uint.MaxValue;
        const uint MaximumProcessors = 64;
        const uint Features = HyperVFeatures.TimeReferenceCount | HyperVFeatures.SyntheticInterruptController | HyperVFeatures.SyntheticTimers | HyperVFeatures.ApicAccess
            | HyperVFeatures.Hypercalls | HyperVFeatures.VpIndex | HyperVFeatures.Reset | HyperVFeatures.ReferenceTsc | HyperVFeatures.Frequencies | HyperVFeatures.TscInvariant;
        const uint Others = HyperVFeatures.FrequencyRegisters | HyperVFeatures.CrashRegisters | HyperVFeatures.DirectTimers | HyperVFeatures.VectorInput
            | HyperVFeatures.VectorOutput;
        const uint Privileges = HyperVFeatures.PostMessages | HyperVFeatures.SignalEvents | HyperVFeatures.VpRegisters | HyperVFeatures.ExtendedHypercalls;
        const uint Hints = HyperVFeatures.UseRemoteFlush | HyperVFeatures.UseApicRegisters | HyperVFeatures.RelaxedTiming | HyperVFeatures.NoAutoEndOfInterrupt | HyperVFeatures.UseIpiHypercall
            | HyperVFeatures.UseProcessorSets;
        return
        [
            HypervisorLeaves.CreateSignature(MaximumLeaf, "Microsoft Hv"),
            new CpuidEntry(0x4000_0001, Any, InterfaceSignature, 0, 0, 0),
            new CpuidEntry(0x4000_0002, Any, Build, Version, 0, 0),
            new CpuidEntry(0x4000_0003, Any, Features, Privileges, 0, Others),
            new CpuidEntry(0x4000_0004, Any, Hints, NeverSpin, 0, 0),
            new CpuidEntry(0x4000_0005, Any, MaximumProcessors, MaximumProcessors, 0, 0),
            new CpuidEntry(0x4000_0006, Any, 0, 0, 0, 0),
        ];
    }
}
