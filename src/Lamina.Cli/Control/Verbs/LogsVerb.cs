using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Gives what the console has shown, and goes on if that is wanted.</summary>
internal sealed class LogsVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Logs;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        LogArguments arguments = exchange.ReadArguments(ControlJson.Default.LogArguments);
        ConsoleStream stream = new(exchange.OpenStream(), machine.Console.CreateReader(int.MaxValue));
        if (arguments.Follow)
        {
            stream.Run(static _ => { });
        }
        else
        {
            stream.Send(wait: false);
        }
    }
}
