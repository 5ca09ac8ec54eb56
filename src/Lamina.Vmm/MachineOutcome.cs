namespace Lamina.Vmm;

/// <summary>How a machine ended.</summary>
public enum MachineOutcome
{
    /// <summary>The guest switched it off.</summary>
    PoweredOff,

    /// <summary>The guest reset it and <see cref="RebootAction.Exit"/> was asked for.</summary>
    Rebooted,

    /// <summary>The guest crashed: a triple fault, or a panic that it reported.</summary>
    Crashed,

    /// <summary>The guest wrote to the exit device; the result carries its code.</summary>
    TestExit,

    /// <summary><see cref="VirtualMachine.Quit"/> was called, or the machine was disposed.</summary>
    Quit,

    /// <summary>The host or the accelerator could not go on; the result says why.</summary>
    Failed,
}
