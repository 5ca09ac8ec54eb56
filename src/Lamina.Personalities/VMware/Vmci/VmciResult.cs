namespace Lamina.Personalities.VMware.Vmci;

/// <summary>What the result register says of the last datagram: how long it was, what a call has to say, or, below 0, what is wrong.</summary>
internal enum VmciResult
{
    Success = 0,
    LastDetach = 3,
    Created = 4,
    Attached = 5,
    InvalidResource = -1,
    InvalidArguments = -2,
    NoMemory = -3,
    NoAccess = -7,
    PayloadTooLarge = -11,
    NoResources = -19,
    NotFound = -21,
    AlreadyExists = -22,
    DatagramIncomplete = -27,
    QueuePairMismatch = -31,
}
