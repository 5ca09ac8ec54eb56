using Lamina.Machine.Backends;

namespace Lamina.Virtio.Socket;

/// <content>Connections: what the guest's packets do to them, and which packets they make.</content>
public sealed partial class SocketDevice
{
    private void TakePacket()
    {
        Span<byte> bytes = stackalloc byte[SocketHeader.Size];
        if (_transmit.Read(0, bytes) != SocketHeader.Size)
        {
            return;
        }

        SocketHeader header = SocketHeader.Read(bytes);
        if (header.Source != _guest || header.Destination != HostAddress)
        {
            // From nobody, or to nobody who could be told.
            return;
        }

        int channel = header.Type == SocketHeader.Stream ? Find(header.SourcePort, header.DestinationPort) : -1;
        if (channel >= 0)
        {
            _channels[channel].PeerAllocated = header.Allocated;
            _channels[channel].PeerForwarded = header.Forwarded;
            _channels[channel].CreditAsked = false;
            TakePacket(channel, header);
        }
        else if (header.Operation == SocketOperation.Request && header.Type == SocketHeader.Stream)
        {
            Connect(header);
        }
        else if (header.Operation != SocketOperation.Reset)
        {
            Refuse(header.SourcePort, header.DestinationPort);
        }
    }

    private void TakePacket(int channel, SocketHeader header)
    {
        ref SocketChannel connection = ref _channels[channel];
        switch (header.Operation)
        {
            case SocketOperation.Response when connection.State == ChannelState.Connecting:
                connection.State = ChannelState.Established;
                if (!_backend.Accept(channel, connection.HostPort))
                {
                    Close(channel, tellGuest: true);
                }

                break;
            case SocketOperation.Reset:
                Close(channel, tellGuest: false);
                break;
            case SocketOperation.Shutdown:
                ShutDown(channel, header.Flags & (SocketHeader.NoReceive | SocketHeader.NoSend));
                break;
            case SocketOperation.Data when connection.State == ChannelState.Established:
                TakeData(channel, header.Length);
                break;
            case SocketOperation.CreditUpdate:
                break;
            case SocketOperation.CreditRequest:
                Owe(channel, PendingPackets.Credit);
                break;
            default:
                Close(channel, tellGuest: true);
                break;
        }

        if (connection.State == ChannelState.Established && connection.Readable)
        {
            EnterLine(channel);
        }
    }

    private void Connect(SocketHeader header)
    {
        int channel = FindFree();
        if (channel < 0 || !_backend.Connect(channel, header.DestinationPort))
        {
            Refuse(header.SourcePort, header.DestinationPort);
            return;
        }

        Open(channel, ChannelState.Established, header.SourcePort, header.DestinationPort);
        _channels[channel].PeerAllocated = header.Allocated;
        _channels[channel].PeerForwarded = header.Forwarded;

        // Whether there is something to receive is known once it was tried, after the response.
        _channels[channel].Readable = true;
        Owe(channel, PendingPackets.Response);
    }

    private void TakeData(int channel, uint length)
    {
        ref SocketChannel connection = ref _channels[channel];
        uint room = (uint)_backend.BufferLength - (connection.Received - connection.Forwarded);
        Span<GuestBuffer> buffers = stackalloc GuestBuffer[_transmit.MaximumParts];
        int count = Slice(_transmit.Readable, length, buffers, out uint found);
        if (length > room || found != length || (connection.GuestShutdown & SocketHeader.NoSend) != 0)
        {
            Close(channel, tellGuest: true);
            return;
        }

        connection.Received += length;
        if (!_backend.Send(channel, buffers[..count], out int taken))
        {
            Close(channel, tellGuest: true);
            return;
        }

        Forward(channel, taken);
    }

    private void ShutDown(int channel, uint flags)
    {
        ref SocketChannel connection = ref _channels[channel];
        connection.GuestShutdown |= flags;
        if ((connection.GuestShutdown & SocketHeader.NoReceive) != 0)
        {
            connection.Readable = false;
            _backend.ShutDown(channel, receive: true, send: false);
        }

        if (connection.State == ChannelState.Connecting)
        {
            Close(channel, tellGuest: true);
        }
        else
        {
            connection.State = connection.GuestShutdown == (SocketHeader.NoReceive | SocketHeader.NoSend) ? ChannelState.Closing : connection.State;
            FinishSending(channel);
        }
    }

    private void Flush(int channel)
    {
        if (_backend.Flush(channel, out int taken))
        {
            Forward(channel, taken);
            FinishSending(channel);
        }
        else
        {
            Close(channel, tellGuest: true);
        }
    }

    // The guest is told of room when it may think that it has less than half.
    private void Forward(int channel, int taken)
    {
        ref SocketChannel connection = ref _channels[channel];
        connection.Forwarded += (uint)taken;
        if (connection.Forwarded != connection.Told && connection.Received - connection.Told > (uint)_backend.BufferLength / 2)
        {
            Owe(channel, PendingPackets.Credit);
        }
    }

    // Once the host has all that the guest sent, it is told of the end.
    private void FinishSending(int channel)
    {
        ref SocketChannel connection = ref _channels[channel];
        if (connection.Received != connection.Forwarded)
        {
            return;
        }

        if (connection.State == ChannelState.Closing)
        {
            Close(channel, tellGuest: true);
        }
        else if ((connection.GuestShutdown & SocketHeader.NoSend) != 0)
        {
            _backend.ShutDown(channel, receive: false, send: true);
        }
    }

    // Makes the next packet in the guest's buffer.
    private uint FillPacket()
    {
        if (_refusalCount > 0)
        {
            SocketHeader refusal = _refusals[_refusalStart];
            _refusalStart = (_refusalStart + 1) % MaximumRefusals;
            _refusalCount--;
            return WritePacket(refusal);
        }

        while (_lineCount > 0)
        {
            int channel = _line[_lineStart];
            _lineStart = (_lineStart + 1) % ChannelCount;
            _lineCount--;
            _channels[channel].InLine = false;
            if (_channels[channel].State != ChannelState.Free)
            {
                uint written = FillPacket(channel);
                if (written != 0)
                {
                    return written;
                }
            }
        }

        return 0;
    }

    private uint FillPacket(int channel)
    {
        ref SocketChannel connection = ref _channels[channel];
        if (TryTakePending(ref connection, out SocketOperation owed))
        {
            if (connection.Pending != PendingPackets.None || connection.Readable)
            {
                EnterLine(channel);
            }

            return WritePacket(Describe(ref connection, owed, 0));
        }

        if (!connection.Readable || connection.State != ChannelState.Established)
        {
            return 0;
        }

        uint limit = Math.Min(Math.Min(connection.Credit, MaximumPayload), (uint)Math.Min(_receive.WritableLength - SocketHeader.Size, uint.MaxValue));
        if (limit == 0)
        {
            if (connection.CreditAsked)
            {
                return 0;
            }

            connection.CreditAsked = true;
            return WritePacket(Describe(ref connection, SocketOperation.CreditRequest, 0));
        }

        Span<GuestBuffer> buffers = stackalloc GuestBuffer[_receive.MaximumParts];
        int count = Slice(_receive.Writable, limit, buffers, out _);
        SocketState state = _backend.Receive(channel, buffers[..count], out int received);
        if (state != SocketState.Open)
        {
            connection.Readable = false;
            connection.HostShutdown = state == SocketState.Ended ? SocketHeader.NoSend : SocketHeader.NoSend | SocketHeader.NoReceive;
            return WritePacket(Describe(ref connection, SocketOperation.Shutdown, 0));
        }

        if (received == 0)
        {
            connection.Readable = false;
            return 0;
        }

        foreach (GuestBuffer buffer in buffers[..count])
        {
            Memory.MarkWritten(buffer.Address, buffer.Length);
        }

        connection.Sent += (uint)received;
        EnterLine(channel);
        return WritePacket(Describe(ref connection, SocketOperation.Data, (uint)received)) + (uint)received;
    }

    private static bool TryTakePending(ref SocketChannel connection, out SocketOperation operation)
    {
        // A response comes before anything else.
        (PendingPackets packet, operation) = connection.Pending switch
        {
            var p when (p & PendingPackets.Request) != 0 => (PendingPackets.Request, SocketOperation.Request),
            var p when (p & PendingPackets.Response) != 0 => (PendingPackets.Response, SocketOperation.Response),
            var p when (p & PendingPackets.Credit) != 0 => (PendingPackets.Credit, SocketOperation.CreditUpdate),
            _ => (PendingPackets.None, default),
        };
        connection.Pending &= ~packet;
        return packet != PendingPackets.None;
    }

    private SocketHeader Describe(ref SocketChannel connection, SocketOperation operation, uint length)
    {
        connection.Told = connection.Forwarded;
        return new SocketHeader
        {
            Source = HostAddress,
            Destination = _guest,
            SourcePort = connection.HostPort,
            DestinationPort = connection.GuestPort,
            Length = length,
            Type = SocketHeader.Stream,
            Operation = operation,
            Flags = operation == SocketOperation.Shutdown ? connection.HostShutdown : 0,
            Allocated = (uint)_backend.BufferLength,
            Forwarded = connection.Forwarded,
        };
    }

    private uint WritePacket(SocketHeader header)
    {
        Span<byte> bytes = stackalloc byte[SocketHeader.Size];
        header.Write(bytes);
        return (uint)_receive.Write(0, bytes);
    }

    // The part of a chain behind the header, at most so many bytes.
    private static int Slice(ReadOnlySpan<GuestBuffer> parts, uint limit, Span<GuestBuffer> into, out uint length)
    {
        uint skip = SocketHeader.Size;
        int count = 0;
        length = 0;
        foreach (GuestBuffer part in parts)
        {
            if (length == limit)
            {
                break;
            }

            if (part.Length <= skip)
            {
                skip -= part.Length;
                continue;
            }

            GuestBuffer rest = part.Skip(skip);
            skip = 0;
            rest = rest.Take(Math.Min(rest.Length, limit - length));
            length += rest.Length;
            into[count++] = rest;
        }

        return count;
    }

    private int Find(uint guestPort, uint hostPort)
    {
        for (int i = 0; i < ChannelCount; i++)
        {
            ref SocketChannel connection = ref _channels[i];
            if (connection.GuestPort == guestPort && connection.HostPort == hostPort && connection.State != ChannelState.Free)
            {
                return i;
            }
        }

        return -1;
    }

    private int FindFree()
    {
        for (int i = 0; i < ChannelCount; i++)
        {
            if (_channels[i].State == ChannelState.Free)
            {
                return i;
            }
        }

        return -1;
    }

    private void AdvanceHostPort() => _nextHostPort = (_nextHostPort + 1) | FirstHostPort;

    private void Open(int channel, ChannelState state, uint guestPort, uint hostPort)
    {
        // It may still have a place in the line, from the connection before.
        bool inLine = _channels[channel].InLine;
        _channels[channel] = new SocketChannel { State = state, GuestPort = guestPort, HostPort = hostPort, InLine = inLine };
    }

    private void Owe(int channel, PendingPackets packet)
    {
        _channels[channel].Pending |= packet;
        EnterLine(channel);
    }

    private void EnterLine(int channel)
    {
        if (!_channels[channel].InLine)
        {
            _channels[channel].InLine = true;
            _line[(_lineStart + _lineCount++) % ChannelCount] = channel;
        }
    }

    private void Close(int channel, bool tellGuest)
    {
        ref SocketChannel connection = ref _channels[channel];
        if (connection.State == ChannelState.Free)
        {
            return;
        }

        connection.State = ChannelState.Free;
        _backend.Close(channel);
        if (tellGuest)
        {
            Refuse(connection.GuestPort, connection.HostPort);
        }
    }

    // A guest that makes more of these than it gives buffers for loses some.
    private void Refuse(uint guestPort, uint hostPort)
    {
        if (_refusalCount < MaximumRefusals)
        {
            _refusals[(_refusalStart + _refusalCount++) % MaximumRefusals] = new SocketHeader
            {
                Source = HostAddress,
                Destination = _guest,
                SourcePort = hostPort,
                DestinationPort = guestPort,
                Type = SocketHeader.Stream,
                Operation = SocketOperation.Reset,
            };
        }
    }
}
