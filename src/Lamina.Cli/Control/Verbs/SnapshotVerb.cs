using Lamina.Management.Protocol;
using Lamina.Vmm.Snapshots;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Saves the machine into a directory; it then goes on.</summary>
internal sealed class SnapshotVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Snapshot;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        string? directory = exchange.ReadArguments(ControlJson.Default.SnapshotArguments).Directory;
        if (!Path.IsPathFullyQualified(directory ?? ""))
        {
            throw new ControlException(ControlErrors.BadArguments, "directory is an absolute path.");
        }

        try
        {
            TimeSpan pause = machine.Machine.Snapshot(directory!, machine.CreateLabels());
            exchange.Reply(new SnapshotResult { PauseSeconds = pause.TotalSeconds }, ControlJson.Default.SnapshotResult);
        }
        catch (SnapshotException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }
    }
}
