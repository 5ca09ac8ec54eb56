using Lamina.Machine;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Events;
using Lamina.Personalities.Xen.Grants;
using Lamina.Personalities.Xen.Interrupts;

namespace Lamina.Personalities.Xen;

/// <summary>The guest's domain, as the hypervisor and the control domain know it.</summary>
internal sealed partial class XenDomain
{
    /// <summary>Number of parameters (xen/include/public/hvm/params.h).</summary>
    internal const int ParameterCount = 39;

    /// <summary>How the guest hears of events, in the domain as a whole.</summary>
    internal const int CallbackParameter = 0;

    /// <summary>The page of the store's ring.</summary>
    internal const int StorePageParameter = 1;

    /// <summary>The store's event channel.</summary>
    internal const int StoreEventParameter = 2;

    /// <summary>The page of the console's ring.</summary>
    internal const int ConsolePageParameter = 17;

    /// <summary>The console's event channel.</summary>
    internal const int ConsoleEventParameter = 18;

    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private readonly IStolenTime _stolen;
    private readonly CounterClock _time;
    private readonly ParavirtualClock _clock;
    private readonly ulong[] _timeStampOffsets;
    private bool _callsByInstruction;
    private readonly ulong[] _parameters = new ulong[ParameterCount];

    internal XenDomain(PersonalitySettings settings, IStolenTime stolen)
    {
        _time = new CounterClock(settings.Clock, settings.TscFrequency);
        settings = settings with { Clock = _time };
        Settings = settings;
        _stolen = stolen;
        _clock = new ParavirtualClock(settings.Memory, settings.TscFrequency);
        _timeStampOffsets = new ulong[settings.ProcessorCount];
        Shared = new SharedInfo(settings.Memory, _clock);
        ProcessorInfo[] infos = new ProcessorInfo[settings.ProcessorCount];
        for (int i = 0; i < infos.Length; i++)
        {
            infos[i] = new ProcessorInfo(settings.Memory, settings.Messages, Shared, i);
        }

        PhysicalInterrupts = new PhysicalInterrupts(settings.Gate, settings.Lines);
        HasPhysicalInterrupts = settings.Lines is not null;
        Events = new EventChannels(settings.Gate, settings.Memory, Shared, infos, PhysicalInterrupts);
        PhysicalInterrupts.Connect(Events);
        Grants = new GrantTable(settings.Memory);
        Processors = new XenProcessor[settings.ProcessorCount];
        for (int i = 0; i < infos.Length; i++)
        {
            Processors[i] = new XenProcessor(settings, Events, infos[i], i);
        }
    }

    /// <summary>The machine.</summary>
    internal PersonalitySettings Settings { get; }

    /// <summary>Guest RAM.</summary>
    internal GuestMemory Memory => Settings.Memory;

    /// <summary>The lock of everything here.</summary>
    internal ILock Gate => Settings.Gate;

    /// <summary>The shared page.</summary>
    internal SharedInfo Shared { get; }

    /// <summary>The event channels.</summary>
    internal EventChannels Events { get; }

    /// <summary>The interrupts of devices that have event channels.</summary>
    internal PhysicalInterrupts PhysicalInterrupts { get; }

    /// <summary>Whether the guest may map interrupts of devices.</summary>
    internal bool HasPhysicalInterrupts { get; }

    /// <summary>The pages that the guest lets others use.</summary>
    internal GrantTable Grants { get; }

    /// <summary>The processors.</summary>
    internal XenProcessor[] Processors { get; }

    /// <summary>Parameters by number.</summary>
    internal Span<ulong> Parameters => _parameters;

    /// <summary>Whether the guest looks at the flag that says that a run state is being updated.</summary>
    internal bool FlagsRunState { get; set; }

    /// <summary>Whether the guest has executed VMCALL or VMMCALL, rather than the code of its page. Any thread; never taken back before a reset.</summary>
    internal bool CallsByInstruction
    {
        get => Volatile.Read(ref _callsByInstruction);
        set => Volatile.Write(ref _callsByInstruction, value);
    }

    /// <summary>Pages that the guest has given back.</summary>
    internal ulong BalloonedPages { get; set; }

    /// <summary>Whether the host wants the guest to stand still when it has suspended itself.</summary>
    internal bool HoldsSuspension { get; set; }

    /// <summary>Whether it does.</summary>
    internal bool IsSuspended { get; set; }

    /// <summary>Now, in nanoseconds since the machine began.</summary>
    internal ulong Now => Settings.Clock.Now;

    internal void Reset()
    {
        Shared.Reset();
        Events.Reset();
        PhysicalInterrupts.Reset();
        Grants.Reset();
        Parameters.Clear();
        Array.Clear(_timeStampOffsets);
        _time.Reset();
        CallsByInstruction = false;
        FlagsRunState = HoldsSuspension = IsSuspended = false;
        BalloonedPages = 0;
        foreach (XenProcessor processor in Processors)
        {
            processor.Reset();
        }
    }

    /// <summary>A processor's counter was set.</summary>
    internal void SetTimeStamp(int processor, ulong timeStamp) => _timeStampOffsets[processor] = timeStamp - _time.Ticks;

    /// <summary>A processor's counter is that far ahead of the machine clock.</summary>
    internal void OnLead(int processor, long lead)
    {
        _time.Follow(lead, (long)_timeStampOffsets[processor], out long jump);
        if (jump != 0)
        {
            _timeStampOffsets[processor] += (ulong)jump;
            PublishTime(processor);
        }
    }

    /// <summary>Writes a processor's clock.</summary>
    internal void PublishTime(int processor)
    {
        ulong now = Now;
        ulong timeStamp = GetTicks(now) + _timeStampOffsets[processor];
        if (Processors[processor].Info.Address is not 0 and var info)
        {
            _clock.TryWriteTime(info + SharedInfo.Time, timeStamp, now);
        }

        if (Processors[processor].TimeArea is not 0 and var area)
        {
            _clock.TryWriteTime(area, timeStamp, now);
        }
    }

    /// <summary>Says in the processors' clocks that the guest stood still (XEN_PVCLOCK_GUEST_STOPPED).</summary>
    internal void NoteStop()
    {
        foreach (XenProcessor processor in Processors)
        {
            if (processor.Info.Address is not 0 and var info)
            {
                _clock.NoteStop(info + SharedInfo.Time);
            }

            if (processor.TimeArea is not 0 and var area)
            {
                _clock.NoteStop(area);
            }
        }
    }

    /// <summary>Nanoseconds that the host took from a processor.</summary>
    internal ulong GetStolen(int processor) => _stolen.GetStolen(processor);

    private ulong GetTicks(ulong now) => (ulong)((UInt128)now * Settings.TscFrequency / NanosecondsPerSecond);
}
