namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>Offsets in the area that the driver shares (struct Vmxnet3_DriverShared), and in the descriptions of queues (Vmxnet3_TxQueueDesc, Vmxnet3_RxQueueDesc).</summary>
internal static class SharedArea
{
    internal const int Length = 720;
    internal const uint MagicValue = 3133079265;
    internal const int Magic = 0;
    internal const int Features = 24;
    internal const int QueueDescriptions = 40;
    internal const int MaximumReceiveParts = 60;
    internal const int TxQueueCount = 62;
    internal const int RxQueueCount = 63;
    internal const int AutoMask = 80;
    internal const int InterruptCount = 81;
    internal const int EventInterrupt = 82;
    internal const int ReceiveMode = 120;
    internal const int GroupsLength = 124;
    internal const int Groups = 128;
    internal const int VlanTable = 136;
    internal const int ScalingSettings = 656;
    internal const int EventCause = 696;

    internal const int QueueLength = 256;
    internal const int UpdateRxProducer = 0;
    internal const int RingAddress = 16;
    internal const int Ring2Address = 24;
    internal const int TxCompletionAddress = 32;
    internal const int RxCompletionAddress = 32;
    internal const int TxRingSize = 56;
    internal const int TxCompletionSize = 64;
    internal const int TxInterrupt = 72;
    internal const int RxRingSize = 56;
    internal const int RxRing2Size = 60;
    internal const int RxCompletionSize = 64;
    internal const int RxInterrupt = 72;
    internal const int Stopped = 80;
    internal const int Error = 84;
    internal const int Statistics = 88;
}
