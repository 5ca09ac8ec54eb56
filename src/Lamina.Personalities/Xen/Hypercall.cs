namespace Lamina.Personalities.Xen;

/// <summary>Numbers of hypercalls (xen/include/public/xen.h).</summary>
internal enum Hypercall : uint
{
    MemoryOp = 12,
    SetTimerOp = 15,
    XenVersion = 17,
    ConsoleIo = 18,
    GrantTableOp = 20,
    VmAssist = 21,
    Iret = 23,
    VcpuOp = 24,
    SchedOp = 29,
    EventChannelOp = 32,
    PhysdevOp = 33,
    HvmOp = 34,
}
