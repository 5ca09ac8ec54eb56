using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmci;

/// <content>
/// The port for datagrams each way. A driver reads a page at a time, and takes a header without a destination for the end: so no datagram crosses the end of a page, and none comes in the same page after the end
/// was shown.
/// </content>
public sealed partial class VmciDevice
{
    private const byte NoDatagram = 0xff;
    private readonly byte[] _message = new byte[MaximumMessage];
    private readonly byte[] _datagram = new byte[VmciDatagram.MaximumLength];
    private int _messageLength;
    private ulong _skipped;
    private int _datagramLength;
    private int _datagramPosition;
    private int _pagePosition;
    private bool _endShown;

    private void ResetDatagrams()
    {
        _messageLength = _datagramLength = _datagramPosition = _pagePosition = 0;
        _skipped = 0;
        _endShown = false;
    }

    private void ReadDatagrams(Span<byte> data)
    {
        foreach (ref byte value in data)
        {
            if (_datagramPosition == _datagramLength)
            {
                bool fits = GuestMemory.PageSize - _pagePosition >= VmciDatagram.MaximumLength;
                _datagramPosition = 0;
                _datagramLength = fits && !_endShown ? WriteNextDatagram() : 0;
                _endShown = _datagramLength == 0;
            }

            value = _endShown ? NoDatagram : _datagram[_datagramPosition++];
            if (++_pagePosition == GuestMemory.PageSize)
            {
                (_pagePosition, _endShown) = (0, false);
                if (_sockets.HasWork)
                {
                    Interrupt(VmciRegister.Datagram);
                }
            }
        }
    }

    private int WriteNextDatagram()
    {
        if (_connectionsLost)
        {
            _connectionsLost = false;
            return VmciDatagram.WriteEvent(_datagram, _guest, VmciDatagram.QueuePairsResumed, new VmciHandle(uint.MaxValue, uint.MaxValue));
        }

        return _sockets.WriteNext(_datagram);
    }

    private void WriteDatagram(ReadOnlySpan<byte> data)
    {
        foreach (byte value in data)
        {
            if (_skipped > 0)
            {
                _skipped--;
                continue;
            }

            _message[_messageLength++] = value;
            if (_messageLength < VmciDatagram.HeaderLength)
            {
                continue;
            }

            VmciDatagram header = VmciDatagram.Read(_message);
            if (header.PayloadLength > MaximumMessage - VmciDatagram.HeaderLength)
            {
                bool isQueuePair = header.Destination == new VmciHandle(VmciHandle.Hypervisor, (uint)VmciCall.QueuePairAllocate);
                _result = (int)(isQueuePair ? VmciResult.NoResources : VmciResult.InvalidResource);
                _skipped = header.PayloadLength;
                _messageLength = 0;
            }
            else if (_messageLength == VmciDatagram.HeaderLength + (int)header.PayloadLength)
            {
                ReadOnlySpan<byte> message = _message.AsSpan(0, _messageLength);
                _messageLength = 0;
                _result = Execute(header, message);
                TellDatagrams();
            }
        }
    }

    // A driver looks at the result when it has written all.
    private int TakeResult()
    {
        if (_messageLength != 0 || _skipped != 0)
        {
            _result = (int)VmciResult.DatagramIncomplete;
            (_messageLength, _skipped) = (0, 0);
        }

        return _result;
    }

    private void SaveDatagrams(IStateWriter state, ushort field)
    {
        state.Write(field, _message);
        state.Write((ushort)(field + 1), (ulong)(uint)_messageLength);
        state.Write((ushort)(field + 2), _skipped);
        state.Write((ushort)(field + 3), _datagram);
        state.Write((ushort)(field + 4), (ulong)(uint)_datagramLength);
        state.Write((ushort)(field + 5), (ulong)(uint)_datagramPosition);
        state.Write((ushort)(field + 6), (ulong)(uint)_pagePosition);
        state.Write((ushort)(field + 7), _endShown);
    }

    private bool RestoreDatagrams(IStateReader state, ushort field)
    {
        byte length = 0;
        byte position = 0;
        byte messageLength = 0;
        ushort pagePosition = 0;
        bool valid = state.TryTake(field, _message) & state.TryTake((ushort)(field + 1), ref messageLength) & state.TryTake((ushort)(field + 2), ref _skipped)
            & state.TryTake((ushort)(field + 3), _datagram) & state.TryTake((ushort)(field + 4), VmciDatagram.MaximumLength, ref length) & state.TryTake((ushort)(field + 5), length, ref position)
            & state.TryTake((ushort)(field + 6), ref pagePosition) & state.TryTake((ushort)(field + 7), ref _endShown);
        (_messageLength, _datagramLength, _datagramPosition, _pagePosition) = (messageLength, length, position, pagePosition);

        // One that is whole would have been executed.
        bool begun = messageLength < VmciDatagram.HeaderLength || VmciDatagram.Read(_message).PayloadLength is var payload && payload <= MaximumMessage - VmciDatagram.HeaderLength
            && messageLength < VmciDatagram.HeaderLength + (int)payload;
        bool possible = valid && begun && (messageLength == 0 || _skipped == 0) && pagePosition < GuestMemory.PageSize;
        if (!possible)
        {
            ResetDatagrams();
        }

        return possible;
    }
}
