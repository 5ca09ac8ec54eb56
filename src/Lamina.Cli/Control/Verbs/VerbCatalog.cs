namespace Lamina.Cli.Control.Verbs;

/// <summary>The one list of the verbs.</summary>
internal static class VerbCatalog
{
    /// <summary>Makes those of a machine.</summary>
    public static IReadOnlyList<IControlVerb> Create(ControlledMachine machine) =>
    [
        new StatusVerb(machine),
        new StatisticsVerb(machine),
        new PauseVerb(machine),
        new ResumeVerb(machine),
        new WakeVerb(machine),
        new RebootVerb(machine),
        new ResetVerb(machine),
        new StopVerb(machine),
        new KillVerb(machine),
        new ConsoleVerb(machine),
        new LogsVerb(machine),
        new ResizeVerb(machine),
        new AgentVerb(machine),
        new DevicesVerb(machine),
        new AttachVerb(machine),
        new DetachVerb(machine),
        new ResizeDiskVerb(machine),
        new LimitVerb(machine),
        new MemoryVerb(machine),
        new SnapshotVerb(machine),
        new KeyVerb(machine),
        new ScreenshotVerb(machine),
    ];
}
