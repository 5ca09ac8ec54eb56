using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>What KVM's global system interrupts do (KVM_SET_GSI_ROUTING, which takes all at once): those of the I/O APIC's inputs first, then messages. Any thread.</summary>
internal sealed class KvmRouteTable(KvmMachine machine)
{
    /// <summary>The first number that is not an input's.</summary>
    public const uint FirstMessage = KvmInterrupts.PinCount;

    private readonly Lock _lock = new();
    private readonly List<KvmRoute> _routes = [];

    /// <summary>Replaces all at once.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int SetAll(IEnumerable<KvmRoute> routes)
    {
        lock (_lock)
        {
            _routes.Clear();
            _routes.AddRange(routes);
            return Commit();
        }
    }

    /// <summary>Sets or removes the one route of a number, if that changes anything.</summary>
    /// <returns>0, or the errno value negated.</returns>
    public int Set(in KvmRoute route, bool used)
    {
        lock (_lock)
        {
            uint line = route.Line;
            int at = _routes.FindIndex(r => r.Line == line);
            if (used ? at >= 0 && _routes[at].First == route.First && _routes[at].Second == route.Second && _routes[at].Data == route.Data : at < 0)
            {
                return 0;
            }

            if (at >= 0)
            {
                _routes.RemoveAt(at);
            }

            if (used)
            {
                _routes.Add(route);
            }

            return Commit();
        }
    }

    private int Commit() => machine.SetRoutes(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_routes), _routes.Count);
}
