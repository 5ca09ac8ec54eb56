using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Ties a connection to the console: what was shown, what is shown, and what the client types.</summary>
internal sealed class ConsoleVerb(ControlledMachine machine) : IControlVerb
{
    private static readonly TimeSpan DrainInterval = TimeSpan.FromMilliseconds(5);

    /// <inheritdoc/>
    public string Name => ControlVerbs.Console;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        ConsoleArguments arguments = exchange.ReadArguments(ControlJson.Default.ConsoleArguments);
        if (arguments.Scrollback < 0)
        {
            throw new ControlException(ControlErrors.BadArguments, "scrollback is a number of bytes.");
        }

        ConsoleReader reader = machine.Console.CreateReader(arguments.Scrollback);
        ConsoleStream stream = new(exchange.OpenStream(), reader);
        machine.CountAttached(1);
        try
        {
            stream.Run(data => Type(data, reader, arguments.ReadOnly));
        }
        finally
        {
            machine.CountAttached(-1);
        }
    }

    // What a client types waits here until the guest has taken what was typed before, so that nobody can fill our memory.
    private void Type(ReadOnlySpan<byte> data, ConsoleReader reader, bool readOnly)
    {
        if (readOnly)
        {
            return;
        }

        while (!machine.Input.InputDrained && !reader.IsCancelled && !machine.Machine.Completion.Wait(DrainInterval))
        {
        }

        machine.Input.Write(data);
    }
}
