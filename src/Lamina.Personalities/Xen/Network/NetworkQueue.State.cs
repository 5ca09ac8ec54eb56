using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Network;

/// <content>The saved state: rings, channels, and the rest of a packet that the wire had no room for.</content>
internal sealed partial class NetworkQueue
{
    /// <summary>Most fields of a queue.</summary>
    internal const int SavedFields = 24;

    private const ushort SavedReceiveEnd = 2;
    private const ushort SavedTransmit = 4;
    private const ushort SavedReceive = 10;
    private const ushort SavedSender = 16;

    /// <summary>Writes the fields of a queue that is open.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        _domain.Events.SaveEnd(state, field, _transmitEvent.Port, _transmitEvent);
        _domain.Events.SaveEnd(state, (ushort)(field + SavedReceiveEnd), _receiveEvent.Port, _receiveEvent);
        _transmit.Save(state, (ushort)(field + SavedTransmit));
        _receive.Save(state, (ushort)(field + SavedReceive));
        _sender.Save(state, (ushort)(field + SavedSender));
    }

    /// <summary>Reads them. After <see cref="Close"/>.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        IsOpen = _domain.Events.RestoreEnd(state, field, _transmitEvent, out uint transmitPort) & _domain.Events.RestoreEnd(state, (ushort)(field + SavedReceiveEnd), _receiveEvent, out uint receivePort)
            & _transmit.Restore(state, (ushort)(field + SavedTransmit)) & _receive.Restore(state, (ushort)(field + SavedReceive)) & _sender.Restore(state, (ushort)(field + SavedSender));
        (_transmitEvent.Port, _receiveEvent.Port) = (transmitPort, receivePort);
        return IsOpen;
    }
}
