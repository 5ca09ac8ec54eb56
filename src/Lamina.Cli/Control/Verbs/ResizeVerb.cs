using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Tells the guest how large the window is in which its console is shown.</summary>
internal sealed class ResizeVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Resize;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        SizeArguments size = exchange.ReadArguments(ControlJson.Default.SizeArguments);
        if (size.Columns is < 1 or > ushort.MaxValue || size.Rows is < 1 or > ushort.MaxValue)
        {
            throw new ControlException(ControlErrors.BadArguments, $"columns and rows are 1 to {ushort.MaxValue}.");
        }

        machine.Resize(size.Columns, size.Rows);
        exchange.Reply();
    }
}
