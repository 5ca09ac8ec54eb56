using System.Buffers.Binary;
using Lamina.Personalities.HyperV.Sockets;

namespace Lamina.Personalities.HyperV.VmBus;

/// <content>
/// Channels that are offered while the guest runs, one for each connection of a socket, and withdrawn at its end. No such message is lost when many come at once, whatever the channel is of: what a channel owes is
/// remembered with the channel, and said when the queue is short.
/// </content>
public sealed partial class VmBusController
{
    private const int GuidLength = 16;
    private const int ConnectLength = 8 + (2 * GuidLength);
    private const int ReplenishedLength = QueueLength / 2;
    private const uint ConnectResultVersion = 0x4_0001;
    private const uint ConnectionRefused = 0xc000_0236;

    private SocketProvider? _sockets;

    /// <summary>Whether a guest takes offers, and the machine runs. With the lock held.</summary>
    internal bool IsConnected => IsListening && !_stopped;

    /// <summary>Makes room for channels that are offered on demand. Once, before the machine starts.</summary>
    /// <param name="sockets">Who serves the guest's sockets by them.</param>
    /// <param name="count">How many there can be.</param>
    /// <param name="pages">How many pages a driver lists for the rings of each at most.</param>
    internal void ReserveOnDemand(SocketProvider sockets, int count, int pages)
    {
        _sockets = sockets;
        Array.Resize(ref _channels, FirstOnDemand + count);
        _gpadls.Extend(count * pages, count);
    }

    /// <summary>Adds such a channel, which is not offered yet. Before the machine starts.</summary>
    internal VmBusChannel AddOnDemand(IVmBusStream stream) => Add(stream, FirstOnDemand + _onDemandCount++, null);

    /// <summary>Offers such a channel. With the lock held.</summary>
    internal void OfferOnDemand(VmBusChannel channel)
    {
        channel.Offer = ChannelOffer.Offered;
        OweOffer(channel);
    }

    /// <summary>Withdraws a channel, and closes it if it is open; it can be offered again when the guest has given it back, of which a stream is told. With the lock held.</summary>
    internal void Withdraw(VmBusChannel channel)
    {
        if (channel.Offer != ChannelOffer.Offered)
        {
            return;
        }

        if (channel.OwesOffer || !IsListening)
        {
            // The guest never heard of it.
            Forget(channel);
            return;
        }

        OweRescind(channel);
        channel.Close();
    }

    /// <summary>Has the guest told, after this machine took the state of another, that a channel is no longer there. While nothing runs.</summary>
    internal void WithdrawLost(VmBusChannel channel) => OweRescind(channel);

    /// <summary>Says how the guest's request for a connection ended. With the lock held.</summary>
    internal void RefuseConnection(Guid endpoint, Guid service)
    {
        if (_version < ConnectResultVersion)
        {
            return;
        }

        Span<byte> message = stackalloc byte[ConnectLength + sizeof(uint)];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)ChannelMessage.ConnectResult);
        endpoint.TryWriteBytes(message[8..]);
        service.TryWriteBytes(message[(8 + GuidLength)..]);
        BinaryPrimitives.WriteUInt32LittleEndian(message[ConnectLength..], ConnectionRefused);
        Enqueue(message);
    }

    /// <summary>Says what there is to be said. With the lock held, at the end of what a host's thread has done.</summary>
    internal void Deliver() => Flush();

    private void Replenish()
    {
        if (_owing == 0 || _queued >= ReplenishedLength)
        {
            return;
        }

        ReadOnlySpan<VmBusChannel?> channels = Channels;
        for (int i = 0; i < channels.Length && _owing != 0 && _queued < ReplenishedLength; i++)
        {
            if (channels[i] is { OwesOffer: true } channel)
            {
                channel.OwesOffer = false;
                _owing--;
                Offer(channel);
            }
        }

        // Sub-channels go before their first one.
        for (int i = channels.Length - 1; i >= 0 && _owing != 0 && _queued < ReplenishedLength; i--)
        {
            if (channels[i] is { OwesRescind: true } channel)
            {
                channel.OwesRescind = false;
                _owing--;
                Send(ChannelMessage.RescindOffer, channel.Number);
            }
        }
    }

    private void OweOffer(VmBusChannel channel)
    {
        channel.OwesOffer = true;
        _owing++;
    }

    private void OweRescind(VmBusChannel channel)
    {
        channel.Offer = ChannelOffer.Withdrawn;
        channel.OwesRescind = true;
        _owing++;
    }
}
