namespace Lamina.Personalities.HyperV.Network;

/// <summary>Status values of Remote NDIS ([MS-RNDIS], section 2.2, and NDIS).</summary>
internal enum RndisStatus : uint
{
    Success = 0,
    MediaConnect = 0x4001_000b,
    MediaDisconnect = 0x4001_000c,
    NotSupported = 0xc000_00bb,
    InvalidLength = 0xc001_0014,
    InvalidData = 0xc001_0015,
}
