using System.Runtime.InteropServices;
using Lamina.Interop.Events;
using Lamina.Interop.Kvm;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Kvm;

/// <summary>
/// Doorbells that KVM takes itself: a write signals an event (KVM_IOEVENTFD) and the guest goes on, while a thread of the machine rings. Where KVM refuses one, the write comes to the
/// window as any other. The thread begins with the first doorbell.
/// </summary>
internal sealed class KvmDoorbells(KvmMachine machine) : IAddressSpaceListener, IDisposable
{
    private const ulong StopToken = ulong.MaxValue;
    private readonly Lock _lock = new();
    private readonly Dictionary<AddressMapping, Bell[]> _mappings = [];
    private readonly List<Bell> _bells = [];
    private Poller? _poller;
    private EventNotifier? _stop;
    private Thread? _thread;
    private ulong _rings;

    /// <summary>How often a doorbell was rung here.</summary>
    public ulong Rings => Volatile.Read(ref _rings);

    /// <inheritdoc/>
    public void OnChanged(AddressMapping mapping)
    {
        if (mapping.Window is not IDoorbellWindow window || window.Doorbells.IsEmpty)
        {
            return;
        }

        lock (_lock)
        {
            ref Bell[]? bells = ref CollectionsMarshal.GetValueRefOrAddDefault(_mappings, mapping, out bool known);
            bells = known ? bells : Add(window.Doorbells);
            foreach (Bell bell in bells!)
            {
                ulong? wanted = mapping.Enabled ? mapping.Address + bell.Doorbell.Offset : null;
                if (bell.Address != wanted)
                {
                    Place(bell, wanted);
                }
            }
        }
    }

    /// <summary>Ends. What the guest has rung and nobody has heard yet is rung now.</summary>
    public void Dispose()
    {
        if (_thread is null)
        {
            return;
        }

        _stop!.Signal();
        _thread.Join();
        foreach (Bell bell in _bells)
        {
            Place(bell, null);
            if (bell.Event.TryTake())
            {
                bell.Doorbell.Target.Ring(bell.Doorbell.Number);
            }

            bell.Event.Dispose();
        }

        _stop.Dispose();
        _poller!.Dispose();
    }

    private Bell[] Add(ReadOnlySpan<Doorbell> doorbells)
    {
        if (_thread is null)
        {
            _poller = new Poller();
            _stop = new EventNotifier();
            _poller.Add(_stop.Descriptor, Readiness.Readable, StopToken);
            _thread = new Thread(Listen, 256 << 10) { Name = "kvm doorbells", IsBackground = true };
            _thread.Start();
        }

        Bell[] bells = new Bell[doorbells.Length];
        for (int n = 0; n < bells.Length; n++)
        {
            bells[n] = new Bell(doorbells[n]);
            _bells.Add(bells[n]);
            _poller!.Add(bells[n].Event.Descriptor, Readiness.Readable, (ulong)(_bells.Count - 1));
        }

        return bells;
    }

    private void Place(Bell bell, ulong? address)
    {
        if (bell.Address is { } old)
        {
            _ = machine.SetDoorbell(bell.Event.Descriptor, old, bell.Doorbell.Length, assign: false);
        }

        bell.Address = address is { } place && machine.SetDoorbell(bell.Event.Descriptor, place, bell.Doorbell.Length, assign: true) >= 0 ? place : null;
    }

    private void Listen()
    {
        Span<ReadyDescriptor> ready = stackalloc ReadyDescriptor[Poller.BatchSize];
        while (true)
        {
            int count = _poller!.Wait(ready, Timeout.Infinite);
            for (int n = 0; n < count; n++)
            {
                if (ready[n].Token == StopToken)
                {
                    return;
                }

                Bell bell = Find((int)ready[n].Token);
                if (bell.Event.TryTake())
                {
                    Volatile.Write(ref _rings, _rings + 1);
                    bell.Doorbell.Target.Ring(bell.Doorbell.Number);
                }
            }
        }
    }

    private Bell Find(int index)
    {
        lock (_lock)
        {
            return _bells[index];
        }
    }

    /// <summary>A doorbell, its event, and where in the guest it is; null where KVM does not have it.</summary>
    private sealed class Bell(Doorbell doorbell)
    {
        public Doorbell Doorbell { get; } = doorbell;

        public EventNotifier Event { get; } = new();

        public ulong? Address { get; set; }
    }
}
