using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Interrupts;

namespace Lamina.Personalities.Xen.Events;

/// <summary>
/// The event channels of the guest (xen/include/public/event_channel.h). The other ends of those between domains are objects of this process. Members want the domain's lock held unless they say
/// otherwise.
/// </summary>
internal sealed partial class EventChannels
{
    /// <summary>The interrupt of a processor's timers.</summary>
    internal const uint VirqTimer = 0;

    /// <summary>
    /// Channels that a guest can have whose events are queued (EVTCHN_FIFO_NR_CHANNELS); number 0 is none. The toolstack's quota is the most that there is to give (max_event_channels of xl.cfg(5),
    /// whose default guards memory that Xen's domains share): what a channel costs is the machine's own, and made with it.
    /// </summary>
    internal const uint PortCount = 1u << FifoEvents.LinkBits;

    private const uint VirqDebug = 1;
    private const uint VirqPerformance = 13;
    private const uint VirqCount = 24;
    private const byte DefaultPriority = 7;

    private readonly Machine.ILock _gate;
    private readonly EventPort[] _ports = new EventPort[PortCount];
    private readonly IProcessorSignals?[] _signals;
    private readonly PollLimit?[] _limits;
    private readonly uint[] _polled;
    private readonly uint[] _virqPorts;
    private readonly TwoLevelEvents _twoLevel;
    private readonly FifoEvents _fifo;
    private readonly PhysicalInterrupts _physical;
    private IEventDelivery _delivery;
    private int _polling;

    // All numbers from this one on have never been used; all below the other are taken.
    private uint _end = 1;
    private uint _firstFree = 1;

    internal EventChannels(Machine.ILock gate, GuestMemory memory, SharedInfo shared, ProcessorInfo[] processors, PhysicalInterrupts physical)
    {
        _gate = gate;
        _signals = new IProcessorSignals?[processors.Length];
        _limits = new PollLimit?[processors.Length];
        _polled = new uint[processors.Length];
        _virqPorts = new uint[VirqCount * processors.Length];
        _twoLevel = new TwoLevelEvents(memory, shared, processors);
        _fifo = new FifoEvents(memory, processors);
        _physical = physical;
        _delivery = _twoLevel;
    }

    /// <summary>The number behind those that a channel can have, as events are shown now.</summary>
    internal uint Limit => _delivery == _fifo ? PortCount : _twoLevel.Capacity;

    /// <summary>Number of processors.</summary>
    internal int ProcessorCount => _signals.Length;

    /// <summary>Waits for any channel in <see cref="Poll"/>.</summary>
    internal static uint AnyPort => uint.MaxValue;

    /// <summary>Connects a processor, and the timer that ends its waiting in <see cref="Poll"/>.</summary>
    internal void Connect(int processor, IProcessorSignals signals, PollLimit limit) => (_signals[processor], _limits[processor]) = (signals, limit);

    /// <summary>Closes all channels and goes back to bits.</summary>
    internal void Reset()
    {
        Array.Clear(_ports, 0, (int)_end);
        _end = _firstFree = 1;
        Array.Clear(_polled);
        Array.Clear(_virqPorts);
        _physical.Unbind();
        _polling = 0;
        _fifo.Reset();
        _delivery = _twoLevel;
    }

    /// <summary>Makes a channel that a toolstack hands to the guest.</summary>
    internal void Place(uint port, IEventTarget target)
    {
        _ports[port] = Create(PortState.Interdomain, 0) with { Target = target };
        _end = Math.Max(_end, port + 1);
    }

    /// <summary>Binds the control domain's end of a channel that the guest has made for it. Any thread, without the lock.</summary>
    /// <returns><c>false</c> if there is no such channel.</returns>
    internal bool TryBind(uint port, IEventTarget target)
    {
        _gate.Enter();
        bool valid = port < PortCount && _ports[port].State == PortState.Unbound && _ports[port].Domain == DomainId.Control;
        if (valid)
        {
            _ports[port].State = PortState.Interdomain;
            _ports[port].Target = target;
            Raise(port);
        }

        _gate.Exit();
        return valid;
    }

    /// <summary>Gives the control domain's end back. Any thread, without the lock.</summary>
    internal void Unbind(uint port, IEventTarget target)
    {
        _gate.Enter();
        if (port < PortCount && _ports[port].Target == target)
        {
            _ports[port].State = PortState.Unbound;
            _ports[port].Target = null;
        }

        _gate.Exit();
    }

    /// <summary>Sends an event to the guest. Any thread, without the lock.</summary>
    internal void Signal(uint port, IEventTarget target)
    {
        _gate.Enter();
        if (port < PortCount && _ports[port].Target == target)
        {
            Raise(port);
        }

        _gate.Exit();
    }

    /// <summary>Raises a virtual interrupt, if the guest has bound it.</summary>
    internal void RaiseVirq(uint virq, int processor)
    {
        uint port = _virqPorts[(virq * _signals.Length) + processor];
        if (port != 0)
        {
            Raise(port);
        }
    }

    /// <summary>The state of a channel.</summary>
    internal bool TryGet(uint port, out EventPort state)
    {
        bool valid = port is > 0 and < PortCount && _ports[port].State != PortState.Closed;
        state = valid ? _ports[port] : default;
        return valid;
    }

    /// <summary>Makes a channel for a domain to bind.</summary>
    internal long AllocateUnbound(ushort remote, out uint port)
    {
        return Allocate(Create(PortState.Unbound, 0) with { Domain = remote }, out port);
    }

    /// <summary>Makes a channel for a virtual interrupt.</summary>
    internal long BindVirq(uint virq, uint processor, out uint port)
    {
        port = 0;
        bool global = virq is not (VirqTimer or VirqDebug or VirqPerformance);
        if (virq >= VirqCount || (global && processor != 0))
        {
            return XenError.InvalidArgument;
        }

        if (processor >= (uint)ProcessorCount)
        {
            return XenError.NoEntry;
        }

        ref uint bound = ref _virqPorts[(virq * _signals.Length) + processor];
        if (bound != 0)
        {
            return XenError.Exists;
        }

        long result = Allocate(Create(PortState.Virq, (ushort)processor) with { Virq = virq, VirqProcessor = (ushort)processor }, out port);
        bound = port;
        return result;
    }

    /// <summary>Makes a channel for a physical interrupt. The first processor hears of it.</summary>
    internal long BindPirq(uint pirq, out uint port)
    {
        port = 0;
        if (pirq >= PhysicalInterrupts.Count)
        {
            return XenError.InvalidArgument;
        }

        if (_physical.GetPort(pirq) != 0)
        {
            return XenError.Exists;
        }

        long result = Allocate(Create(PortState.Pirq, 0) with { Virq = pirq }, out port);
        if (result == 0)
        {
            _physical.SetPort(pirq, port);
        }

        return result;
    }

    /// <summary>Raises a physical interrupt, if the guest has bound it.</summary>
    internal void RaisePirq(uint pirq)
    {
        uint port = _physical.GetPort(pirq);
        if (port != 0)
        {
            Raise(port);
        }
    }

    /// <summary>Makes a channel between processors.</summary>
    internal long BindIpi(uint processor, out uint port)
    {
        port = 0;
        return processor >= (uint)ProcessorCount ? XenError.NoEntry : Allocate(Create(PortState.Ipi, (ushort)processor), out port);
    }

    /// <summary>Closes a channel.</summary>
    internal long Close(uint port)
    {
        if (!TryGet(port, out EventPort state))
        {
            return XenError.InvalidArgument;
        }

        if (state.State == PortState.Virq)
        {
            _virqPorts[(state.Virq * _signals.Length) + state.VirqProcessor] = 0;
        }
        else if (state.State == PortState.Pirq)
        {
            _physical.SetPort(state.Virq, 0);
        }

        _delivery.ClearPending(port);
        ushort processor = _ports[port].LastProcessor;
        byte priority = _ports[port].LastPriority;
        _ports[port] = new EventPort { LastProcessor = processor, LastPriority = priority };
        _firstFree = Math.Min(_firstFree, port);
        return 0;
    }

    /// <summary>Sends an event.</summary>
    /// <param name="port">The channel.</param>
    /// <param name="target">Who is to be told when the lock is not held any more.</param>
    internal long Send(uint port, out IEventTarget? target)
    {
        target = null;
        if (!TryGet(port, out EventPort state))
        {
            return XenError.InvalidArgument;
        }

        switch (state.State)
        {
            case PortState.Interdomain:
                target = state.Target;
                return 0;
            case PortState.Ipi:
                Raise(port);
                return 0;
            case PortState.Unbound:
                return 0;
            default:
                return XenError.InvalidArgument;
        }
    }

    /// <summary>Has another processor hear of a channel.</summary>
    internal long BindProcessor(uint port, uint processor)
    {
        if (processor >= (uint)ProcessorCount)
        {
            return XenError.NoEntry;
        }

        // Interrupts of one processor stay there.
        if (!TryGet(port, out EventPort state) || state.State == PortState.Ipi || (state.State == PortState.Virq && state.Virq is VirqTimer or VirqDebug or VirqPerformance))
        {
            return XenError.InvalidArgument;
        }

        _ports[port].Processor = (ushort)processor;
        return 0;
    }

    /// <summary>Unmasks a channel.</summary>
    internal long Unmask(uint port)
    {
        if (!TryGet(port, out _))
        {
            return XenError.InvalidArgument;
        }

        _delivery.Unmask(port, ref _ports[port]);
        return 0;
    }

    /// <summary>Gives a channel a priority.</summary>
    internal long SetPriority(uint port, uint priority)
    {
        if (_delivery != _fifo)
        {
            return XenError.NoSuchCall;
        }

        if (!TryGet(port, out _) || priority >= FifoEvents.QueueCount)
        {
            return XenError.InvalidArgument;
        }

        _ports[port].Priority = (byte)priority;
        return 0;
    }

    /// <summary>Takes a processor's control block: from now on events are queued. Those that are pending as bits wait for their words.</summary>
    internal long InitializeControl(uint processor, ulong page, uint offset)
    {
        if (processor >= (uint)ProcessorCount)
        {
            return XenError.NoEntry;
        }

        if (offset >= GuestMemory.PageSize || page > ulong.MaxValue / GuestMemory.PageSize || !_fifo.TrySetControl((int)processor, (page * GuestMemory.PageSize) + offset))
        {
            return XenError.InvalidArgument;
        }

        for (uint port = 1; _delivery != _fifo && port < _end; port++)
        {
            if (_ports[port].State != PortState.Closed && _twoLevel.IsPending(port))
            {
                _fifo.NoteEarly(port);
            }
        }

        _delivery = _fifo;
        return 0;
    }

    /// <summary>Takes a page of event words. What was raised before it came is raised now.</summary>
    internal long ExpandArray(ulong page)
    {
        uint first = _fifo.Capacity;
        long result = _delivery != _fifo ? XenError.NoSuchCall
            : page > ulong.MaxValue / GuestMemory.PageSize ? XenError.InvalidArgument : _fifo.AddPage(page * GuestMemory.PageSize);
        for (uint port = first; result == 0 && port < _fifo.Capacity; port++)
        {
            if (_fifo.TakeEarly(port))
            {
                _fifo.SetPending(port, ref _ports[port]);
            }
        }

        return result;
    }

    /// <summary>Has a processor wait until a channel is pending, unless one is.</summary>
    /// <returns>Whether it is to wait.</returns>
    internal bool Poll(int processor, ReadOnlySpan<uint> ports)
    {
        foreach (uint port in ports)
        {
            if (_delivery.IsPending(port))
            {
                return false;
            }
        }

        _polling += _polled[processor] == 0 ? 1 : 0;
        _polled[processor] = ports.Length == 1 ? ports[0] : AnyPort;
        return true;
    }

    private static EventPort Create(PortState state, ushort processor) => new() { State = state, Processor = processor, Priority = DefaultPriority };

    private long Allocate(in EventPort state, out uint port)
    {
        for (port = _firstFree; port < Limit; port++)
        {
            if (_ports[port].State == PortState.Closed)
            {
                _firstFree = port + 1;
                _end = Math.Max(_end, port + 1);
                ushort processor = _ports[port].LastProcessor;
                byte priority = _ports[port].LastPriority;
                _ports[port] = state with { LastProcessor = processor, LastPriority = priority };
                return 0;
            }
        }

        _firstFree = port;
        port = 0;
        return XenError.NoSpace;
    }

    private void Raise(uint port)
    {
        _delivery.SetPending(port, ref _ports[port]);
        for (int i = 0; _polling > 0 && i < _polled.Length; i++)
        {
            if (_polled[i] == port || _polled[i] == AnyPort)
            {
                _polled[i] = 0;
                _polling--;
                _limits[i]?.Cancel();
                _signals[i]?.SignalKick();
            }
        }
    }
}
