using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>Requests to one machine, whose refusals become messages for the person.</summary>
internal static class MachineCall
{
    /// <summary>Connects, and does something with the connection.</summary>
    /// <exception cref="LaminaException">There is no such machine, or it refuses.</exception>
    public static T Run<T>(MachineDirectory machines, string name, Func<ControlClient, T> call)
    {
        try
        {
            using ControlClient client = machines.Connect(name);
            return call(client);
        }
        catch (ControlException e)
        {
            string reason = e.Message.TrimEnd('.');
            throw new LaminaException(e.Code == ControlErrors.NoAnswer ? $"the machine '{name}' does not answer: {reason}." : $"the machine '{name}': {reason}.", e);
        }
    }

    /// <summary>Connects, and makes a request that gives nothing.</summary>
    /// <exception cref="LaminaException">There is no such machine, or it refuses.</exception>
    public static void Run(MachineDirectory machines, string name, Action<ControlClient> call)
    {
        Run(machines, name, client =>
        {
            call(client);
            return true;
        });
    }
}
