namespace Lamina.Personalities.Xen.Bus;

/// <summary>States of the two ends of a device (xen/include/public/io/xenbus.h).</summary>
internal enum XenBusState
{
    Unknown = 0,
    Initialising = 1,
    InitWait = 2,
    Initialised = 3,
    Connected = 4,
    Closing = 5,
    Closed = 6,
}
