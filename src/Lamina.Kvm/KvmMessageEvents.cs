using Lamina.Interop.Events;
using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>
/// Messages as events (KVM_IRQFD) with a route each: how they are sent where KVM cannot be told of a message directly. A message keeps its route until others need the place.
/// </summary>
internal sealed class KvmMessageEvents : IDisposable
{
    /// <summary>Messages with a route at a time.</summary>
    public const int Capacity = 64;

    private readonly KvmMachine _machine;
    private readonly KvmRouteTable _table;
    private readonly Lock _lock = new();
    private readonly (ulong Address, uint Data)[] _messages = new (ulong, uint)[Capacity];
    private readonly EventNotifier?[] _events = new EventNotifier?[Capacity];
    private int _next;

    public KvmMessageEvents(KvmMachine machine, KvmRouteTable table)
    {
        _machine = machine;
        _table = table;
    }

    /// <summary>Sends a message. Whether anybody takes it is not known.</summary>
    /// <returns><c>false</c> if the host refuses.</returns>
    public bool Send(ulong address, uint data)
    {
        lock (_lock)
        {
            int place = Array.IndexOf(_messages, (address, data));
            if (place < 0 || _events[place] is null)
            {
                place = _next;
                if (!Place(place, address, data))
                {
                    return false;
                }

                _next = (place + 1) % Capacity;
            }

            _events[place]!.Signal();
            return true;
        }
    }

    public void Dispose()
    {
        foreach (EventNotifier? e in _events)
        {
            e?.Dispose();
        }
    }

    // KVM delivers what was signalled before the event is taken away from it.
    private bool Place(int place, ulong address, uint data)
    {
        uint line = KvmRouteTable.FirstMessage + (uint)place;
        EventNotifier notifier = _events[place] ??= new EventNotifier();
        if (_messages[place] != default)
        {
            _ = _machine.SetInterruptEvent(notifier.Descriptor, line, assign: false);
        }

        _messages[place] = default;
        if (_table.Set(KvmRoute.Message(line, address, data), used: true) < 0 || _machine.SetInterruptEvent(notifier.Descriptor, line, assign: true) < 0)
        {
            notifier.Dispose();
            _events[place] = null;
            return false;
        }

        _messages[place] = (address, data);
        return true;
    }
}
