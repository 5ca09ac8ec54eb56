using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>The card behind the protocol, as Remote NDIS queries and sets it. Requests are copies; answers are written to a buffer of <see cref="AnswerLength"/> bytes.</summary>
internal sealed class RndisControl
{
    /// <summary>Bytes of the longest answer, a multiple of 8.</summary>
    internal const int AnswerLength = 256;

    /// <summary>Most packets in a message.</summary>
    internal const uint MaximumPackets = 8;

    /// <summary>Most bytes of a message.</summary>
    internal const uint MaximumTransfer = 256 << 10;

    private const int HeaderLength = 8;
    private const int RequestLength = 28;
    private const int QueryAnswer = 24;
    private const int EthernetHeader = 14;
    private const int AddressLength = 6;
    private const uint AlignmentShift = 3;
    private const uint Directed = 1;
    private const uint Multicast = 6;
    private const uint Broadcast = 8;
    private const uint Promiscuous = 32;
    private const uint LinkSpeed = 100_000_000;

    private readonly byte[] _permanentAddress;
    private readonly byte[] _address = new byte[AddressLength];
    private uint _filter;

    internal RndisControl(ReadOnlySpan<byte> address)
    {
        _permanentAddress = address.ToArray();
        Reset();
    }

    /// <summary>Bytes of a frame without its Ethernet header.</summary>
    internal uint MaximumFrame { get; set; }

    /// <summary>The version of the network protocol.</summary>
    internal uint Version { get; set; }

    /// <summary>How many channels the card can have.</summary>
    internal int Channels { get; init; } = 1;

    /// <summary>How frames are spread over them.</summary>
    internal ReceiveScaling Scaling { get; } = new();

    /// <summary>Whether the driver may have segments of TCP that arrive as one.</summary>
    internal bool CanCoalesce { get; set; }

    /// <summary>Whether it wants them.</summary>
    internal bool Coalesces { get; private set; }

    /// <summary>Whether the wire is whole.</summary>
    internal bool IsLinkUp { get; set; } = true;

    /// <summary>Whether the driver wants frames at all.</summary>
    internal bool Receives => _filter != 0;

    internal void Reset()
    {
        _permanentAddress.CopyTo(_address.AsSpan());
        _filter = 0;
        CanCoalesce = Coalesces = false;
        Scaling.Reset();
    }

    /// <summary>Whether the driver wants a frame.</summary>
    internal bool Wants(ReadOnlySpan<byte> frame)
    {
        if (frame.Length < EthernetHeader || (_filter & Promiscuous) != 0)
        {
            return frame.Length >= EthernetHeader;
        }

        ReadOnlySpan<byte> to = frame[..AddressLength];
        bool group = (to[0] & 1) != 0;
        return group ? (_filter & (to.IndexOfAnyExcept((byte)0xff) < 0 ? Broadcast : Multicast)) != 0 : (_filter & Directed) != 0 && to.SequenceEqual(_address);
    }

    /// <summary>Executes a request.</summary>
    /// <param name="request">The message.</param>
    /// <param name="answer">Where the answer goes.</param>
    /// <returns>The answer's length; 0 if there is none.</returns>
    internal int Execute(ReadOnlySpan<byte> request, Span<byte> answer)
    {
        answer.Clear();
        if (request.Length < HeaderLength + sizeof(uint))
        {
            return 0;
        }

        RndisMessageType type = (RndisMessageType)BinaryPrimitives.ReadUInt32LittleEndian(request);
        uint identifier = BinaryPrimitives.ReadUInt32LittleEndian(request[HeaderLength..]);
        switch (type)
        {
            case RndisMessageType.Initialize:
                return Complete(answer, type, identifier, RndisStatus.Success, Initialize(answer));
            case RndisMessageType.Halt:
                Reset();
                return 0;
            case RndisMessageType.Reset:
                _filter = 0;
                return Complete(answer, type, (uint)RndisStatus.Success, RndisStatus.Success, 16);
            case RndisMessageType.KeepAlive:
                return Complete(answer, type, identifier, RndisStatus.Success, 16);
            case RndisMessageType.Query when request.Length >= RequestLength:
                int length = Query(BinaryPrimitives.ReadUInt32LittleEndian(request[12..]), answer[QueryAnswer..]);
                BinaryPrimitives.WriteInt32LittleEndian(answer[16..], Math.Max(length, 0));
                BinaryPrimitives.WriteInt32LittleEndian(answer[20..], QueryAnswer - HeaderLength);
                return Complete(answer, type, identifier, length < 0 ? RndisStatus.NotSupported : RndisStatus.Success, QueryAnswer + Math.Max(length, 0));
            case RndisMessageType.Set when request.Length >= RequestLength:
                return Complete(answer, type, identifier, Set(request), 16);
            default:
                return 0;
        }
    }

    /// <summary>Writes the message that says whether the wire is whole.</summary>
    /// <returns>Its length.</returns>
    internal int IndicateLink(Span<byte> message)
    {
        const int Length = 24;
        message[..Length].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)RndisMessageType.IndicateStatus);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], (uint)(IsLinkUp ? RndisStatus.MediaConnect : RndisStatus.MediaDisconnect));
        return Length;
    }

    /// <summary>Writes ten fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)MaximumFrame);
        state.Write((ushort)(field + 1), (ulong)Version);
        state.Write((ushort)(field + 2), _address);
        state.Write((ushort)(field + 3), (ulong)_filter);
        state.Write((ushort)(field + 4), CanCoalesce);
        state.Write((ushort)(field + 5), Coalesces);
        state.Write((ushort)(field + 6), IsLinkUp);
        Scaling.Save(state, (ushort)(field + 7));
    }

    /// <summary>Reads them.</summary>
    /// <param name="state">Where from.</param>
    /// <param name="field">The first.</param>
    /// <param name="wasUp">Whether the driver knows the wire as whole.</param>
    internal bool Restore(IStateReader state, ushort field, out bool wasUp)
    {
        uint frame = 0;
        uint version = 0;
        bool canCoalesce = false;
        bool coalesces = false;
        wasUp = false;
        bool valid = state.TryTake(field, ref frame) & state.TryTake((ushort)(field + 1), ref version) & state.TryTake((ushort)(field + 2), _address.AsSpan())
            & state.TryTake((ushort)(field + 3), ref _filter) & state.TryTake((ushort)(field + 4), ref canCoalesce) & state.TryTake((ushort)(field + 5), ref coalesces)
            & state.TryTake((ushort)(field + 6), ref wasUp) & Scaling.Restore(state, (ushort)(field + 7), Channels);
        (MaximumFrame, Version, CanCoalesce, Coalesces) = (frame, version, canCoalesce, coalesces);
        return valid && (canCoalesce || !coalesces);
    }

    private static int Complete(Span<byte> answer, RndisMessageType type, uint identifier, RndisStatus status, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(answer, (uint)(type | RndisMessageType.Completion));
        BinaryPrimitives.WriteInt32LittleEndian(answer[4..], length);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[8..], identifier);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[12..], (uint)status);
        return length;
    }

    private static int Initialize(Span<byte> answer)
    {
        const int Length = 52;
        const uint Major = 1;
        const uint Connectionless = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(answer[16..], Major);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[24..], Connectionless);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[32..], MaximumPackets);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[36..], MaximumTransfer);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[40..], AlignmentShift);
        return Length;
    }

    // The length, or -1 for what is not known.
    private int Query(uint identifier, Span<byte> value)
    {
        const uint VendorIdentifier = 0xff_ffff;
        const uint VendorVersion = 0x0001_0000;
        const uint MacOptions = 0x8 | 0x2 | 0x1;
        switch (identifier)
        {
            case ObjectIdentifier.SupportedList:
                for (int i = 0; i < ObjectIdentifier.Supported.Length; i++)
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(value[(i * sizeof(uint))..], ObjectIdentifier.Supported[i]);
                }

                return ObjectIdentifier.Supported.Length * sizeof(uint);
            case ObjectIdentifier.HardwareStatus or ObjectIdentifier.MediaSupported or ObjectIdentifier.MediaInUse:
                return Put(value, 0);
            case ObjectIdentifier.MaximumFrameSize or ObjectIdentifier.MaximumLookahead or ObjectIdentifier.CurrentLookahead:
                return Put(value, MaximumFrame);
            case ObjectIdentifier.TransmitBlockSize or ObjectIdentifier.ReceiveBlockSize or ObjectIdentifier.MaximumTotalSize:
                return Put(value, MaximumFrame + EthernetHeader);
            case ObjectIdentifier.LinkSpeed:
                return Put(value, LinkSpeed);
            case ObjectIdentifier.VendorId:
                return Put(value, VendorIdentifier);
            case ObjectIdentifier.VendorDescription:
                "Lamina\0"u8.CopyTo(value);
                return 7;
            case ObjectIdentifier.CurrentPacketFilter:
                return Put(value, _filter);
            case ObjectIdentifier.MacOptions:
                return Put(value, MacOptions);
            case ObjectIdentifier.MediaConnectStatus:
                return Put(value, IsLinkUp ? 0u : 1);
            case ObjectIdentifier.MaximumSendPackets:
                return Put(value, MaximumPackets);
            case ObjectIdentifier.VendorDriverVersion:
                return Put(value, VendorVersion);
            case ObjectIdentifier.MaximumListSize:
                return Put(value, 32);
            case ObjectIdentifier.PermanentAddress:
                _permanentAddress.CopyTo(value);
                return AddressLength;
            case ObjectIdentifier.CurrentAddress:
                _address.CopyTo(value);
                return AddressLength;
            case ObjectIdentifier.ReceiveScaleCapabilities when Channels > 1:
                return ReceiveScaling.Describe(value, Channels);
            case ObjectIdentifier.OffloadCurrentConfiguration or ObjectIdentifier.OffloadHardwareCapabilities:
                return OffloadCapabilities.Write(value, Version, CanCoalesce);
            default:
                return -1;
        }
    }

    private static int Put(Span<byte> value, uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(value, number);
        return sizeof(uint);
    }

    private RndisStatus Set(ReadOnlySpan<byte> request)
    {
        uint identifier = BinaryPrimitives.ReadUInt32LittleEndian(request[12..]);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(request[16..]);
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(request[20..]);
        ReadOnlySpan<byte> body = request[HeaderLength..];
        if (offset > (uint)body.Length || length > (uint)body.Length - offset)
        {
            return RndisStatus.InvalidLength;
        }

        ReadOnlySpan<byte> value = body.Slice((int)offset, (int)length);
        switch (identifier)
        {
            case ObjectIdentifier.CurrentPacketFilter when value.Length >= sizeof(uint):
                _filter = BinaryPrimitives.ReadUInt32LittleEndian(value);
                return RndisStatus.Success;
            case ObjectIdentifier.CurrentLookahead or ObjectIdentifier.MulticastList:
                return RndisStatus.Success;
            case ObjectIdentifier.OffloadParameters:
                SetOffloads(value);
                return RndisStatus.Success;
            case ObjectIdentifier.ReceiveScaleParameters when Channels > 1:
                return Scaling.Set(value, Channels);
            case ObjectIdentifier.ConfigurationParameter:
                return Configure(value);
            default:
                return RndisStatus.NotSupported;
        }
    }

    // NDIS_OFFLOAD_PARAMETERS: of all that is on, coalescing alone can be turned off. Frames come that way for both versions of IP, or for none.
    private void SetOffloads(ReadOnlySpan<byte> value)
    {
        const int Coalescing = 22;
        const byte Disabled = 1;
        const byte Enabled = 2;
        if (value.Length >= Coalescing + 2)
        {
            ReadOnlySpan<byte> wanted = value.Slice(Coalescing, 2);
            Coalesces = CanCoalesce && !wanted.Contains(Disabled) && (Coalesces || wanted.IndexOfAnyExcept(Enabled) < 0);
        }
    }

    // A name and a value in UTF-16. The one that is known is the hardware address in digits.
    private RndisStatus Configure(ReadOnlySpan<byte> value)
    {
        const int Header = 20;
        const uint IsString = 2;
        if (value.Length < Header || !TrySlice(value, 0, out ReadOnlySpan<byte> name) || !TrySlice(value, 12, out ReadOnlySpan<byte> text))
        {
            return RndisStatus.InvalidLength;
        }

        ReadOnlySpan<byte> known = "NetworkAddress"u8;
        if (BinaryPrimitives.ReadUInt32LittleEndian(value[8..]) != IsString || name.Length != known.Length * 2 || text.Length != AddressLength * 4)
        {
            return RndisStatus.NotSupported;
        }

        for (int i = 0; i < known.Length; i++)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(name[(i * 2)..]) != known[i])
            {
                return RndisStatus.NotSupported;
            }
        }

        Span<byte> address = stackalloc byte[AddressLength];
        for (int i = 0; i < AddressLength * 2; i++)
        {
            int digit = BinaryPrimitives.ReadUInt16LittleEndian(text[(i * 2)..]) switch
            {
                >= '0' and <= '9' and var c => c - '0',
                >= 'a' and <= 'f' and var c => c - 'a' + 10,
                >= 'A' and <= 'F' and var c => c - 'A' + 10,
                _ => -1,
            };
            if (digit < 0)
            {
                return RndisStatus.InvalidData;
            }

            address[i / 2] = (byte)((address[i / 2] << 4) | digit);
        }

        address.CopyTo(_address);
        return RndisStatus.Success;
    }

    private static bool TrySlice(ReadOnlySpan<byte> value, int field, out ReadOnlySpan<byte> slice)
    {
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(value[field..]);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(value[(field + 4)..]);
        bool inside = offset <= (uint)value.Length && length <= (uint)value.Length - offset;
        slice = inside ? value.Slice((int)offset, (int)length) : default;
        return inside;
    }
}
