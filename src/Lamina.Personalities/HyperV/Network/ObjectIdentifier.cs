namespace Lamina.Personalities.HyperV.Network;

/// <summary>What can be asked of a network card, and set (NDIS object identifiers).</summary>
internal static class ObjectIdentifier
{
    internal const uint SupportedList = 0x0001_0101;
    internal const uint HardwareStatus = 0x0001_0102;
    internal const uint MediaSupported = 0x0001_0103;
    internal const uint MediaInUse = 0x0001_0104;
    internal const uint MaximumLookahead = 0x0001_0105;
    internal const uint MaximumFrameSize = 0x0001_0106;
    internal const uint LinkSpeed = 0x0001_0107;
    internal const uint TransmitBlockSize = 0x0001_010a;
    internal const uint ReceiveBlockSize = 0x0001_010b;
    internal const uint VendorId = 0x0001_010c;
    internal const uint VendorDescription = 0x0001_010d;
    internal const uint CurrentPacketFilter = 0x0001_010e;
    internal const uint CurrentLookahead = 0x0001_010f;
    internal const uint MaximumTotalSize = 0x0001_0111;
    internal const uint MacOptions = 0x0001_0113;
    internal const uint MediaConnectStatus = 0x0001_0114;
    internal const uint MaximumSendPackets = 0x0001_0115;
    internal const uint VendorDriverVersion = 0x0001_0116;
    internal const uint ReceiveScaleCapabilities = 0x0001_0203;
    internal const uint ReceiveScaleParameters = 0x0001_0204;
    internal const uint ConfigurationParameter = 0x0001_021b;
    internal const uint PermanentAddress = 0x0101_0101;
    internal const uint CurrentAddress = 0x0101_0102;
    internal const uint MulticastList = 0x0101_0103;
    internal const uint MaximumListSize = 0x0101_0104;
    internal const uint OffloadCurrentConfiguration = 0xfc01_020b;
    internal const uint OffloadParameters = 0xfc01_020c;
    internal const uint OffloadHardwareCapabilities = 0xfc01_020d;

    /// <summary>All that can be queried.</summary>
    internal static ReadOnlySpan<uint> Supported =>
    [
        SupportedList, HardwareStatus, MediaSupported, MediaInUse, MaximumLookahead, MaximumFrameSize, LinkSpeed, TransmitBlockSize, ReceiveBlockSize, VendorId, VendorDescription,
        CurrentPacketFilter, CurrentLookahead, MaximumTotalSize, MacOptions, MediaConnectStatus, MaximumSendPackets, VendorDriverVersion, PermanentAddress, CurrentAddress, MaximumListSize,
        OffloadCurrentConfiguration, OffloadHardwareCapabilities,
    ];
}
