using Lamina.Cli.Arguments;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Says how much memory the guest is to have.</summary>
internal sealed class MemoryVerb(ControlledMachine machine) : IControlVerb
{
    private const ulong PageSize = 4096;

    // Linux's driver waits for at most five seconds until what it has added is used, and answers then.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(6);

    /// <inheritdoc/>
    public string Name => ControlVerbs.Memory;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        MemoryArguments arguments = exchange.ReadArguments(ControlJson.Default.MemoryArguments);
        ulong all = machine.Machine.Settings.MemorySize;
        if (arguments.Bytes is < MachineSettings.MinimumMemorySize || arguments.Bytes > all || arguments.Bytes % PageSize != 0)
        {
            throw new ControlException(ControlErrors.BadArguments, $"bytes is {MemorySize.Format(MachineSettings.MinimumMemorySize)} to {MemorySize.Format(all)}, which the machine can have, in pages of 4 KiB.");
        }

        MemoryBalloon balloon = machine.Machine.Balloon
            ?? throw new ControlException(ControlErrors.Refused, "It has no memory balloon, by which a guest gives memory back; start it with --balloon.");
        if (balloon.SetTarget(all - arguments.Bytes, machine.Machine.IsPaused ? TimeSpan.Zero : Patience) is { } obstacle)
        {
            throw new ControlException(ControlErrors.Refused, obstacle);
        }

        exchange.Reply(new BalloonStatistics { TargetBytes = balloon.Target, Bytes = balloon.Size, ReportedBytes = balloon.ReportedBytes }, ControlJson.Default.BalloonStatistics);
    }
}
