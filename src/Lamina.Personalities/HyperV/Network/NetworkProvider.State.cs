using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Network;

/// <content>
/// The saved state: what driver and card have agreed on, which parts of the receive buffer the driver has, and what the wire, or a ring, had no room for: the rest of a message that is being sent, and answers.
/// </content>
public sealed partial class NetworkProvider
{
    private const ushort SavedControl = 16;
    private const ushort SavedSections = 32;
    private const ushort SavedSender = 40;
    private const int PieceLength = 12;

    // A part of the receive buffer is as long as the longest frame at most, and what is before it.
    private const uint LargestSection = MaximumFrame + EthernetHeader + FrameStart + 64;

    void IVmBusDevice.Save(IStateWriter state)
    {
        Span<byte> pieces = stackalloc byte[MaximumPieces * PieceLength];
        int length = 0;
        for (int i = 0; i < _pieceCount && _sending; i++, length += PieceLength)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(pieces[length..], _pieces[i].Address);
            BinaryPrimitives.WriteUInt32LittleEndian(pieces[(length + sizeof(ulong))..], _pieces[i].Length);
        }

        state.Write(1, (ulong)(_sending ? _sendsOn!.Number : 0));
        state.Write(2, pieces[..length]);
        state.Write(3, (ulong)(_sending ? _position : 0));
        state.Write(4, _sending ? _transaction : 0);
        state.Write(5, (ulong)(_answerWaits ? _answersOn!.Number : 0));
        state.Write(6, _answerWaits ? _answerTransaction : 0);
        state.Write(7, _answer);
        state.Write(8, _indication.AsSpan(0, _indicationLength));
        state.Write(9, _linkWaits);
        state.Write(10, (ulong)(uint)(_tableWaits ? _tableChannels : 0));
        _receiveBuffer.Save(state, 11);
        _sendBuffer.Save(state, 12);
        state.Write(13, (ulong)_receiveBufferId);
        _control.Save(state, SavedControl);
        _sections.Save(state, SavedSections);
        _sender.Save(state, SavedSender);
    }

    bool IVmBusDevice.Restore(IStateReader state)
    {
        bool valid = TakeAgreement(state) && TakeWork(state);
        if (!valid)
        {
            Forget();
        }

        return valid;
    }

    private bool TakeAgreement(IStateReader state)
    {
        byte tableChannels = 0;
        bool valid = _receiveBuffer.Restore(state, 11) & _sendBuffer.Restore(state, 12) & _control.Restore(state, SavedControl, out bool wasUp) & _sections.Restore(state, SavedSections)
            & state.TryTake(9, ref _linkWaits) & state.TryTake(10, ReceiveScaling.MaximumChannels, ref tableChannels);

        // Machines of before had none.
        _receiveBufferId = UsualReceiveBuffer;
        valid &= !state.TryRead(13, out _) || state.TryTake(13, ref _receiveBufferId);

        // The wire is another, and whoever knows better says so.
        _linkWaits |= !wasUp && _control.Receives;
        (_tableChannels, _tableWaits) = (tableChannels, tableChannels != 0);
        return valid
            && _control.MaximumFrame is >= DefaultFrame and <= MaximumFrame
            && (_control.Version == 0 || Versions.Contains(_control.Version))
            && (_sections.Count == 0 || (_sections.Size is >= SmallestSection and <= LargestSection && (ulong)_sections.Size * (uint)_sections.Count <= _receiveBuffer.Length));
    }

    private bool TakeWork(IStateReader state)
    {
        uint sends = 0;
        uint answers = 0;
        bool valid = state.TryTake(1, ref sends) & state.TryTake(3, ref _position) & state.TryTake(4, ref _transaction) & state.TryTake(5, ref answers)
            & state.TryTake(6, ref _answerTransaction) & state.TryTake(7, _answer.AsSpan()) & TakePieces(state) & _sender.Restore(state, SavedSender);
        _indicationLength = state.TryRead(8, _indication);
        _sendsOn = _bus.FindOpen(this, sends);
        _answersOn = _bus.FindOpen(this, answers);
        _sending = sends != 0;
        _answerWaits = answers != 0;
        return valid && _indicationLength >= 0 && _position <= _length && (!_sending || _sendsOn is not null) && (!_answerWaits || _answersOn is not null);
    }

    private bool TakePieces(IStateReader state)
    {
        Span<byte> pieces = stackalloc byte[MaximumPieces * PieceLength];
        int length = state.TryRead(2, pieces);
        _pieceCount = 0;
        _length = 0;
        for (int at = 0; at + PieceLength <= length; at += PieceLength)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(pieces[at..]);
            uint part = BinaryPrimitives.ReadUInt32LittleEndian(pieces[(at + sizeof(ulong))..]);
            nint host = part > RndisControl.MaximumTransfer ? 0 : _memory.GetHostAddress(address, part);
            if (host == 0)
            {
                return false;
            }

            _pieces[_pieceCount++] = new GuestBuffer(address, host, part);
            _length += part;
        }

        return length >= 0 && length % PieceLength == 0 && _length <= RndisControl.MaximumTransfer + SendSectionSize;
    }
}
