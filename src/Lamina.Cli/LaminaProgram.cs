using Lamina.Cli.Arguments;

namespace Lamina.Cli;

/// <summary>The <c>lamina</c> program: parses its arguments and does what they say.</summary>
internal sealed class LaminaProgram(TextWriter output, TextWriter error)
{
    /// <summary>Does what the arguments say.</summary>
    /// <returns>The exit status.</returns>
    public int Run(string[] arguments)
    {
        try
        {
            (string[] own, string[]? command) = CommandArguments.Split(arguments);
            return MachineCommands.TryRead(own, command) is { } options ? MachineCommands.Start(options, arguments, output) : new CommandTree(output).Run(arguments, own, command);
        }
        catch (LaminaException e)
        {
            error.WriteLine($"lamina: {e.Message.ReplaceLineEndings(" ")}");
            return ExitStatus.Failure;
        }
    }
}
