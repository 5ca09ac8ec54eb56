using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Management.Protocol;
using Lamina.Vmm.Snapshots;

namespace Lamina.Cli.Lifecycle;

/// <summary>Has a machine save itself into files that are made here: its own process is confined, and opens none by its path.</summary>
internal static class SnapshotRequest
{
    /// <summary>Makes a snapshot.</summary>
    /// <param name="client">The machine.</param>
    /// <param name="directory">The snapshot's directory, which appears when all of it is on the disk.</param>
    /// <param name="basePath">The snapshot that it is to rest on; null for one that stands alone.</param>
    /// <param name="compress">Whether memory is compressed.</param>
    /// <param name="askGuest">Whether the guest is asked to suspend itself before.</param>
    /// <exception cref="LaminaException">The directory cannot be had, or the base is no snapshot.</exception>
    /// <exception cref="ControlException">The machine cannot be saved.</exception>
    public static SnapshotResult Make(ControlClient client, string directory, string? basePath = null, bool compress = false, bool askGuest = false)
    {
        List<PassedFile> files = [];
        try
        {
            BaseSnapshot? link = basePath == null ? null : BaseSnapshot.Read(basePath, directory);
            using SnapshotDirectory place = new(directory);
            SnapshotArguments arguments = new() { PassesFiles = true, Base = link?.Path, BaseSha256 = link?.Sha256, Compress = compress, AskGuest = askGuest };
            ControlChannel channel = client.OpenStream(ControlVerbs.Snapshot, arguments, ControlJson.Default.SnapshotArguments);
            SnapshotFiles wanted = client.ReadResult(ControlJson.Default.SnapshotFiles);
            foreach (string name in wanted.Names)
            {
                files.Add(place.CreateFile(name));
            }

            int error = DescriptorPassing.Send(channel.Handle, [.. files.Select(static f => f.Number)]);
            if (error != 0)
            {
                throw new ControlException(ControlErrors.NoAnswer, $"the files cannot be passed: {new SystemCallException("sendmsg", error).Reason}");
            }

            SnapshotResult result = client.ReadResult(ControlJson.Default.SnapshotResult);
            files.ForEach(static f => f.Dispose());
            place.CompleteWritten(wanted.Names);
            return result;
        }
        catch (SnapshotException e)
        {
            throw new LaminaException($"{e.Message}.", e);
        }
        finally
        {
            files.ForEach(static f => f.Dispose());
        }
    }
}
