using System.CommandLine;
using System.CommandLine.Help;
using Lamina.Cli.Arguments;
using Lamina.Cli.Disks;
using Lamina.Cli.Host;
using Lamina.Cli.Images.Systems;
using Lamina.Cli.Lifecycle;
using Lamina.Cli.Output;

namespace Lamina.Cli;

/// <summary>All commands of the program, their help, and what is wrong with arguments that are none.</summary>
internal sealed class CommandTree
{
    private readonly TextWriter _output;
    private readonly HelpPages _help;
    private readonly RunCommandSyntax _run = new();
    private readonly RestoreCommandSyntax _restore = new();
    private readonly Option<bool> _json = new("--json") { Description = "Write JSON." };
    private readonly Command _host;
    private readonly DiskCommands _disk;
    private readonly ImageCommands _image;
    private readonly LifecycleCommands _lifecycle;
    private readonly ExecCommand _exec = new();
    private readonly DeviceCommands _devices;
    private readonly ScreenCommands _screen = new();
    private readonly RootCommand _root;

    public CommandTree(TextWriter output)
    {
        _output = output;
        _help = new HelpPages(output, Console.IsOutputRedirected ? 100 : GetWindowWidth());
        _host = new Command("host", "Show what a virtual machine can use on this host, and what follows.") { _json };
        _disk = new DiskCommands(output);
        _image = new ImageCommands(output);
        _root = new RootCommand("Lamina runs virtual machines, with or without hardware virtualization.") { _run.Command };
        _lifecycle = new LifecycleCommands(output);
        _devices = new DeviceCommands(output);
        foreach (Command command in (IEnumerable<Command>)[.. _lifecycle.Commands, .. _screen.Commands, _restore.Command, _exec.Command, _devices.Command, _image.Command, _disk.Command, _host])
        {
            _root.Add(command);
        }

        foreach (Option option in _root.Options)
        {
            switch (option)
            {
                case HelpOption help:
                    help.Action = _help;
                    help.Description = "Show help.";
                    break;
                case VersionOption version:
                    version.Action = new VersionAction(output);
                    version.Description = "Show the version.";
                    break;
            }
        }
    }

    /// <summary>Does what the arguments say.</summary>
    /// <param name="arguments">The program's arguments.</param>
    /// <param name="own">Those before "--".</param>
    /// <param name="command">Those behind it; null if it is not there.</param>
    /// <returns>The exit status.</returns>
    /// <exception cref="LaminaException">They say nothing that can be done.</exception>
    public int Run(string[] arguments, string[] own, string[]? command)
    {
        ParseResult result = _root.Parse(own);
        if (result.Action is HelpPages or VersionAction)
        {
            return result.Invoke();
        }

        if (ParseErrors.Describe(result) is { } problem)
        {
            throw new LaminaException(problem);
        }

        Command chosen = result.CommandResult.Command;
        if (command != null && chosen != _run.Command && chosen != _exec.Command)
        {
            throw new LaminaException("'--' and a command belong to 'lamina run IMAGE -- COMMAND' and 'lamina exec NAME -- COMMAND'.");
        }

        if (chosen == _exec.Command)
        {
            return _exec.Run(result, command);
        }

        if (chosen == _run.Command || chosen == _restore.Command)
        {
            return MachineCommands.Start(chosen == _run.Command ? _run.Read(result, command, HostMemory.Total) : _restore.Read(result), arguments, _output);
        }

        if (_disk.TryRun(result) is { } status)
        {
            return status;
        }

        if (_lifecycle.TryRun(result) || _screen.TryRun(result) || _devices.TryRun(result) || _image.TryRun(result))
        {
            return ExitStatus.Success;
        }

        if (chosen == _host)
        {
            HostReport report = HostReport.Collect();
            report.Write(_output, result.GetValue(_json));
            return ExitStatus.Success;
        }

        _help.Write(_root);
        return ExitStatus.Success;
    }

    private static int GetWindowWidth() => Console.WindowWidth is var width && width > 0 ? width : 80;
}
