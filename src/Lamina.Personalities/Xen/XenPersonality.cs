using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;
using Lamina.Personalities.Xen.Calls;
using Lamina.Personalities.Xen.Interrupts;
using Lamina.Personalities.Xen.Platform;

namespace Lamina.Personalities.Xen;

/// <summary>
/// The hypervisor of an HVM or PVH domain of Xen 4.17 (xen/include/public): leaves, hypercalls of 64-bit guests, event channels, grants, clocks and timers. The control domain's part, the store and
/// the back ends, is in <c>Bus.XenBusController</c>.
/// </summary>
public sealed partial class XenPersonality : IPersonality, ICounterLead, IProcessorWaits, ITimerTarget
{
    private const uint HypercallPageMsr = 0x4000_0000;
    private const uint MaximumLeaf = 0x4000_0005;
    private const uint RunStateUpdateFlag = 5;
    private const ulong PageMask = 0xfff;

    // How often stolen time is looked at, in nanoseconds.
    private const ulong StealPeriod = 250_000_000;

    private readonly IClockTimer _timer;
    private readonly EventOperations _events;
    private readonly MemoryOperations _memory;
    private readonly ProcessorOperations _processors;
    private readonly HvmOperations _hvm;
    private readonly GrantOperations _grants;
    private readonly SchedulerOperations _scheduler;
    private readonly ConsoleOperations _console;
    private readonly PhysicalDeviceOperations _devices;
    private bool _running;

    /// <summary>Makes it.</summary>
    /// <param name="settings">The machine.</param>
    /// <param name="stolen">Tells of stolen time.</param>
    /// <param name="reclaimer">Takes pages that the guest gives back; null for nobody.</param>
    /// <param name="console">Where the hypervisor's console goes; null for nowhere.</param>
    public XenPersonality(PersonalitySettings settings, IStolenTime stolen, IMemoryReclaimer? reclaimer = null, ICharacterOutput? console = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        Domain = new XenDomain(settings, stolen);
        _timer = Domain.Settings.Clock.CreateTimer(this);
        _events = new EventOperations(Domain);
        _memory = new MemoryOperations(Domain, reclaimer);
        _processors = new ProcessorOperations(Domain);
        _hvm = new HvmOperations(Domain);
        _grants = new GrantOperations(Domain);
        _scheduler = new SchedulerOperations(Domain);
        _console = new ConsoleOperations(console);
        _devices = new PhysicalDeviceOperations(Domain);
        Leaves = CreateLeaves(settings.TscFrequency);
    }

    /// <inheritdoc/>
    public string Name => "xen";

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
    public bool UsesHypercallInstruction => Domain.CallsByInstruction;

    /// <inheritdoc/>
    public bool NeedsLocalApics => true;

    /// <summary>The guest's domain.</summary>
    internal XenDomain Domain { get; }

    /// <summary>Where messages of devices are to go: some of them are events.</summary>
    /// <param name="controllers">Where the others go.</param>
    public IMessageInterruptSink TakeMessages(IMessageInterruptSink controllers) => Domain.HasPhysicalInterrupts ? new PhysicalMessages(Domain.PhysicalInterrupts, controllers) : controllers;

    /// <inheritdoc/>
    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
    {
        Domain.Events.Connect(processor, signals, Domain.Processors[processor].PollLimit);
        Domain.Processors[processor].PollLimit.Signals = signals;
        Domain.Processors[processor].Info.Signals = signals;
        Domain.Processors[processor].Signals = signals;
        Domain.Processors[processor].Controller = controller;
    }

    /// <inheritdoc/>
    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value)
    {
        // The lowest bits are the number of the page, of which there is one.
        return index == HypercallPageMsr && (value & PageMask) == 0 && HypercallPage.TryWrite(Domain.Memory, value);
    }

    /// <inheritdoc/>
    public bool DependsOnTimeStamp(uint index) => false;

    /// <inheritdoc/>
    public void OnLead(int processor, long lead)
    {
        Domain.Gate.Enter();
        Domain.OnLead(processor, lead);
        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
        Domain.Gate.Enter();
        Domain.SetTimeStamp(processor, timeStamp);
        Domain.PublishTime(processor);
        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public bool TryHypercall(in GuestCall call, bool byInstruction = true)
    {
        GuestCallEnd end = GuestCallEnd.GoOn;
        if (byInstruction)
        {
            Domain.CallsByInstruction = true;
        }

        long result = call.PrivilegeLevel != 0 ? XenError.NotPermitted : call.Is64Bit ? Execute(call, ref end) : XenError.NoSuchCall;
        if (end == GuestCallEnd.Repeat)
        {
            call.Wait();
            return true;
        }

        if (end == GuestCallEnd.Continue)
        {
            call.Continue();
            return true;
        }

        if (call.Is64Bit)
        {
            call.Registers[GuestCall.Rax] = (ulong)result;
        }
        else
        {
            call.Set32(GuestCall.Rax, (uint)result);
        }

        if (end == GuestCallEnd.Halt)
        {
            call.Halt();
        }

        return true;
    }

    /// <inheritdoc/>
    public void OnWait(int processor)
    {
        XenProcessor waiting = Domain.Processors[processor];
        Change(waiting, waiting.Signals is { IsUp: false } ? RunStateKind.Offline : RunStateKind.Blocked);
    }

    /// <inheritdoc/>
    public void OnResume(int processor) => Change(Domain.Processors[processor], RunStateKind.Running);

    /// <inheritdoc/>
    public void ReadPort(in GuestCall call, ushort port, Span<byte> data) => data.Fill(0xff);

    /// <inheritdoc/>
    public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
    {
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        Domain.Gate.Enter();
        if (_running)
        {
            ulong now = Domain.Now;
            for (int i = 0; i < Domain.Processors.Length; i++)
            {
                if (Domain.Processors[i].RunState is { IsCounting: true } times)
                {
                    times.Update(now, Domain.GetStolen(i), Domain.FlagsRunState);
                }
            }

            _timer.Arm(now + StealPeriod);
        }

        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        Domain.Gate.Enter();
        _running = true;
        _timer.Arm(Domain.Now + StealPeriod);
        foreach (XenProcessor processor in Domain.Processors)
        {
            processor.Start();
        }

        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        Domain.Gate.Enter();
        _running = false;
        _timer.Cancel();
        foreach (XenProcessor processor in Domain.Processors)
        {
            processor.Stop();
        }

        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        Domain.Gate.Enter();
        Domain.Reset();
        Domain.Gate.Exit();
    }

    /// <summary>Has the guest find in its clocks that it stood still, so that it does not take that for a lockup. While no processor runs.</summary>
    public void NoteStop()
    {
        Domain.Gate.Enter();
        Domain.NoteStop();
        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        Domain.Gate.Enter();
        Domain.Save(state);
        Domain.Gate.Exit();
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        Domain.Gate.Enter();
        bool valid = Domain.Restore(state, _memory.IsFree);
        Domain.Gate.Exit();
        return valid;
    }

    /// <summary>Says whose window may show grant frames.</summary>
    internal void Connect(PlatformDevice device) => _memory.Platform = device;

    private long Execute(in GuestCall call, ref GuestCallEnd end)
    {
        CallArguments arguments = new(call, Domain.Memory);
        return (Hypercall)(uint)call.Registers[GuestCall.Rax] switch
        {
            Hypercall.MemoryOp => _memory.Execute(arguments),
            Hypercall.SetTimerOp => _processors.SetTimer(arguments, call.Registers[GuestCall.Rdi]),
            Hypercall.XenVersion => VersionOperations.Execute(arguments, Domain.HasPhysicalInterrupts),
            Hypercall.ConsoleIo => _console.Execute(arguments, ref end),
            Hypercall.GrantTableOp => _grants.Execute(arguments),
            Hypercall.VmAssist => Assist(arguments),
            Hypercall.VcpuOp => _processors.Execute(arguments, ref end),
            Hypercall.SchedOp => _scheduler.Execute(arguments, ref end),
            Hypercall.EventChannelOp => _events.Execute(arguments),
            Hypercall.PhysdevOp => _devices.Execute(arguments),
            Hypercall.HvmOp => _hvm.Execute(arguments),
            _ => XenError.NoSuchCall,
        };
    }

    private void Change(XenProcessor processor, RunStateKind state)
    {
        Domain.Gate.Enter();
        processor.RunState.Change(state, processor.RunState.IsCounting ? Domain.Now : 0, Domain.FlagsRunState);
        Domain.Gate.Exit();
    }

    private long Assist(in CallArguments arguments)
    {
        const uint Disable = 1;
        if (arguments.Second != RunStateUpdateFlag || arguments.Command > Disable)
        {
            return XenError.InvalidArgument;
        }

        Domain.Gate.Enter();
        Domain.FlagsRunState = arguments.Command != Disable;
        Domain.Gate.Exit();
        return 0;
    }

    private static CpuidEntry[] CreateLeaves(ulong tscFrequency)
    {
        const uint Any = CpuidEntry.AnySubleaf;
        const uint Pages = 1;
        const uint ReliableTimeStamps = 2;
        const uint HasDomainId = 1 << 4;
        const uint HasUpcallVector = 1 << 6;
        const uint AddressBits = 46;
        uint kilohertz = (uint)(tscFrequency / 1000);
        (uint multiplier, sbyte shift) = ParavirtualClock.GetScale(tscFrequency);
        return
        [
            HypervisorLeaves.CreateSignature(MaximumLeaf, "XenVMMXenVMM"),
            new CpuidEntry(0x4000_0001, Any, VersionOperations.Version, 0, 0, 0),
            new CpuidEntry(0x4000_0002, Any, Pages, HypercallPageMsr, 0, 0),
            new CpuidEntry(0x4000_0003, 0, ReliableTimeStamps, 0, kilohertz, 0),
            new CpuidEntry(0x4000_0003, 1, 0, 0, multiplier, (uint)shift),
            new CpuidEntry(0x4000_0003, 2, kilohertz, 0, 0, 0),
            new CpuidEntry(0x4000_0004, Any, HasDomainId | HasUpcallVector, 0, DomainId.Guest, 0),
            new CpuidEntry(0x4000_0005, Any, 0, AddressBits, 0, 0),
        ];
    }
}
