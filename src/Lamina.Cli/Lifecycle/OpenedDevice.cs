using Lamina.Cli.Arguments;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Management.Protocol;
using Lamina.Networking;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Cli.Lifecycle;

/// <summary>
/// A disk or network card that is to be attached, opened here with its user's rights: the machine's process is confined, and is given what is open. A machine that is taken over can have no
/// more of that than what its user names.
/// </summary>
internal sealed class OpenedDevice : IDisposable
{
    private readonly AttachArguments _arguments;
    private readonly IReadOnlyList<PassedFile> _files;

    private OpenedDevice(AttachArguments arguments, IReadOnlyList<PassedFile> files)
    {
        _arguments = arguments;
        _files = files;
    }

    /// <summary>Opens it.</summary>
    /// <exception cref="LaminaException">It cannot be had.</exception>
    public static OpenedDevice Open(AttachArguments arguments)
    {
        try
        {
            return arguments.Disk != null ? OpenDisk(arguments, DiskArgument.Parse(arguments.Disk)) : OpenNetwork(arguments, NetworkArgument.Parse(arguments.Network, arguments.Publish));
        }
        catch (Exception e) when (e is StorageException or NetworkException)
        {
            throw new LaminaException(e.Message, e);
        }
        catch (SystemCallException e)
        {
            throw new LaminaException($"'{arguments.Disk ?? arguments.Network}' cannot be opened: {e.Reason}", e);
        }
    }

    /// <summary>Gives it to a machine.</summary>
    /// <exception cref="ControlException">It does not take it.</exception>
    public DeviceResult Attach(ControlClient client)
    {
        ControlChannel channel = client.OpenStream(ControlVerbs.Attach, _arguments, ControlJson.Default.AttachArguments);
        int error = DescriptorPassing.Send(channel.Handle, [.. _files.Select(static f => f.Number)]);
        return error == 0
            ? client.ReadResult(ControlJson.Default.DeviceResult)
            : throw new ControlException(ControlErrors.NoAnswer, $"the open files cannot be passed: {new SystemCallException("sendmsg", error).Reason}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PassedFile file in _files)
        {
            file.Dispose();
        }
    }

    private static OpenedDevice OpenDisk(AttachArguments arguments, DiskSettings disk)
    {
        List<PassedFile> files = [];
        try
        {
            IReadOnlyList<ImageFile> needed = DiskImages.FindFiles(disk.Path, disk.Format, !disk.IsReadOnly, disk.IsDirect);
            foreach (ImageFile file in needed)
            {
                files.Add(PassedFile.Open(file.Path, file.IsWritable, file.IsDirect));
            }

            return new OpenedDevice(
                arguments with { Files = [.. needed.Select(static f => new PassedFileArguments { Path = f.Path, Writable = f.IsWritable, Direct = f.IsDirect })] }, files);
        }
        catch
        {
            files.ForEach(static f => f.Dispose());
            throw;
        }
    }

    private static OpenedDevice OpenNetwork(AttachArguments arguments, IReadOnlyList<NetworkSettings> networks)
    {
        if (networks.Count != 1)
        {
            throw new LaminaException($"'--net {arguments.Network}' is no network to be attached.");
        }

        NetworkSettings network = networks[0];
        IReadOnlyList<OwnedDescriptor> lines = network.Kind switch
        {
            NetworkKind.User => [UserNetwork.StartForOther(network.PublishedPorts)],
            NetworkKind.Tap => TapNetwork.OpenLines(network.Name!, network.QueuePairs, out _),
            _ => TapNetwork.OpenLinesOnBridge(network.Name!, network.QueuePairs, out _),
        };
        PassedFile[] files = [.. lines.Select(static l => new PassedFile(BlockFile.Duplicate(l.Number), "wire"))];
        foreach (OwnedDescriptor line in lines)
        {
            line.Dispose();
        }

        return new OpenedDevice(arguments with { Files = [.. files.Select(static _ => new PassedFileArguments { Path = "wire", Writable = true })] }, files);
    }
}
