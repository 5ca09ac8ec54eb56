using Lamina.Interop.Files;
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
        SnapshotArguments arguments = exchange.ReadArguments(ControlJson.Default.SnapshotArguments);
        if (!arguments.PassesFiles && !Path.IsPathFullyQualified(arguments.Directory ?? ""))
        {
            throw new ControlException(ControlErrors.BadArguments, "directory is an absolute path.");
        }

        try
        {
            TimeSpan pause = arguments.PassesFiles ? SaveToPassed(exchange) : machine.Machine.Snapshot(arguments.Directory!, machine.CreateLabels());
            exchange.Reply(new SnapshotResult { PauseSeconds = pause.TotalSeconds }, ControlJson.Default.SnapshotResult);
        }
        catch (SnapshotException e)
        {
            throw new ControlException(ControlErrors.Refused, machine.Sandbox.Explain(e.Message, arguments.PassesFiles), e);
        }
    }

    private TimeSpan SaveToPassed(ControlExchange exchange)
    {
        IReadOnlyList<string> names = machine.Machine.ListSnapshotFiles();
        exchange.OpenStream();
        exchange.Reply(new SnapshotFiles { Names = names }, ControlJson.Default.SnapshotFiles);
        IReadOnlyList<PassedFile> files = exchange.ReceiveFiles(names);
        try
        {
            return machine.Machine.Snapshot(files, machine.CreateLabels());
        }
        finally
        {
            foreach (PassedFile file in files)
            {
                file.Dispose();
            }
        }
    }
}
