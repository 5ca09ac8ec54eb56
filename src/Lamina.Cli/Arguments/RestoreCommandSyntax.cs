using System.CommandLine;
using Lamina.Cli.Control;
using Lamina.Management.Machines;

namespace Lamina.Cli.Arguments;

/// <summary>The options and arguments of <c>lamina restore</c>, and how they become <see cref="RunOptions"/>.</summary>
internal sealed class RestoreCommandSyntax
{
    private readonly Argument<string> _directory = new("DIR") { Description = "The snapshot." };
    private readonly Option<string> _accel = new("--accel") { HelpName = "NAME", Description = "auto, kvm, translator or interpreter. [default: that under which the machine was saved]" };
    private readonly Option<string> _name = new("--name") { HelpName = "NAME", Description = "The machine's name. [default: the saved machine's name with a number]" };
    private readonly Option<bool> _verify = new("--verify") { Description = "Check all of the snapshot against its digests before, which reads it." };
    private readonly Option<string[]> _publish = new("--publish")
    {
        HelpName = "PORTS",
        Description = "Lead a port of this host to the guest: [ADDRESS:]HOST:GUEST[/udp], or 'saved' for those of the saved machine. May be repeated.",
    };

    private readonly Option<bool> _allowHostPaths = CreateAllowHostPaths();
    private readonly Option<bool> _stepClock = new("--step-clock") { Description = "Have the guest's clock show the present time, by a step of all its clocks. [default: it goes on where it stood]" };
    private readonly Option<bool> _verbose = new("--verbose", "-v") { Description = "Say how the machine runs, and when it goes on." };
    private readonly Option<string> _sandbox = RunCommandSyntax.CreateSandbox();
    private readonly Option<bool> _detach = new("--detach", "-d") { Description = "Run without this terminal." };
    private readonly Option<bool> _worker = new(DetachedLauncher.WorkerOption) { Hidden = true };

    public RestoreCommandSyntax()
    {
        Command = new Command("restore", "Have a machine go on where a snapshot of it was taken, as often as wanted.") { _directory, _accel, _name, _verify, _publish, _allowHostPaths, _stepClock, _verbose, _sandbox, _detach, _worker };
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>The option that permits what a snapshot names of the host.</summary>
    internal static Option<bool> CreateAllowHostPaths() =>
        new("--allow-host-paths") { Description = "Let the machine use what the snapshot names outside of itself: disks that are only read, what disks rest on, network interfaces." };

    /// <summary>Checks what was parsed.</summary>
    /// <exception cref="LaminaException">A value is not acceptable.</exception>
    public RunOptions Read(ParseResult result)
    {
        string? name = result.GetValue(_name);
        return name == null || MachineName.IsValid(name)
            ? new RunOptions
            {
                Snapshot = result.GetValue(_directory),
                RestoreAccelerator = result.GetValue(_accel),
                Name = name,
                RestorePublish = result.GetValue(_publish) ?? [],
                StepsClock = result.GetValue(_stepClock),
                Verbose = result.GetValue(_verbose),
                AllowsHostPaths = result.GetValue(_allowHostPaths),
                VerifiesSnapshot = result.GetValue(_verify),
                IsSandboxed = RunCommandSyntax.ReadSandbox(result.GetValue(_sandbox)),
                Detach = result.GetValue(_detach),
                IsDetachedWorker = result.GetValue(_worker),
            }
            : throw new LaminaException($"--name '{name}' is not accepted: {MachineName.Rule}.");
    }
}
