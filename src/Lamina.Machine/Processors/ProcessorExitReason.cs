namespace Lamina.Machine.Processors;

/// <summary>Reasons for leaving guest code.</summary>
public enum ProcessorExitReason
{
    /// <summary><see cref="IVirtualProcessor.RequestExit"/> was called.</summary>
    Requested,

    /// <summary>HLT, MWAIT or waiting for a start-up message: nothing to run until a signal arrives.</summary>
    Halted,

    /// <summary>Triple fault: the platform resets or the VM ends.</summary>
    Shutdown,

    /// <summary>The accelerator can go on, but another one would do better.</summary>
    Unsuited,

    /// <summary>The accelerator cannot go on.</summary>
    Failed,
}
