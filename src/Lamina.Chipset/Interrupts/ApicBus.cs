using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// Carries interrupt messages from devices, the I/O APIC and other processors to the local APICs. Make it first; the 8259 pair, the I/O APIC and the
/// local APICs attach themselves when they are made. Nothing here takes a lock, so it may be called under any. Where an accelerator has the local APICs,
/// messages go to it.
/// </summary>
public sealed class ApicBus : IMessageInterruptSink, IInterruptBoard
{
    /// <summary>The greatest number of processors.</summary>
    public const int MaximumProcessors = 64;

    // Intel SDM volume 3, section 11.11.1: message address register.
    private const ulong MessageAddress = 0xfee0_0000;
    private const ulong MessageAddressMask = 0xffff_ffff_fff0_0000;

    private readonly LocalApic?[] _byId = new LocalApic?[MaximumProcessors];
    private readonly LocalApic[] _apics = new LocalApic[MaximumProcessors];
    private int _count;
    private int _arbiter;
    private IoApic? _ioApic;
    private PicPair? _pic;
    private InterruptRouter? _router;
    private volatile bool _externalInterrupt;
    private volatile IHostedInterrupts? _hosted;
    private int _deliveries;

    /// <summary>Level of INTR, the output of the 8259 pair, which is wired to LINT0 of every local APIC.</summary>
    internal bool ExternalInterrupt => _externalInterrupt;

    /// <summary>An accelerator has the local APICs.</summary>
    internal bool IsHosted => _hosted is not null;

    /// <summary>The accelerator that has the 8259 pair and the I/O APIC too; null if these are the machine's.</summary>
    internal IHostedInterrupts? LineControllers => _hosted is { HasLineControllers: true } hosted ? hosted : null;

    bool IInterruptBoard.ExternalInterrupt => _externalInterrupt;

    byte IInterruptBoard.AcknowledgeExternal() => AcknowledgeExternal();

    void IInterruptBoard.EndOfInterrupt(byte vector) => EndOfInterrupt(vector);

    /// <summary>
    /// Gives the local APICs' work to an accelerator which holds their state already, or back to the machine. On the control thread, while the processors stand still; devices may
    /// go on sending: what came to the one side too late goes to the other.
    /// </summary>
    public void Connect(IHostedInterrupts? hosted)
    {
        for (int i = 0; i < _count && hosted is null && _hosted is not null; i++)
        {
            _apics[i].ForgetRequests();
        }

        IHostedInterrupts? before = LineControllers;
        hosted?.Connect(this);
        if (hosted is { HasLineControllers: true } && before is null)
        {
            _router?.HandOver(hosted);
        }

        _hosted = hosted;
        Interlocked.MemoryBarrier();

        // Whoever has seen the old way is through before the machine goes on.
        SpinWait wait = default;
        while (Volatile.Read(ref _deliveries) != 0)
        {
            wait.SpinOnce();
        }

        if (before is not null && hosted is not { HasLineControllers: true })
        {
            _router?.TakeBack(before);
        }

        if (hosted is { HasLineControllers: false })
        {
            _ioApic?.ShowRoutes();
            if (_externalInterrupt)
            {
                hosted.OnExternalInterrupt();
            }
        }

        for (int i = 0; i < _count; i++)
        {
            _apics[i].OnHosted(hosted);
        }
    }

    /// <inheritdoc/>
    public void Send(ulong address, uint data)
    {
        if ((address & MessageAddressMask) != MessageAddress)
        {
            return;
        }

        // The redirection hint (bit 3) with a logical destination leaves the choice to the lowest-priority delivery mode in the data.
        bool logical = (address & 4) != 0;
        uint destination = InterruptMessage.WidenDestination((uint)(address >> 12) & 0xff, logical);
        DeliveryMode mode = (DeliveryMode)((data >> 8) & 7);
        bool level = (data & 0x8000) != 0;
        if (level && (data & 0x4000) == 0)
        {
            return; // A level message that says "deasserted".
        }

        if (mode != DeliveryMode.StartUp)
        {
            Deliver(new InterruptMessage(destination, logical, mode, (byte)data, level));
        }
    }

    /// <summary>All devices have been reset: an accelerator that has controllers is to know. While no processor runs.</summary>
    public void ShowReset()
    {
        if (LineControllers is { } hosted)
        {
            _router?.HandOver(hosted);
        }
    }

    /// <summary>Pulses LINT1 of every local APIC, the wire for non-maskable interrupts. Any thread.</summary>
    public void PulseNonMaskable()
    {
        if (_hosted is { } hosted)
        {
            hosted.PulseNonMaskable();
            return;
        }

        for (int i = 0; i < _count; i++)
        {
            _apics[i].PulseLint1();
        }
    }

    internal void Attach(LocalApic apic)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(apic.InitialId, (uint)MaximumProcessors, nameof(apic));
        _byId[apic.InitialId] = apic;
        _apics[_count++] = apic;
    }

    internal void Attach(IoApic ioApic) => _ioApic = ioApic;

    internal void Attach(PicPair pic) => _pic = pic;

    internal void Attach(InterruptRouter router) => _router = router;

    internal void SetExternalInterrupt(bool asserted)
    {
        if (_externalInterrupt == asserted)
        {
            return;
        }

        _externalInterrupt = asserted;
        if (_hosted is { } hosted)
        {
            if (!hosted.HasLineControllers)
            {
                hosted.OnExternalInterrupt();
            }

            return;
        }

        for (int i = 0; i < _count; i++)
        {
            _apics[i].OnExternalInterrupt(asserted);
        }
    }

    /// <summary>An entry of the I/O APIC was changed.</summary>
    internal void OnRedirection(int pin, in RedirectionEntry entry)
    {
        if (_hosted is { HasLineControllers: false } hosted)
        {
            (ulong address, uint data) = ToMessage(entry.Message);
            hosted.SetRoute(pin, address, data, entry.IsLevel && !entry.IsMasked);
        }
    }

    /// <summary>The level of INTR after a restore: nobody is signalled.</summary>
    internal void RestoreExternalInterrupt(bool asserted) => _externalInterrupt = asserted;

    /// <summary>INTA to the 8259 pair.</summary>
    internal byte AcknowledgeExternal() => _pic is null ? (byte)0 : _pic.Acknowledge();

    internal void EndOfInterrupt(byte vector) => _ioApic?.EndOfInterrupt(vector);

    /// <summary>Delivers to whoever the message names.</summary>
    /// <returns>Whether any local APIC took it.</returns>
    internal bool Deliver(in InterruptMessage message)
    {
        Interlocked.Increment(ref _deliveries);
        bool taken;
        if (_hosted is { } hosted)
        {
            (ulong address, uint data) = ToMessage(message);
            taken = hosted.Send(address, data);
        }
        else
        {
            taken = DeliverHere(message);
        }

        Interlocked.Decrement(ref _deliveries);
        return taken;
    }

    // Intel SDM volume 3, section 11.11: with 64 processors at most, eight bits of destination are enough.
    private static (ulong Address, uint Data) ToMessage(in InterruptMessage message)
    {
        ulong address = MessageAddress | ((ulong)(message.Destination & 0xff) << 12) | (message.Logical ? 4UL : 0);
        uint data = message.Vector | ((uint)message.Mode << 8) | (message.Level ? 0xc000u : 0);
        return (address, data);
    }

    /// <summary>Address of a message to one processor.</summary>
    internal static ulong GetAddress(uint apicId) => MessageAddress | ((ulong)apicId << 12);

    private bool DeliverHere(in InterruptMessage message)
    {
        if (message.Mode == DeliveryMode.LowestPriority)
        {
            return DeliverLowestPriority(message);
        }

        if (!message.Logical && message.Destination != InterruptMessage.Broadcast)
        {
            LocalApic? target = message.Destination < MaximumProcessors ? _byId[message.Destination] : null;
            return target is not null && target.IsEnabled && target.Accept(message);
        }

        bool taken = false;
        for (int i = 0; i < _count; i++)
        {
            if (_apics[i].Matches(message))
            {
                taken |= _apics[i].Accept(message);
            }
        }

        return taken;
    }

    /// <summary>Delivers to all, or to all but the sender (destination shorthands).</summary>
    internal void DeliverToAll(in InterruptMessage message, LocalApic? except)
    {
        for (int i = 0; i < _count; i++)
        {
            LocalApic apic = _apics[i];
            if (apic != except && apic.IsEnabled)
            {
                apic.Accept(message);
            }
        }
    }

    // Intel SDM volume 3, section 11.6.2.4. Ties go round, so that idle processors share the load.
    private bool DeliverLowestPriority(in InterruptMessage message)
    {
        LocalApic? best = null;
        int count = _count;
        int start = count == 0 ? 0 : (int)((uint)Interlocked.Increment(ref _arbiter) % (uint)count);
        for (int i = 0; i < count; i++)
        {
            LocalApic apic = _apics[(start + i) % count];
            if (apic.IsSoftwareEnabled && apic.Matches(message) && (best is null || apic.ArbitrationPriority < best.ArbitrationPriority))
            {
                best = apic;
            }
        }

        return best is not null && best.Accept(message with { Mode = DeliveryMode.Fixed });
    }
}
