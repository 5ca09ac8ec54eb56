namespace Lamina.Personalities.HyperV.Network;

/// <summary>Messages of the network protocol that are known here (Linux, drivers/net/hyperv/hyperv_net.h).</summary>
internal enum NvspMessage : uint
{
    Initialize = 1,
    InitializeComplete = 2,
    SendNdisVersion = 100,
    SendReceiveBuffer = 101,
    SendReceiveBufferComplete = 102,
    RevokeReceiveBuffer = 103,
    SendSendBuffer = 104,
    SendSendBufferComplete = 105,
    RevokeSendBuffer = 106,
    SendRndisPacket = 107,
    SendRndisPacketComplete = 108,
    SendNdisConfiguration = 125,
    SwitchDataPath = 129,
    Subchannel = 133,
    SendIndirectionTable = 134,
}
