using Lamina.Interop;
using Lamina.Interop.Events;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking;

/// <summary>
/// A network behind a descriptor: a thread takes what arrives and hands it to the guest, and waits while the guest has no room. Packets of the guest are written on the thread
/// that brings them.
/// </summary>
public abstract class WireNetwork : INetworkBackend, IDisposable
{
    private readonly EventNotifier _notifier = new();
    private INetworkReceiver? _receiver;
    private Thread? _thread;
    private volatile bool _stop;
    private volatile bool _transmitBlocked;
    private volatile bool _enabled = true;
    private volatile int _switches;
    private bool _lost;

    private protected WireNetwork(OwnedDescriptor wire)
    {
        Wire = wire;
    }

    /// <inheritdoc/>
    public abstract NetworkOffloads Offloads { get; }

    /// <inheritdoc/>
    public abstract int MaximumTransmissionUnit { get; }

    /// <summary>Told, on the network's thread, why the network is gone. Set before <see cref="Start"/>.</summary>
    public Action<string>? Notice { get; set; }

    private protected OwnedDescriptor Wire { get; }

    private protected INetworkReceiver Receiver => _receiver!;

    /// <inheritdoc/>
    public void SetReceiver(INetworkReceiver receiver) => _receiver = receiver;

    /// <inheritdoc/>
    public void Start()
    {
        if (_thread == null && !_lost)
        {
            _stop = false;
            _thread = new Thread(Run) { Name = "network", IsBackground = true };
            _thread.Start();
        }
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _stop = true;
        _notifier.Signal();
        _thread?.Join();
        _thread = null;
    }

    /// <inheritdoc/>
    public abstract void SetReceiveOffloads(NetworkOffloads offloads);

    /// <inheritdoc/>
    public void SetEnabled(bool enabled)
    {
        if (enabled != _enabled)
        {
            // Whoever fails to read looks at these: the count changes before the wire does, and the state is never ahead of it.
            _switches++;
            _enabled = false;
            Switch(enabled);
            _enabled = enabled;
            _notifier.Signal();
        }
    }

    /// <inheritdoc/>
    public abstract bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers);

    /// <inheritdoc/>
    public void ResumeReceive() => _notifier.Signal();

    /// <summary>Ends the thread and closes the wire.</summary>
    public virtual void Dispose()
    {
        Stop();
        Wire.Dispose();
        _notifier.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Takes what is there, and hands it on.</summary>
    private protected abstract WireState Receive();

    /// <summary>Has the wire give this line packets, or none. It fails to be read meanwhile.</summary>
    private protected virtual void Switch(bool enabled)
    {
    }

    /// <summary>Says what has become of the wire, which is gone. On the network's thread.</summary>
    private protected virtual string Explain() => "the other end of a network is gone";

    /// <summary>Writes what is left of an earlier packet.</summary>
    /// <returns>Whether the wire takes packets again.</returns>
    private protected abstract bool TryFinishTransmit();

    /// <summary>The wire is full: the thread waits for room.</summary>
    private protected void WaitForRoom()
    {
        _transmitBlocked = true;
        _notifier.Signal();
    }

    private void Run()
    {
        string? reason;
        try
        {
            reason = Carry() ? null : Explain();
        }
        catch (SystemCallException e)
        {
            reason = $"a network cannot be waited for ({e.Reason})";
        }

        if (reason != null)
        {
            _lost = true;
            Notice?.Invoke($"{reason}: the guest's link is down");
            Receiver.OnLinkChanged(false);
        }
    }

    // Until it is stopped, or the wire is lost: false.
    private bool Carry()
    {
        bool hasRoom = true;
        while (true)
        {
            int switches = _switches;
            bool enabled = _enabled;
            Readiness interest = !enabled ? Readiness.None : (hasRoom ? Readiness.Readable : Readiness.None) | (_transmitBlocked ? Readiness.Writable : Readiness.None);
            Readiness ready = Wire.Wait(interest, _notifier.Descriptor, out bool notified);
            if (notified)
            {
                _notifier.Clear();
                hasRoom = true;
            }

            if (_stop)
            {
                return true;
            }

            if (_transmitBlocked && (ready & Readiness.Writable) != 0)
            {
                _transmitBlocked = false;
                if (TryFinishTransmit())
                {
                    Receiver.OnTransmitReady();
                }
                else
                {
                    _transmitBlocked = true;
                }
            }

            if (enabled && (notified || (ready & (Readiness.Readable | Readiness.HangUp | Readiness.Error)) != 0))
            {
                switch (Receive())
                {
                    case WireState.GuestFull:
                        hasRoom = false;
                        break;
                    case WireState.Lost when !_enabled || switches != _switches:
                        // It is out of use, or was until just now.
                        break;
                    case WireState.Lost:
                        return false;
                }
            }
        }
    }
}
