using Lamina.Machine.Backends;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>One connection at a time of a guest's socket with the host. With the device's lock held.</summary>
internal sealed class SocketConnection(SocketBroker broker, ISocketBackend backend, int number)
{
    // Others want to be served, too, whose lock is the same.
    private const int MostRounds = 64;

    private QueuePair? _queues;
    private OwedPackets _owed;
    private uint _kept;

    // The host may have something to send; has ended its sending; takes nothing any more.
    private bool _readable;
    private bool _hostEnded;
    private bool _hostDeaf;
    private bool _guestEnded;
    private bool _guestDeaf;
    private bool _endTold;

    internal ConnectionState State { get; private set; }

    internal uint GuestPort { get; private set; }

    internal uint HostPort { get; private set; }

    /// <summary>Bytes of each queue, as both ends want it.</summary>
    internal uint Length { get; private set; }

    /// <summary>The queues' name, once it is known.</summary>
    internal VmciHandle Handle { get; private set; }

    /// <summary>Whether the guest was told of queues of the host's naming, and has not brought them.</summary>
    internal bool AwaitsQueues => State == ConnectionState.Offered && _queues is null;

    /// <summary>Whether the guest's next step is waited for.</summary>
    internal bool IsWaiting => State is ConnectionState.Requested or ConnectionState.Offered or ConnectionState.Negotiating;

    /// <summary>Whether the guest's packets can be for it.</summary>
    internal bool IsOpen => IsWaiting || State == ConnectionState.Established;

    /// <summary>When it ends unless the guest does its next step, by the machine clock.</summary>
    internal ulong Deadline { get; set; }

    /// <summary>Whether it waits for its turn to tell the guest something.</summary>
    internal bool IsInLine { get; set; }

    /// <summary>Whether there may be more than was passed on at once.</summary>
    internal bool HasMore { get; private set; }

    internal int Number => number;

    /// <summary>The guest has connected to a port of the host, where somebody listens.</summary>
    internal void BeginFromGuest(uint guestPort, uint hostPort, uint length)
    {
        Begin(ConnectionState.Negotiating, guestPort, hostPort, length);
        Owe(OwedPackets.Negotiate);
    }

    /// <summary>The host has connected to a port of the guest.</summary>
    internal void BeginFromHost(uint guestPort, uint hostPort, VmciHandle handle)
    {
        Begin(ConnectionState.Requested, guestPort, hostPort, broker.LongestQueue);
        Handle = handle;
        Owe(OwedPackets.Request);
    }

    /// <summary>A packet of the guest's.</summary>
    internal void Take(in SocketPacket packet)
    {
        switch (packet.Type)
        {
            case SocketPacketType.Negotiate2 when State == ConnectionState.Requested
                && packet.Protocol == SocketPacket.QueueStateProtocol && packet.Value >= QueuePair.MinimumLength && packet.Value <= broker.LongestQueue:
                Length = (uint)packet.Value;
                State = ConnectionState.Offered;
                broker.Await(this);
                Owe(OwedPackets.Offer);
                break;
            case SocketPacketType.Offer when State == ConnectionState.Negotiating && broker.FindUnclaimed(packet.Handle) is { } queues && queues.Length == Length:
                Handle = queues.Handle;
                Attach(queues);
                Owe(OwedPackets.AttachEvent | OwedPackets.Attach);
                Establish();
                break;
            case SocketPacketType.Attach when State == ConnectionState.Offered && _queues is not null && packet.Handle == Handle:
                if (backend.Accept(number, HostPort))
                {
                    Establish();
                }
                else
                {
                    // Whoever connected has given up.
                    End();
                }

                break;
            case SocketPacketType.Wrote or SocketPacketType.WaitingRead or SocketPacketType.WaitingWrite or SocketPacketType.Read when State == ConnectionState.Established:
                TakeData(broker.KeptLimit);
                Pump();
                break;
            case SocketPacketType.Shutdown when State == ConnectionState.Established:
                TakeShutdown(packet.Value);
                break;
            case SocketPacketType.Reset:
                Clear();
                break;
            default:
                Fail();
                break;
        }
    }

    /// <summary>The guest has brought the pages of the queues that it was told of.</summary>
    internal void Attach(QueuePair queues)
    {
        _queues = queues;
        queues.Connection = this;
    }

    /// <summary>The guest takes the pages away.</summary>
    internal void OnDetached()
    {
        if (State != ConnectionState.Established)
        {
            Fail();
            return;
        }

        TakeData((uint)backend.BufferLength);
        if (State != ConnectionState.Established)
        {
            return;
        }

        if (_kept > 0)
        {
            Release();
            (State, _owed) = (ConnectionState.Closing, OwedPackets.None);
        }
        else
        {
            Clear();
        }
    }

    /// <summary>The host has sent something or has gone, or takes bytes again.</summary>
    internal void OnReady(bool readable, bool writable)
    {
        if (writable && _kept > 0)
        {
            bool takes = backend.Flush(number, out int taken);
            _kept = takes ? _kept - Math.Min((uint)taken, _kept) : 0;
            _hostDeaf |= !takes;
            _readable |= !takes;
            if (State == ConnectionState.Closing && _kept == 0)
            {
                Clear();
            }
            else if (State == ConnectionState.Established)
            {
                TakeData(broker.KeptLimit);
            }
        }

        _readable |= readable;
        if (State == ConnectionState.Established)
        {
            Pump();
        }
        else if (readable && State is ConnectionState.Requested or ConnectionState.Offered && backend.Receive(number, [], out _) == SocketState.Gone)
        {
            // Whoever connected has given up.
            Fail();
        }
    }

    /// <summary>The machine goes on: looks at all that may have happened.</summary>
    internal void Resume()
    {
        HasMore = false;
        if (State == ConnectionState.Established)
        {
            TakeData(broker.KeptLimit);
            Pump();
        }
    }

    /// <summary>Something is not as it should be, or took too long: the guest is told that there is no connection.</summary>
    internal void Fail() => Finish(OwedPackets.Reset);

    /// <summary>Nothing is left of it, and the guest is told nothing more.</summary>
    internal void Clear()
    {
        CloseHost();
        Release();
        (State, _owed) = (ConnectionState.Free, OwedPackets.None);
    }

    /// <summary>Writes the next datagram of those that are owed.</summary>
    /// <returns>Bytes of it; 0 if there is none.</returns>
    internal int WriteNext(Span<byte> datagram, uint guest, out bool more)
    {
        OwedPackets next = (OwedPackets)((uint)_owed & (~(uint)_owed + 1));
        _owed &= ~next;
        more = _owed != OwedPackets.None;
        int length = next switch
        {
            OwedPackets.None => 0,
            OwedPackets.AttachEvent => VmciDatagram.WriteEvent(datagram, guest, VmciDatagram.PeerAttached, Handle),
            OwedPackets.DetachEvent => VmciDatagram.WriteEvent(datagram, guest, VmciDatagram.PeerDetached, Handle),
            _ => Describe(next).Write(datagram, guest),
        };
        if (State == ConnectionState.Ended && !more)
        {
            State = ConnectionState.Free;
        }

        return length;
    }

    private SocketPacket Describe(OwedPackets packet)
    {
        (SocketPacketType type, ushort protocol, ulong value) = packet switch
        {
            OwedPackets.Request => (SocketPacketType.Request2, SocketPacket.QueueStateProtocol, (ulong)Length),
            OwedPackets.Negotiate => (SocketPacketType.Negotiate2, SocketPacket.QueueStateProtocol, Length),
            OwedPackets.Offer => (SocketPacketType.Offer, (ushort)0, SocketPacket.ToValue(Handle)),
            OwedPackets.Attach => (SocketPacketType.Attach, (ushort)0, SocketPacket.ToValue(Handle)),
            OwedPackets.Wrote => (SocketPacketType.Wrote, (ushort)0, 0UL),
            OwedPackets.Read => (SocketPacketType.Read, (ushort)0, 0UL),
            OwedPackets.Shutdown => (SocketPacketType.Shutdown, (ushort)0, SocketPacket.NoSend),
            _ => (SocketPacketType.Reset, (ushort)0, 0UL),
        };
        return new SocketPacket(type, protocol, HostPort, GuestPort, value);
    }

    private void Begin(ConnectionState state, uint guestPort, uint hostPort, uint length)
    {
        (State, GuestPort, HostPort, Length) = (state, guestPort, hostPort, length);
        (_kept, _owed, _queues) = (0, OwedPackets.None, null);
        _readable = _hostEnded = _hostDeaf = _guestEnded = _guestDeaf = _endTold = HasMore = false;
        broker.Await(this);
    }

    private void Establish()
    {
        // Whether there is something of the host's is known once it was tried.
        (State, _readable) = (ConnectionState.Established, true);
        TakeData(broker.KeptLimit);
        Pump();
    }

    private void TakeShutdown(ulong directions)
    {
        if ((directions & SocketPacket.NoReceive) != 0 && !_guestDeaf)
        {
            _guestDeaf = true;
            backend.ShutDown(number, receive: true, send: false);
        }

        _guestEnded |= (directions & SocketPacket.NoSend) != 0;
        TakeData(broker.KeptLimit);
    }

    // What the guest has sent goes to the host, as far as the back end may keep what the host does not take.
    private void TakeData(uint keptLimit)
    {
        // A guest that writes without end to a host that takes nothing holds nobody up: what it has written before it ends is there at once.
        const int MostDropped = 16;
        int dropped = 0;
        Span<GuestBuffer> pieces = stackalloc GuestBuffer[QueuePair.MaximumPieces];
        for (int i = 0; _queues is not null && broker.MayTouchMemory && (_hostDeaf ? dropped < MostDropped : _kept < keptLimit); i++)
        {
            if (i == MostRounds)
            {
                GoOnLater();
                return;
            }

            dropped += _hostDeaf ? 1 : 0;
            int count = _queues.FindData(pieces, _hostDeaf ? uint.MaxValue : keptLimit - _kept, out uint length);
            if (count < 0)
            {
                Fail();
                return;
            }

            if (length == 0)
            {
                FinishSending();
                return;
            }

            if (!_hostDeaf)
            {
                bool takes = backend.Send(number, pieces[..count], out int taken);
                _kept = takes ? _kept + length - Math.Min((uint)taken, length) : 0;

                // A host that takes nothing has gone, or is about to: what it has sent still arrives.
                _hostDeaf = !takes;
                _readable |= !takes;
            }

            if (_queues.Consume(length))
            {
                Owe(OwedPackets.Read);
            }
        }
    }

    // What the host sends goes into the queue, as far as there is room.
    private void Pump()
    {
        Span<GuestBuffer> pieces = stackalloc GuestBuffer[QueuePair.MaximumPieces];
        for (int i = 0; _readable && _queues is not null && State == ConnectionState.Established && broker.MayTouchMemory; i++)
        {
            if (i == MostRounds)
            {
                GoOnLater();
                return;
            }

            if (_hostEnded || _guestDeaf)
            {
                _readable = false;
                if (backend.Receive(number, [], out _) == SocketState.Gone)
                {
                    End();
                }

                return;
            }

            int count = _queues.FindRoom(pieces);
            if (count < 0)
            {
                Fail();
                return;
            }

            if (count == 0)
            {
                // The guest tells when it has read.
                return;
            }

            SocketState state = backend.Receive(number, pieces[..count], out int received);
            _readable = state == SocketState.Open && received > 0;
            if (state != SocketState.Open)
            {
                _hostEnded = true;
                Owe(OwedPackets.Shutdown);
                if (state == SocketState.Gone)
                {
                    End();
                }
                else
                {
                    EndIfFinished();
                }
            }
            else if (received > 0 && _queues.Produce((uint)received))
            {
                Owe(OwedPackets.Wrote);
            }
        }
    }

    private void GoOnLater()
    {
        HasMore = true;
        broker.Await(this);
    }

    // Once the host has all that the guest sent, it is told of the end.
    private void FinishSending()
    {
        if (_guestEnded && _kept == 0 && !_endTold && State == ConnectionState.Established)
        {
            _endTold = true;
            backend.ShutDown(number, receive: false, send: true);
            EndIfFinished();
        }
    }

    private void EndIfFinished()
    {
        if (_endTold && _hostEnded)
        {
            End();
        }
    }

    // The host is no longer there; the guest has all that it sent, in its own memory.
    private void End() => Finish(State == ConnectionState.Established ? OwedPackets.DetachEvent : OwedPackets.Reset);

    private void Finish(OwedPackets last)
    {
        CloseHost();
        Release();
        _owed = last == OwedPackets.Reset ? OwedPackets.None : _owed & ~OwedPackets.Read;
        State = ConnectionState.Ended;
        Owe(last);
    }

    private void Owe(OwedPackets packets)
    {
        _owed |= packets;
        broker.EnterLine(this);
    }

    private void Release()
    {
        _queues?.Release();
        _queues = null;
    }

    private void CloseHost()
    {
        if (State is not ConnectionState.Free and not ConnectionState.Ended)
        {
            _kept = 0;
            backend.Close(number);
        }
    }
}
