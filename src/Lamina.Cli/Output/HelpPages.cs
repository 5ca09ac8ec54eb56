using System.CommandLine;
using System.CommandLine.Invocation;

namespace Lamina.Cli.Output;

/// <summary>Shows the help page of the command that was named.</summary>
internal sealed class HelpPages(TextWriter output, int width) : SynchronousCommandLineAction
{
    private static readonly HelpSection RunKeys = new("Keys, while the machine has the terminal",
    [
        ("Ctrl-A x", "end the machine at once"),
        ("Ctrl-A h", "show these keys"),
        ("Ctrl-A Ctrl-A", "send Ctrl-A to the guest"),
        ("others", "go to the guest, Ctrl-C too"),
    ]);

    private static readonly HelpSection RunExamples = new("Examples",
    [
        ("lamina run debian", "a root shell on a Debian kernel"),
        ("lamina run debian -- uname -a", "one command; its output and exit status"),
        ("echo date | lamina run debian", "type a pipe into the shell, then power off"),
        ("lamina run --kernel bzImage --append 'console=ttyS0'", "a kernel of your own"),
    ]);

    private static readonly HelpSection RunStatus = new("Exit status",
    [
        ("0", "the guest powered off, or you ended it"),
        ("the command's", "with '-- COMMAND'"),
        ("125", "Lamina could not start or run the machine"),
        ("134", "the guest crashed: a triple fault or a panic that it reported"),
        ("128 + N", "Lamina was ended by signal N"),
    ]);

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        Write(parseResult.CommandResult.Command);
        return ExitStatus.Success;
    }

    /// <summary>Writes the page of a command.</summary>
    public void Write(Command command)
    {
        HelpWriter writer = new(output, width);
        if (command.Parents.OfType<Command>().Any(static p => p.Name == "device"))
        {
            writer.Write(command, $"lamina device {command.Name} [OPTIONS] {string.Join(' ', command.Arguments.Select(a => a.Name))}", []);
            return;
        }

        switch (command.Name)
        {
            case "run":
                writer.Write(command, "lamina run [OPTIONS] [IMAGE] [-- COMMAND ...]", [RunKeys, RunExamples, RunStatus]);
                break;
            case "disk":
                writer.Write(command, "lamina disk COMMAND", []);
                break;
            case "create":
                writer.Write(command, "lamina disk create [OPTIONS] FILE [SIZE]", []);
                break;
            case "info":
                writer.Write(command, "lamina disk info [OPTIONS] FILE", []);
                break;
            case "convert":
                writer.Write(command, "lamina disk convert [OPTIONS] FILE TARGET", []);
                break;
            case "snapshot" when !command.Parents.Any(static p => p.Name == "disk"):
                writer.Write(command, "lamina snapshot [OPTIONS] NAME DIR", []);
                break;
            case "check" or "resize" or "commit" or "rebase" or "map" or "compare" or "snapshot":
                string arguments = string.Join(' ', command.Arguments.Select(a => a.Name));
                writer.Write(command, $"lamina disk {command.Name} [OPTIONS] {arguments}", []);
                break;
            case "image":
                writer.Write(command, "lamina image COMMAND", [new HelpSection("Start with", [("lamina image build debian", "Debian with systemd, for 'lamina run debian'")])]);
                break;
            case "build":
                writer.Write(command, "lamina image build [OPTIONS] NAME", []);
                break;
            case "list":
                writer.Write(command, "lamina image list", []);
                break;
            case "remove":
                writer.Write(command, "lamina image remove NAME", []);
                break;
            case "ps" or "status" or "stats" or "pause" or "resume" or "wake" or "reboot" or "reset" or "stop" or "kill" or "console" or "logs" or "clone" or "restore":
                writer.Write(command, $"lamina {command.Name} [OPTIONS]{string.Concat(command.Arguments.Select(a => $" {a.Name}"))}", []);
                break;
            case "exec":
                writer.Write(command, "lamina exec [OPTIONS] NAME -- COMMAND ...", []);
                break;
            case "device":
                writer.Write(command, "lamina device COMMAND", []);
                break;
            case "host":
                writer.Write(command, "lamina host [--json]", []);
                break;
            default:
                writer.Write(command, "lamina COMMAND [OPTIONS]\nlamina COMMAND --help", [new HelpSection("Start with", [RunExamples.Rows[0]])]);
                break;
        }
    }
}
