using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;

namespace Lamina.Personalities.Kvm;

/// <summary>
/// What a guest of KVM finds (Linux, Documentation/virt/kvm/x86: cpuid.rst, msr.rst, hypercalls.rst): the clock, stolen time, interrupts between processors and wake-ups by
/// hypercall, poll control, ends of interrupts by a flag, and translations that a sleeping processor drops when it wakes. Page faults that wait are not offered: guest RAM is there.
/// </summary>
public sealed class KvmPersonality : IPersonality, IProcessorPresence, ITimerTarget
{
    // How often stolen time is looked at, in nanoseconds.
    private const ulong StealPeriod = 250_000_000;
    private const int StealLength = 64;
    private const ulong StealReserved = 0x3e;
    private const ulong DefaultPollControl = 1;

    // The record's "preempted", whose first bit tells the guest, and whose second is the guest's answer.
    private const ulong PreemptedOffset = 16;
    private const uint Preempted = 1;
    private const uint FlushTranslations = 2;
    private const ulong FlagReserved = 2;

    private readonly PersonalitySettings _settings;
    private readonly ILock _gate;
    private readonly GuestMemory _memory;
    private readonly bool _isServed;
    private readonly IStolenTime _stolen;
    private readonly IClockTimer _timer;
    private readonly ParavirtualClock _clock;
    private readonly KvmHypercalls _hypercalls;
    private readonly ulong[] _systemTime;
    private readonly ulong[] _stealTime;
    private readonly ulong[] _stolenBefore;
    private readonly ulong[] _pollControl;
    private readonly ulong[] _endOfInterrupt;
    private readonly EndOfInterruptFlag[] _flags;
    private readonly IFlaggedEndOfInterrupt?[] _flagged;
    private readonly bool[] _counterSet;
    private ulong _wallClock;
    private bool _hasFirstTime;
    private ulong _firstTimeStamp;
    private ulong _firstTime;
    private bool _running;
    private bool _looking;

    /// <summary>Makes it.</summary>
    /// <param name="settings">The machine.</param>
    /// <param name="stolen">Tells of stolen time.</param>
    /// <param name="isServed">Whether accelerators bring everything here; otherwise the guest sees the signature and no features.</param>
    public KvmPersonality(PersonalitySettings settings, IStolenTime stolen, bool isServed)
    {
        _settings = settings;
        _gate = settings.Gate;
        _memory = settings.Memory;
        _isServed = isServed;
        _stolen = stolen;
        _clock = new ParavirtualClock(settings.Memory, settings.TscFrequency);
        _hypercalls = new KvmHypercalls(settings.Messages, settings.ProcessorCount);
        _systemTime = new ulong[settings.ProcessorCount];
        _stealTime = new ulong[settings.ProcessorCount];
        _stolenBefore = new ulong[settings.ProcessorCount];
        _pollControl = new ulong[settings.ProcessorCount];
        _endOfInterrupt = new ulong[settings.ProcessorCount];
        _flags = new EndOfInterruptFlag[settings.ProcessorCount];
        for (int i = 0; i < _flags.Length; i++)
        {
            _flags[i] = new EndOfInterruptFlag(settings.Memory);
        }

        _flagged = new IFlaggedEndOfInterrupt?[settings.ProcessorCount];
        _counterSet = new bool[settings.ProcessorCount];
        _timer = settings.Clock.CreateTimer(this);
        Array.Fill(_pollControl, DefaultPollControl);
        const KvmFeatures Features = KvmFeatures.ClockSource | KvmFeatures.NoIoDelay | KvmFeatures.ClockSource2 | KvmFeatures.StealTime | KvmFeatures.PvUnhalt
            | KvmFeatures.PvSendIpi | KvmFeatures.PollControl | KvmFeatures.ClockSourceStable | KvmFeatures.PvEndOfInterrupt | KvmFeatures.PvTlbFlush | KvmFeatures.PvSchedYield;
        Leaves =
        [
            HypervisorLeaves.CreateSignature(HypervisorLeaves.Timing, "KVMKVMKVM\0\0\0"),
            new CpuidEntry(HypervisorLeaves.Signature + 1, CpuidEntry.AnySubleaf, (uint)(isServed ? Features : KvmFeatures.None), 0, 0, 0),
            HypervisorLeaves.CreateTiming(settings.TscFrequency, settings.LocalTimerFrequency),
        ];
    }

    /// <inheritdoc/>
    public string Name => "kvm";

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Leaves { get; }

    /// <inheritdoc/>
    public ushort FirstPort => 0;

    /// <inheritdoc/>
    public int PortCount => 0;

    /// <inheritdoc/>
    public bool HasHypercalls => _isServed;

    /// <inheritdoc/>
    public bool HasHypercallPage => false;

    /// <inheritdoc/>
    public bool UsesHypercallInstruction => _isServed;

    /// <inheritdoc/>
    public bool NeedsLocalApics => true;

    /// <inheritdoc/>
    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
    {
        _hypercalls.Connect(processor, signals);
        _flagged[processor] = controller as IFlaggedEndOfInterrupt;
        _flagged[processor]?.Connect(_flags[processor]);
    }

    /// <inheritdoc/>
    public bool OnEnter(int processor)
    {
        // Others see that it executes before it does, or it sees what they ask for.
        ulong record = Volatile.Read(ref _stealTime[processor]);
        return (record & KvmMsr.Enabled) != 0
            && _memory.TryAnd((record & ~KvmMsr.Enabled) + PreemptedOffset, ~(Preempted | FlushTranslations), out uint before)
            && (before & FlushTranslations) != 0;
    }

    /// <inheritdoc/>
    public void OnLeave(int processor)
    {
        ulong record = Volatile.Read(ref _stealTime[processor]);
        if ((record & KvmMsr.Enabled) != 0)
        {
            _memory.TryOr((record & ~KvmMsr.Enabled) + PreemptedOffset, Preempted, out _);
        }
    }

    /// <inheritdoc/>
    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        _gate.Enter();
        bool known = true;
        value = 0;
        switch (index)
        {
            case KvmMsr.WallClock or KvmMsr.WallClockNew:
                value = _wallClock;
                break;
            case KvmMsr.SystemTime or KvmMsr.SystemTimeNew:
                value = _systemTime[processor];
                break;
            case KvmMsr.StealTime:
                value = _stealTime[processor];
                break;
            case KvmMsr.PollControl:
                value = _pollControl[processor];
                break;
            case KvmMsr.EndOfInterrupt:
                value = _endOfInterrupt[processor];
                break;
            default:
                known = false;
                break;
        }

        _gate.Exit();
        return known && _isServed;
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value)
    {
        if (!_isServed)
        {
            return false;
        }

        if (index == KvmMsr.EndOfInterrupt)
        {
            _flagged[processor]?.Settle();
        }

        _gate.Enter();
        bool allowed = true;
        switch (index)
        {
            case KvmMsr.WallClock or KvmMsr.WallClockNew:
                _wallClock = value;
                _clock.TryWriteWall(value, _settings.Clock.UnixTime - _settings.Clock.Now);
                break;
            case KvmMsr.SystemTime or KvmMsr.SystemTimeNew:
                _systemTime[processor] = value;
                PublishTime(processor, timeStamp);
                break;
            case KvmMsr.StealTime:
                allowed = (value & StealReserved) == 0;
                if (allowed)
                {
                    SetStealTime(processor, value);
                }

                break;
            case KvmMsr.EndOfInterrupt:
                allowed = (value & FlagReserved) == 0;
                if (allowed)
                {
                    _endOfInterrupt[processor] = value;
                    _flags[processor].Address = GetFlag(value);
                }

                break;
            case KvmMsr.PollControl:
                allowed = value <= 1;
                _pollControl[processor] = allowed ? value : _pollControl[processor];
                break;
            default:
                allowed = false;
                break;
        }

        _gate.Exit();
        return allowed;
    }

    /// <inheritdoc/>
    public bool DependsOnTimeStamp(uint index) => index is KvmMsr.SystemTime or KvmMsr.SystemTimeNew;

    /// <inheritdoc/>
    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
        _gate.Enter();
        _counterSet[processor] = true;
        PublishTime(processor, timeStamp);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public bool TryHypercall(in GuestCall call, bool byInstruction = true)
    {
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
    public void OnTimer()
    {
        _gate.Enter();
        _looking = false;
        if (_running)
        {
            for (int i = 0; i < _stealTime.Length; i++)
            {
                PublishStolen(i);
            }

            Look();
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _running = true;
        Look();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _running = false;
        _looking = false;
        _timer.Cancel();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        _wallClock = 0;
        _hasFirstTime = false;
        Array.Clear(_counterSet);
        Array.Clear(_systemTime);
        Array.Clear(_stealTime);
        Array.Fill(_pollControl, DefaultPollControl);
        Array.Clear(_endOfInterrupt);
        foreach (EndOfInterruptFlag flag in _flags)
        {
            flag.Address = null;
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _wallClock);
        for (int i = 0; i < _systemTime.Length; i++)
        {
            ushort field = GetField(i);
            state.Write(field, _systemTime[i]);
            state.Write((ushort)(field + 1), _stealTime[i]);
            state.Write((ushort)(field + 2), _pollControl[i]);
            state.Write((ushort)(field + 3), _endOfInterrupt[i]);
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _wallClock);
        for (int i = 0; i < _systemTime.Length; i++)
        {
            ushort field = GetField(i);
            valid &= state.TryTake(field, ref _systemTime[i]) & state.TryTake((ushort)(field + 1), ref _stealTime[i]) & state.TryTake((ushort)(field + 2), ref _pollControl[i]);
            valid &= (_stealTime[i] & StealReserved) == 0 && _pollControl[i] <= 1;

            // Machines of before have none.
            _endOfInterrupt[i] = valid && state.TryRead((ushort)(field + 3), out ulong flag) ? flag : 0;
            valid &= (_endOfInterrupt[i] & FlagReserved) == 0;
            _flags[i].Address = GetFlag(_endOfInterrupt[i]);

            // Stolen from here on.
            _stolenBefore[i] = valid && _stealTime[i] != 0 ? _stolen.GetStolen(i) : 0;
        }

        return valid;
    }

    private static ulong? GetFlag(ulong register) => (register & KvmMsr.Enabled) != 0 ? register & ~KvmMsr.Enabled : null;

    // Sixteen fields a processor.
    private static ushort GetField(int processor) => (ushort)((processor + 1) * 16);

    private void PublishTime(int processor, ulong timeStamp)
    {
        ulong value = _systemTime[processor];
        if ((value & KvmMsr.Enabled) != 0)
        {
            _clock.TryWriteTime(value & ~KvmMsr.Enabled, timeStamp, GetTime(processor, timeStamp));
        }
    }

    // The host may do something else between the reading of a counter and of the clock. So that no processor's clock is behind another's for that, all follow the first pair that was read,
    // except where a guest has set a counter itself.
    private ulong GetTime(int processor, ulong timeStamp)
    {
        const long Tolerance = 10_000_000;
        const long NanosecondsPerSecond = 1_000_000_000;
        ulong now = _settings.Clock.Now;
        if (_counterSet[processor])
        {
            return now;
        }

        Int128 ticks = (Int128)timeStamp - _firstTimeStamp;
        Int128 time = _firstTime + (ticks * NanosecondsPerSecond / _settings.TscFrequency);
        if (_hasFirstTime && Int128.Abs(time - now) <= Tolerance)
        {
            return (ulong)time;
        }

        (_hasFirstTime, _firstTimeStamp, _firstTime) = (true, timeStamp, now);
        return now;
    }

    private void SetStealTime(int processor, ulong value)
    {
        _stealTime[processor] = value;
        if ((value & KvmMsr.Enabled) != 0)
        {
            _stolenBefore[processor] = _stolen.GetStolen(processor);
            Look();
        }
    }

    // The record's "steal" counts up; its version is odd meanwhile.
    private void PublishStolen(int processor)
    {
        ulong address = _stealTime[processor] & ~KvmMsr.Enabled;
        ulong now = _stolen.GetStolen(processor);
        if ((_stealTime[processor] & KvmMsr.Enabled) == 0 || now <= _stolenBefore[processor] || _memory.GetHostAddress(address, StealLength) == 0)
        {
            return;
        }

        _memory.TryRead(address, out ulong steal);
        _memory.TryRead(address + 8, out uint version);
        version |= 1;
        _memory.TryWrite(address + 8, version);
        Interlocked.MemoryBarrier();
        _memory.TryWrite(address, steal + now - _stolenBefore[processor]);
        Interlocked.MemoryBarrier();
        _memory.TryWrite(address + 8, version + 1);
        _stolenBefore[processor] = now;
    }

    private void Look()
    {
        bool wanted = false;
        foreach (ulong value in _stealTime)
        {
            wanted |= (value & KvmMsr.Enabled) != 0;
        }

        if (_running && wanted && !_looking)
        {
            _looking = true;
            _timer.Arm(_settings.Clock.Now + StealPeriod);
        }
    }
}
