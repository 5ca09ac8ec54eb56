namespace Lamina.Personalities.HyperV.Network;

/// <summary>How a message of the network protocol ended.</summary>
internal enum NvspStatus : uint
{
    Success = 1,
    Failure = 2,
    InvalidRndisPacket = 5,
    ProtocolUnsupported = 7,
}
