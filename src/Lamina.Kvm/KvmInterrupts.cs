using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;

namespace Lamina.Kvm;

/// <summary>The interrupt controllers of one machine that KVM has.</summary>
internal sealed partial class KvmInterrupts : IHostedInterrupts, IDisposable
{
    /// <summary>Inputs of an I/O APIC.</summary>
    public const int PinCount = 24;

    private readonly KvmMachine _machine;
    private readonly KvmRouteTable _routes;
    private readonly KvmMessageEvents? _events;
    private readonly List<KvmProcessor> _processors = [];
    private volatile IInterruptBoard? _board;

    /// <summary>For a machine that has local APICs, and the other controllers too with <paramref name="lines"/>.</summary>
    public KvmInterrupts(KvmMachine machine, bool lines)
    {
        _machine = machine;
        _routes = new KvmRouteTable(machine);
        _events = machine.GetCapability(KvmCapability.Messages) == 0 ? new KvmMessageEvents(machine, _routes) : null;
        HasLineControllers = lines;
        if (lines)
        {
            RouteLines();
        }
    }

    /// <inheritdoc/>
    public bool HasLineControllers { get; }

    /// <summary>The machine's part; null before it is connected.</summary>
    public IInterruptBoard? Board => _board;

    /// <summary>Adds a processor, before it runs.</summary>
    public void Add(KvmProcessor processor) => _processors.Add(processor);

    /// <inheritdoc/>
    public void Connect(IInterruptBoard board) => _board = board;

    /// <inheritdoc/>
    public bool Send(ulong address, uint data) => _events?.Send(address, data) ?? _machine.SendMessage(address, data) > 0;

    /// <inheritdoc/>
    public void SetRoute(int pin, ulong address, uint data, bool level)
    {
        // Refused, ends of interrupts would not come back: the guest would see a line that is stuck, and the host has said that it has too little memory.
        _ = _routes.Set(KvmRoute.Message((uint)pin, address, data), level);
    }

    /// <inheritdoc/>
    public void OnExternalInterrupt()
    {
        foreach (KvmProcessor processor in _processors)
        {
            processor.SignalInterrupt();
        }
    }

    /// <inheritdoc/>
    public void SetLine(int line, bool asserted) => _machine.SetLine(line, asserted);

    /// <inheritdoc/>
    public void PulseNonMaskable()
    {
        foreach (KvmProcessor processor in _processors)
        {
            processor.SignalNonMaskable();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _events?.Dispose();
}
