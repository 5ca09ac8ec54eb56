using Lamina.Machine.Devices;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>A channel that a program of the guest's has opened: a message that comes in, and one that waits to be fetched.</summary>
internal sealed class RpcChannel
{
    /// <summary>Most bytes of a message.</summary>
    internal const int MaximumLength = 16384;

    private readonly byte[] _incoming = new byte[MaximumLength];
    private readonly byte[] _outgoing = new byte[MaximumLength];
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
    internal ReadOnlySpan<byte> Incoming => _incoming.AsSpan(0, _received);

    /// <summary>Room for the message that is to go out.</summary>
    internal Span<byte> Room => _outgoing;

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
            _incoming[_received++] = (byte)(word >> (8 * i));
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
            _incoming[_received++] = value;
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
        state.Write((ushort)(field + 6), _outgoing.AsSpan(0, _outgoingLength));
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        const byte AllFlags = 3;
        byte flags = 0;
        ulong cookie = 0;
        ulong usedAt = 0;
        ushort expected = 0;
        ushort fetched = 0;
        int received = state.TryRead((ushort)(field + 5), _incoming);
        int outgoing = state.TryRead((ushort)(field + 6), _outgoing);
        bool valid = state.TryTake(field, AllFlags, ref flags) & state.TryTake((ushort)(field + 1), ref cookie) & state.TryTake((ushort)(field + 2), ref usedAt)
            & state.TryTake((ushort)(field + 3), ref expected) & state.TryTake((ushort)(field + 4), ref fetched);
        if (!valid || received < 0 || received > expected || expected > MaximumLength || fetched > outgoing)
        {
            return false;
        }

        Open((flags & 2) != 0, cookie);
        (IsOpen, UsedAt) = ((flags & 1) != 0, usedAt);
        (_expected, _received, _outgoingLength, _fetched) = (expected, received, outgoing, fetched);
        return true;
    }

    /// <summary>Gives the next byte for the guest.</summary>
    /// <returns><c>false</c> if there is none.</returns>
    internal bool TryFetch(out byte value)
    {
        bool has = _fetched < _outgoingLength;
        value = has ? _outgoing[_fetched++] : (byte)0;
        return has;
    }

    /// <summary>The next four bytes for the guest; zeroes behind the end.</summary>
    internal uint Fetch()
    {
        uint word = 0;
        for (int i = 0; i < sizeof(uint) && _fetched < _outgoingLength; i++)
        {
            word |= (uint)_outgoing[_fetched++] << (8 * i);
        }

        return word;
    }
}
