namespace Lamina.Personalities.HyperV.Network;

/// <summary>Remote NDIS messages ([MS-RNDIS], section 2.2).</summary>
internal enum RndisMessageType : uint
{
    Packet = 1,
    Initialize = 2,
    Halt = 3,
    Query = 4,
    Set = 5,
    Reset = 6,
    IndicateStatus = 7,
    KeepAlive = 8,

    /// <summary>Added to a request's type, the type of its answer.</summary>
    Completion = 0x8000_0000,
}
