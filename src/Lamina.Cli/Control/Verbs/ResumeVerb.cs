using Lamina.Cli.Running;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Has the machine go on, under another accelerator if that is asked for.</summary>
internal sealed class ResumeVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Resume;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        ResumeArguments arguments = exchange.ReadArguments(ControlJson.Default.ResumeArguments);
        if (arguments.Accelerator is { } name)
        {
            try
            {
                string chosen = AcceleratorCatalog.Check(name);
                if (chosen != machine.Machine.AcceleratorName)
                {
                    machine.Machine.MoveTo(AcceleratorCatalog.Create(chosen));
                }
            }
            catch (Exception e) when (e is LaminaException or MachineConfigurationException)
            {
                throw new ControlException(ControlErrors.Refused, e.Message, e);
            }
        }

        machine.Machine.Resume();
        exchange.Reply();
    }
}
