using Lamina.Cli.Screen;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Has keys of the guest's keyboard go down and up: a text, or some that are held at once.</summary>
internal sealed class KeyVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Key;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        KeyArguments arguments = exchange.ReadArguments(ControlJson.Default.KeyArguments);
        try
        {
            machine.Machine.TypeKeys(arguments switch
            {
                { Text: { } text, Keys: null } => UsKeyboard.Parse(text),
                { Keys: { } keys, Text: null } => KeyNames.ParseHeld(keys),
                _ => throw new FormatException("Either 'text' or 'keys' is wanted."),
            });
        }
        catch (FormatException e)
        {
            throw new ControlException(ControlErrors.BadArguments, e.Message, e);
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.Reply();
    }
}
