using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;

namespace Lamina.Kvm;

/// <summary>The interrupt controllers of one machine that KVM has.</summary>
internal sealed partial class KvmInterrupts : IHostedInterrupts
{
    /// <summary>Inputs of an I/O APIC.</summary>
    public const int PinCount = 24;

    private readonly KvmMachine _machine;
    private readonly Lock _lock = new();
    private readonly KvmRoute[] _routes = new KvmRoute[PinCount];
    private readonly KvmRoute[] _list = new KvmRoute[PinCount];
    private readonly List<KvmProcessor> _processors = [];
    private volatile IInterruptBoard? _board;
    private uint _routed;

    /// <summary>For a machine that has local APICs, and the other controllers too with <paramref name="lines"/>.</summary>
    public KvmInterrupts(KvmMachine machine, bool lines)
    {
        _machine = machine;
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
    public bool Send(ulong address, uint data) => _machine.SendMessage(address, data) > 0;

    /// <inheritdoc/>
    public void SetRoute(int pin, ulong address, uint data, bool level)
    {
        KvmRoute route = KvmRoute.Message((uint)pin, address, data);
        lock (_lock)
        {
            uint bit = level ? 1u << pin : 0;
            bool same = (_routed & (1u << pin)) == bit && (!level || (_routes[pin].First == route.First && _routes[pin].Data == route.Data));
            if (same)
            {
                return;
            }

            _routes[pin] = route;
            _routed = (_routed & ~(1u << pin)) | bit;
            int count = 0;
            for (int n = 0; n < PinCount; n++)
            {
                if ((_routed >> n & 1) != 0)
                {
                    _list[count++] = _routes[n];
                }
            }

            // Refused, ends of interrupts would not come back: the guest would see a line that is stuck, and the host has said that it has too little memory.
            _ = _machine.SetRoutes(_list, count);
        }
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
}
