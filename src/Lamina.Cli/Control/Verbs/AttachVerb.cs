using Lamina.Cli.Arguments;
using Lamina.Interop.Files;
using Lamina.Management.Protocol;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Attaches a disk or a network card.</summary>
internal sealed class AttachVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Attach;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        AttachArguments arguments = exchange.ReadArguments(ControlJson.Default.AttachArguments);
        if (arguments.Files.Contains(null!) || arguments.Publish.Contains(null!))
        {
            throw new ControlException(ControlErrors.BadArguments, "What is in 'files' and 'publish' is not null.");
        }

        IReadOnlyList<PassedFile> files = [];
        try
        {
            if (arguments.Files.Count > 0)
            {
                exchange.OpenStream();
                files = exchange.ReceiveFiles([.. arguments.Files.Select(static f => f.Path)]);
            }

            string name = arguments switch
            {
                { Disk: { } disk, Network: null } => AttachDisk(disk, arguments, files),
                { Disk: null, Network: { } network } => AttachNetwork(network, arguments.Publish, files),
                _ => throw new ControlException(ControlErrors.BadArguments, "Give a disk or a network."),
            };
            exchange.Reply(DevicesVerb.Describe(machine.Machine).First(d => d.Name == name), ControlJson.Default.DeviceResult);
        }
        catch (LaminaException e)
        {
            throw new ControlException(ControlErrors.BadArguments, e.Message, e);
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, machine.Sandbox.Explain(e.Message, files.Count > 0), e);
        }
        finally
        {
            // What the machine has taken is its own.
            foreach (PassedFile file in files)
            {
                file.Dispose();
            }
        }
    }

    private string AttachDisk(string text, AttachArguments arguments, IReadOnlyList<PassedFile> files)
    {
        DiskSettings disk = DiskArgument.Parse(text);
        return machine.Machine.AttachDisk(
            files.Count == 0 ? disk : disk with { Files = new PassedImageFiles([.. arguments.Files.Select(static f => new ImageFile(f.Path, f.Writable, f.Direct))], files) });
    }

    private string AttachNetwork(string text, IReadOnlyList<string> publish, IReadOnlyList<PassedFile> files)
    {
        IReadOnlyList<NetworkSettings> networks = NetworkArgument.Parse(text, publish);
        return networks.Count == 1 ? machine.Machine.AttachNetwork(networks[0] with { Wires = files }) : throw new ControlException(ControlErrors.BadArguments, $"'{text}' is no network.");
    }
}
