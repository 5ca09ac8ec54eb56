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

        if ((arguments.Base == null) != (arguments.BaseSha256 == null))
        {
            throw new ControlException(ControlErrors.BadArguments, "base and baseSha256 belong together.");
        }

        SnapshotOptions options = new()
        {
            Labels = machine.CreateLabels(),
            Base = arguments.Base == null ? null : new BaseSnapshot { Path = arguments.Base, Sha256 = arguments.BaseSha256! },
            IsCompressed = arguments.Compress,
            AsksGuest = arguments.AskGuest,
        };
        try
        {
            TimeSpan pause = arguments.PassesFiles ? SaveToPassed(exchange, options) : machine.Machine.Snapshot(arguments.Directory!, options);
            exchange.Reply(new SnapshotResult { PauseSeconds = pause.TotalSeconds }, ControlJson.Default.SnapshotResult);
        }
        catch (SnapshotException e)
        {
            throw new ControlException(ControlErrors.Refused, machine.Sandbox.Explain(e.Message, arguments.PassesFiles), e);
        }
    }

    private TimeSpan SaveToPassed(ControlExchange exchange, SnapshotOptions options)
    {
        IReadOnlyList<string> names = machine.Machine.ListSnapshotFiles(options);
        exchange.OpenStream();
        exchange.Reply(new SnapshotFiles { Names = names }, ControlJson.Default.SnapshotFiles);
        IReadOnlyList<PassedFile> files = exchange.ReceiveFiles(names);
        try
        {
            return machine.Machine.Snapshot(files, options);
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
