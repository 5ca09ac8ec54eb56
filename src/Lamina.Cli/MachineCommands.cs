using System.CommandLine;
using Lamina.Cli.Arguments;
using Lamina.Cli.Control;
using Lamina.Cli.Host;
using Lamina.Cli.Running;

namespace Lamina.Cli;

/// <summary>The commands that start a machine, read without the others: a machine is not to wait for what it does not use.</summary>
internal static class MachineCommands
{
    /// <summary>Reads the arguments of <c>run</c> or <c>restore</c>.</summary>
    /// <param name="own">The program's arguments before "--".</param>
    /// <param name="command">Those behind it; null if it is not there.</param>
    /// <returns>Null if it is another command, or not clear: <see cref="CommandTree"/> knows what to say.</returns>
    /// <exception cref="LaminaException">A value is not acceptable.</exception>
    public static RunOptions? TryRead(string[] own, string[]? command)
    {
        // The forms of --help that look like an argument.
        if (own.Length == 0 || own.AsSpan().ContainsAny("/h", "/?"))
        {
            return null;
        }

        switch (own[0])
        {
            case "run":
                RunCommandSyntax run = new();
                return TryParse(run.Command, own) is { } result ? run.Read(result, command, HostMemory.Total) : null;
            case "restore" when command == null:
                RestoreCommandSyntax restore = new();
                return TryParse(restore.Command, own) is { } parsed ? restore.Read(parsed) : null;
            default:
                return null;
        }
    }

    /// <summary>Starts a machine, here or in a process of its own.</summary>
    /// <returns>The exit status.</returns>
    /// <exception cref="LaminaException">It cannot be made or started.</exception>
    public static int Start(RunOptions options, string[] arguments, TextWriter output) =>
        options.Detach && !options.IsDetachedWorker ? new DetachedLauncher(output).Run(arguments) : new MachineRun(options).Execute();

    private static ParseResult? TryParse(Command command, string[] own)
    {
        ParseResult result = new Command("lamina") { command }.Parse(own);
        return ParseErrors.Describe(result) == null && result.CommandResult.Command == command ? result : null;
    }
}
