using Lamina.Cli.Isolation;
using Lamina.Vmm;

namespace Lamina.Cli.Control;

/// <summary>A running machine as the verbs see it.</summary>
internal sealed class ControlledMachine
{
    private int _attached;

    /// <summary>The machine.</summary>
    public required VirtualMachine Machine { get; init; }

    /// <summary>Its name among its user's machines.</summary>
    public required string Name { get; init; }

    /// <summary>What it was started from.</summary>
    public required string Source { get; init; }

    /// <summary>Whether it has no terminal of its own.</summary>
    public required bool IsDetached { get; init; }

    /// <summary>What its console shows.</summary>
    public required ConsoleHub Console { get; init; }

    /// <summary>Tells the guest the size of the console's window: columns and rows.</summary>
    public required Action<int, int> Resize { get; init; }

    /// <summary>Asks the guest to switch itself off.</summary>
    public required Action AskToPowerOff { get; init; }

    /// <summary>Makes what a snapshot is to tell whoever restores it.</summary>
    public required Func<Dictionary<string, string>> CreateLabels { get; init; }

    /// <summary>What the translator has made in it.</summary>
    public required Inspection.TranslationSummary Translations { get; init; }

    /// <summary>What confines its process.</summary>
    public required Sandbox Sandbox { get; init; }

    /// <summary>Ends the machine at once.</summary>
    public required Action Quit { get; init; }

    /// <summary>When it was started.</summary>
    public DateTimeOffset StartedAt { get; } = DateTimeOffset.UtcNow;

    /// <summary>Where what is typed at the console goes.</summary>
    public SerialPort Input => Machine.Console ?? Machine.Serial0;

    /// <summary>How many are attached to the console.</summary>
    public int Attached => Volatile.Read(ref _attached);

    /// <summary>One more, or less.</summary>
    public void CountAttached(int change) => Interlocked.Add(ref _attached, change);
}
