using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Sockets;

/// <summary>
/// One connection at a time of a guest's socket with the host, and the channel that carries it. Each direction ends for itself, by a packet without data, and the channel is withdrawn when both have ended or the host
/// has gone. With the bus's lock held.
/// </summary>
internal sealed class SocketConnection(SocketProvider provider, ISocketBackend backend, int index) : IVmBusStream
{
    private const int MaximumPieces = 8;

    // Others want to be served, too, whose lock is the same.
    private const int MostPackets = 64;

    // What the host has not taken of the guest's.
    private int _kept;

    // The back end has a connection for it.
    private bool _hasHost;

    // The host may have something to send; has ended its sending; takes nothing any more.
    private bool _readable;
    private bool _hostEnded;
    private bool _hostDeaf;
    private bool _guestEnded;

    string IVmBusDevice.Name => "";

    /// <summary>The service that is connected to: the host's or the guest's.</summary>
    public Guid InterfaceType { get; private set; }

    /// <summary>The other end.</summary>
    public Guid InstanceId { get; private set; }

    /// <inheritdoc/>
    public bool IsFromHost { get; private set; }

    /// <summary>Its number, here and at the back end.</summary>
    internal int Number => index;

    /// <summary>What carries it.</summary>
    internal VmBusChannel Channel { get; set; } = null!;

    /// <summary>Whether there can be a new connection.</summary>
    internal bool IsFree => !_hasHost && Channel.Offer == ChannelOffer.None;

    /// <summary>Whether what the host has sent is to be looked for.</summary>
    internal bool IsReadable => _hasHost && Channel.IsOpen && _readable && !IsStalled;

    /// <summary>Whether the guest has not answered the offer.</summary>
    internal bool IsWaiting => _hasHost && !Channel.IsOpen;

    /// <summary>
    /// Whether the guest has ended its sending and takes nothing of what there is: it may have closed its socket, which no message tells.
    /// </summary>
    internal bool IsStalled { get; private set; }

    /// <summary>Whether the host may have sent more than was passed on at once.</summary>
    internal bool HasMore { get; private set; }

    /// <summary>When it ends unless the guest answers or takes something, by the machine clock.</summary>
    internal ulong Deadline { get; set; }

    int IVmBusDevice.PageQuota => 0;

    int IVmBusDevice.SubChannelCount => 0;

    int IVmBusDevice.SubChannelPages => 0;

    bool IVmBusDevice.IsPipe => false;

    bool IVmBusDevice.IsReady => _kept == 0;

    void IVmBusDevice.OnStarted()
    {
    }

    void IVmBusDevice.OnStopping()
    {
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
    }

    void IVmBusDevice.OnProcessed()
    {
    }

    void IVmBusDevice.Drain()
    {
    }

    void IVmBusDevice.Save(IStateWriter state)
    {
    }

    bool IVmBusDevice.Restore(IStateReader state) => false;

    void IVmBusDevice.OnOpened(VmBusChannel channel)
    {
        // Whether the host has sent something is known once it was tried, after the guest has heard that the channel is open.
        _readable = true;
        if (IsFromHost && !backend.Accept(Number, provider.GetPort(InstanceId)))
        {
            // Whoever connected has given up.
            End();
        }
        else
        {
            provider.Await(this);
        }
    }

    void IVmBusDevice.OnRoom() => Pump();

    void IVmBusDevice.OnClosed(VmBusChannel channel) => CloseHost();

    /// <inheritdoc/>
    public void OnReleased() => CloseHost();

    /// <inheritdoc/>
    public void OnData(ReadOnlySpan<GuestBuffer> pieces, uint length)
    {
        if (length == 0)
        {
            _guestEnded = true;
            FinishSending();
            Pump();
        }
        else if (_guestEnded || length > backend.BufferLength)
        {
            End();
        }
        else if (!_hostDeaf)
        {
            bool takes = backend.Send(Number, pieces, out int taken);
            _kept = takes ? (int)length - taken : 0;
            SetDeaf(!takes);
        }
    }

    /// <summary>Begins one, to be offered.</summary>
    internal void Begin(Guid service, Guid instance, bool isFromHost)
    {
        (InterfaceType, InstanceId, IsFromHost) = (service, instance, isFromHost);
        (_kept, _hasHost) = (0, true);
        _readable = _hostEnded = _hostDeaf = _guestEnded = IsStalled = HasMore = false;
    }

    /// <summary>The host has sent something or has gone, or takes bytes again.</summary>
    internal void OnReady(bool readable, bool writable)
    {
        if (!_hasHost)
        {
            return;
        }

        if (writable && _kept != 0)
        {
            bool takes = backend.Flush(Number, out int taken);
            _kept = takes ? Math.Max(_kept - taken, 0) : 0;
            SetDeaf(!takes);
            FinishSending();
            if (_hasHost && _kept == 0)
            {
                provider.Process(Channel);
            }
        }

        if (readable && _hasHost)
        {
            _readable = true;
            if (Channel.IsOpen)
            {
                Pump();
            }
            else if (IsFromHost)
            {
                // Whoever connected has given up.
                EndIfGone();
            }
        }
    }

    /// <summary>Looks whether the host has sent something, of a channel that was opened.</summary>
    internal void OnAwaited() => Pump();

    /// <summary>Ends it: the guest is told, unless it knows.</summary>
    internal void End()
    {
        CloseHost();
        provider.Withdraw(Channel);
    }

    // What the host sends goes into the ring, as far as there is room: so many packets, and then the others' turn comes.
    private void Pump()
    {
        HasMore = false;
        if (_hostEnded && _readable)
        {
            _readable = false;
            EndIfGone();
        }

        Span<GuestBuffer> pieces = stackalloc GuestBuffer[MaximumPieces];
        for (int i = 0; _readable && _hasHost && Channel.IsOpen; i++)
        {
            if (i == MostPackets)
            {
                HasMore = true;
                provider.Await(this);
                return;
            }

            int count = Channel.FindRoom(pieces);
            if (count == 0)
            {
                SetStalled(_guestEnded);
                return;
            }

            SetStalled(false);
            SocketState state = backend.Receive(Number, pieces[..count], out int received);
            _readable = state == SocketState.Open && received > 0;
            if (state != SocketState.Open)
            {
                _hostEnded = true;
                Channel.SendStream(0);
                if (state == SocketState.Gone)
                {
                    End();
                }
                else
                {
                    EndIfFinished();
                }
            }
            else if (received > 0)
            {
                provider.MarkWritten(pieces[..count]);
                Channel.SendStream((uint)received);
            }
        }
    }

    private void EndIfGone()
    {
        if (backend.Receive(Number, [], out _) == SocketState.Gone)
        {
            End();
        }
    }

    // A host that takes nothing has gone, or is about to: what it has sent still arrives.
    private void SetDeaf(bool deaf)
    {
        if (deaf && !_hostDeaf)
        {
            (_hostDeaf, _readable) = (true, true);
            Pump();
        }
    }

    private void SetStalled(bool stalled)
    {
        if (stalled && !IsStalled)
        {
            provider.Watch(this);
        }

        IsStalled = stalled;
    }

    // Once the host has all that the guest sent, it is told of the end.
    private void FinishSending()
    {
        if (_guestEnded && _kept == 0 && _hasHost)
        {
            backend.ShutDown(Number, receive: false, send: true);
            EndIfFinished();
        }
    }

    private void EndIfFinished()
    {
        if (_guestEnded && _hostEnded && _kept == 0)
        {
            End();
        }
    }

    private void CloseHost()
    {
        IsStalled = HasMore = false;
        if (_hasHost)
        {
            _hasHost = false;
            _kept = 0;
            backend.Close(Number);
        }
    }
}
