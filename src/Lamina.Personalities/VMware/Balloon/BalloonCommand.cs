namespace Lamina.Personalities.VMware.Balloon;

/// <summary>What a balloon's driver can ask for, in ECX (Linux, drivers/misc/vmw_balloon.c).</summary>
internal enum BalloonCommand : ushort
{
    Start = 0,
    GetTarget = 1,
    Lock = 2,
    Unlock = 3,
    GuestId = 4,
    BatchedLock = 6,
    BatchedUnlock = 7,
}
