namespace Lamina.Management.Protocol;

/// <summary>The states that <see cref="MachineStatus.State"/> names.</summary>
public static class MachineState
{
    /// <summary>Its processors run, or wait for something.</summary>
    public const string Running = "running";

    /// <summary>Its processors and its clock stand still.</summary>
    public const string Paused = "paused";

    /// <summary>The guest has suspended itself to RAM (ACPI S3).</summary>
    public const string Asleep = "asleep";

    /// <summary>It has ended, and its program is about to.</summary>
    public const string Ended = "ended";

    /// <summary>On the client's side only: its program lives and does not answer.</summary>
    public const string Unresponsive = "unresponsive";
}
