namespace Lamina.Personalities.Xen;

/// <summary>What a processor does. The values are those of RUNSTATE_* (xen/include/public/vcpu.h).</summary>
internal enum RunStateKind : byte
{
    /// <summary>It executes.</summary>
    Running = 0,

    /// <summary>It could execute, and the host does something else. Only counted: nobody is told when it begins.</summary>
    Runnable = 1,

    /// <summary>It has halted, or waits for an event.</summary>
    Blocked = 2,

    /// <summary>It is down: it waits to be started or brought up, or has halted with interrupts masked.</summary>
    Offline = 3,
}
