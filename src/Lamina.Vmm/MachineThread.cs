namespace Lamina.Vmm;

/// <summary>The kinds of threads that <see cref="MachineSettings.ThreadStarted"/> tells of.</summary>
public enum MachineThread
{
    /// <summary>One of a virtual processor: it executes the guest, and the devices that the guest touches.</summary>
    Processor,

    /// <summary>The event loop's: timers, and all that changes the machine as a whole.</summary>
    EventLoop,
}
