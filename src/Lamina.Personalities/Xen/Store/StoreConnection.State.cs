using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Store;

/// <content>The saved state: what has come of a request, and what of an answer had no room in the ring. The ring is in guest memory. With the store's lock held.</content>
internal sealed partial class StoreConnection
{
    /// <summary>Writes four fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _in.AsSpan(0, _broken ? 0 : _received));
        state.Write((ushort)(field + 1), _out.AsSpan(0, _outLength));
        state.Write((ushort)(field + 2), (ulong)(uint)_sent);
        state.Write((ushort)(field + 3), _broken);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        uint sent = 0;
        int received = state.TryRead(field, _in);
        int length = state.TryRead((ushort)(field + 1), _out);
        bool valid = state.TryTake((ushort)(field + 2), ref sent) & state.TryTake((ushort)(field + 3), ref _broken)
            && received >= 0 && length >= 0 && sent <= (uint)length && (received < HeaderLength || IsPart(received));
        (_received, _outLength, _sent) = valid ? (received, length, (int)sent) : (0, 0, 0);
        return valid;
    }

    // A whole request would have been answered.
    private bool IsPart(int received)
    {
        uint payload = BinaryPrimitives.ReadUInt32LittleEndian(_in.AsSpan(LengthOffset));
        return payload <= StoreLimits.Payload && received < HeaderLength + (int)payload;
    }
}
