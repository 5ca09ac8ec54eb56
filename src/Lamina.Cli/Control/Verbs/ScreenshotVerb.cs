using Lamina.Cli.Screen;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Gives what the guest shows on its screen.</summary>
internal sealed class ScreenshotVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Screenshot;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        byte[] picture;
        try
        {
            picture = PngImage.Create(machine.Machine.TakeScreenshot());
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.OpenStream().TryWrite(picture);
    }
}
