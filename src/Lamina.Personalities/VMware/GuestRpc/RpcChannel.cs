using Lamina.Machine.Devices;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>A channel that a program of the guest's has opened: a message that comes in, and one that waits to be fetched.</summary>
/// <param name="buffer">Holds all channels' messages.</param>
/// <param name="start">Where its own begin, one behind the other.</param>
internal sealed class RpcChannel(byte[] buffer, int start)
{
    /// <summary>Most bytes of a message (open-vm-tools, lib/include/guest_msg_def.h, GUESTMSG_MAX_IN_SIZE).</summary>
    internal const int MaximumLength = 64 << 10;

    /// <summary>Bytes of the buffer that a channel has.</summary>
    internal const int BufferLength = 2 * MaximumLength;

    private int _expected;
    private int _received;
    private int _outgoingLength;
    private int _fetched;

    /// <summary>Whether a program has it.</summary>
    internal bool IsOpen { get; private set; }

    /// <summary>Whether commands go to the guest on it, rather than requests to the host.</summary>
    internal bool IsForCommands { get; private set; }

    /// <summary>A number that its program has to say; 0 for none.</summary>
    internal ulong Cookie { get; private set; }

    /// <summary>When it was last used.</summary>
    internal ulong UsedAt { get; set; }

    /// <summary>The message that has come in.</summary>
    internal ReadOnlySpan<byte> Incoming => buffer.AsSpan(start, _received);

    /// <summary>Room for the message that is to go out.</summary>
    internal Span<byte> Room => buffer.AsSpan(start + MaximumLength, MaximumLength);

    /// <summary>Bytes of the message that waits to be fetched.</summary>
    internal int OutgoingLength => _outgoingLength;

    internal void Open(bool isForCommands, ulong cookie)
    {
        (IsOpen, IsForCommands, Cookie) = (true, isForCommands, cookie);
        _expected = _received = _outgoingLength = _fetched = 0;
    }

    internal void Close() => IsOpen = false;

    /// <summary>A message of so many bytes is to come.</summary>
    /// <returns><c>false</c> if it is too long.</returns>
    internal bool TryExpect(uint length)
    {
        (_expected, _received) = (0, 0);
        if (length > MaximumLength)
        {
            return false;
        }

        _expected = (int)length;
        return true;
    }

    /// <summary>Takes the next four bytes.</summary>
    /// <param name="word">They.</param>
    /// <param name="complete">Whether the message is whole.</param>
    /// <returns><c>false</c> if none are expected.</returns>
    internal bool TryAdd(uint word, out bool complete)
    {
        complete = false;
        if (_received == _expected)
        {
            return false;
        }

        for (int i = 0; i < sizeof(uint) && _received < _expected; i++)
        {
            buffer[start + _received++] = (byte)(word >> (8 * i));
        }

        complete = _received == _expected;
        return true;
    }

    /// <summary>Takes the next byte.</summary>
    /// <param name="value">It.</param>
    /// <param name="complete">Whether the message is whole.</param>
    /// <returns><c>false</c> if none is expected.</returns>
    internal bool TryAdd(byte value, out bool complete)
    {
        bool expected = _received < _expected;
        if (expected)
        {
            buffer[start + _received++] = value;
        }

        complete = expected && _received == _expected;
        return expected;
    }

    /// <summary>Has what is in <see cref="Room"/> fetched.</summary>
    internal void Put(int length) => (_outgoingLength, _fetched) = (length, 0);

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (IsOpen ? 1UL : 0) | (IsForCommands ? 2UL : 0));
        state.Write((ushort)(field + 1), Cookie);
        state.Write((ushort)(field + 2), UsedAt);
        state.Write((ushort)(field + 3), (ulong)_expected);
        state.Write((ushort)(field + 4), (ulong)_fetched);
        state.Write((ushort)(field + 5), Incoming);
        state.Write((ushort)(field + 6), Room[.._outgoingLength]);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        const byte AllFlags = 3;
        byte flags = 0;
        ulong cookie = 0;
        ulong usedAt = 0;
        uint expected = 0;
        uint fetched = 0;
        int received = state.TryRead((ushort)(field + 5), buffer.AsSpan(start, MaximumLength));
        int outgoing = state.TryRead((ushort)(field + 6), Room);
        bool valid = state.TryTake(field, AllFlags, ref flags) & state.TryTake((ushort)(field + 1), ref cookie) & state.TryTake((ushort)(field + 2), ref usedAt)
            & state.TryTake((ushort)(field + 3), ref expected) & state.TryTake((ushort)(field + 4), ref fetched);
        if (!valid || received < 0 || outgoing < 0 || received > expected || expected > MaximumLength || fetched > outgoing)
        {
            return false;
        }

        Open((flags & 2) != 0, cookie);
        (IsOpen, UsedAt) = ((flags & 1) != 0, usedAt);
        (_expected, _received, _outgoingLength, _fetched) = ((int)expected, received, outgoing, (int)fetched);
        return true;
    }

    /// <summary>Gives the next byte for the guest.</summary>
    /// <returns><c>false</c> if there is none.</returns>
    internal bool TryFetch(out byte value)
    {
        bool has = _fetched < _outgoingLength;
        value = has ? buffer[start + MaximumLength + _fetched++] : (byte)0;
        return has;
    }

    /// <summary>The next four bytes for the guest; zeroes behind the end.</summary>
    internal uint Fetch()
    {
        uint word = 0;
        for (int i = 0; i < sizeof(uint) && _fetched < _outgoingLength; i++)
        {
            word |= (uint)buffer[start + MaximumLength + _fetched++] << (8 * i);
        }

        return word;
    }
}
