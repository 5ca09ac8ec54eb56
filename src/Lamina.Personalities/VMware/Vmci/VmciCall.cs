namespace Lamina.Personalities.VMware.Vmci;

/// <summary>The hypervisor's resources: what a datagram to its context asks for.</summary>
internal enum VmciCall : uint
{
    ResourcesQuery = 0,
    GetContextId = 1,
    SetNotifyBitmap = 2,
    DoorbellLink = 3,
    DoorbellUnlink = 4,
    DoorbellNotify = 5,
    EventSubscribe = 8,
    EventUnsubscribe = 9,
    QueuePairAllocate = 10,
    QueuePairDetach = 11,
}
