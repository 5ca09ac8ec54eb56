using System.CommandLine;
using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Interop;
using Lamina.Interop.Terminals;
using Lamina.Management.Protocol;
using Lamina.Vmm.Agent;

namespace Lamina.Cli.Lifecycle;

/// <summary><c>lamina exec NAME -- COMMAND</c>: runs a command in a machine that runs, through the guest's agent.</summary>
internal sealed class ExecCommand
{
    private const double LongestWait = 86400;
    private readonly Argument<string> _name = new("NAME") { Description = "The machine, as 'lamina ps' shows it." };
    private readonly Option<bool> _terminal = new("--terminal", "-t") { Description = "Give the command a terminal. [default: if standard input and output are one]" };
    private readonly Option<bool> _noTerminal = new("--no-terminal", "-T") { Description = "Give it none." };
    private readonly Option<string> _directory = new("--workdir", "-w") { HelpName = "DIR", Description = "Where it starts. [default: /root]" };
    private readonly Option<string[]> _environment = new("--env", "-e") { HelpName = "NAME=VALUE", Description = "A variable of its environment. May be repeated." };
    private readonly Option<string> _wait = new("--wait") { HelpName = "SECONDS", Description = "How long to wait for a guest that is still starting. [default: 60]" };

    /// <summary>Makes the command's syntax.</summary>
    public ExecCommand()
    {
        Command = new Command("exec", "Run a command in a machine that runs.") { _name, _terminal, _noTerminal, _directory, _environment, _wait };
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>Runs it.</summary>
    /// <param name="result">What was parsed.</param>
    /// <param name="command">What stood after "--"; null for nothing.</param>
    /// <returns>The command's exit status.</returns>
    /// <exception cref="LaminaException">It cannot be run.</exception>
    public int Run(ParseResult result, string[]? command)
    {
        if (command is not { Length: > 0 })
        {
            throw new LaminaException("there is no command. Write: lamina exec NAME -- COMMAND");
        }

        bool isTerminal = TerminalMode.IsTerminal(Descriptor.StandardInput) && TerminalMode.IsTerminal(Descriptor.StandardOutput);
        bool wantsTerminal = result.GetValue(_terminal) || (isTerminal && !result.GetValue(_noTerminal));
        GuestCommandSettings settings = new()
        {
            Arguments = CommandArguments.GetBytes(command),
            WorkingDirectory = ParseDirectory(result.GetValue(_directory)),
            Environment = [.. wantsTerminal ? [$"TERM={FindTerminalType()}"] : (string[])[], .. (result.GetValue(_environment) ?? []).Select(ParseVariable)],
            Terminal = wantsTerminal ? CommandRelay.WindowSize : null,
        };
        TimeSpan patience = ParseWait(result.GetValue(_wait));
        string name = result.GetValue(_name)!;
        AgentResult reached = MachineCall.Run(
            MachineDirectory.Open(), name, static c => c.Call(ControlVerbs.Agent, new NoArguments(), ControlJson.Default.NoArguments, ControlJson.Default.AgentResult));
        GuestAgent agent = new(reached.Socket);
        if (!reached.Ready && !agent.WaitUntilReady(patience).GetAwaiter().GetResult())
        {
            throw new LaminaException($"the guest of the machine '{name}' has no agent that answers. Images bring one; it comes when the guest has started.");
        }

        try
        {
            using GuestCommand started = agent.Start(settings);
            return new CommandRelay(started, wantsTerminal).Run();
        }
        catch (GuestAgentException e)
        {
            throw new LaminaException($"the machine '{name}': {e.Message}.", e);
        }
    }

    private static string FindTerminalType() => Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } type ? type : "vt100";

    private static string? ParseDirectory(string? text)
    {
        return text == null || text.StartsWith('/') ? text : throw new LaminaException($"--workdir '{text}' is not an absolute path.");
    }

    private static string ParseVariable(string text)
    {
        return text.IndexOf('=', StringComparison.Ordinal) > 0 ? text : throw new LaminaException($"--env '{text}' is not accepted. Write NAME=VALUE.");
    }

    private static TimeSpan ParseWait(string? text)
    {
        return text == null ? TimeSpan.FromMinutes(1)
            : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is >= 0 and <= LongestWait ? TimeSpan.FromSeconds(seconds)
            : throw new LaminaException($"--wait '{text}' is not a number of seconds from 0 to {LongestWait}.");
    }
}
