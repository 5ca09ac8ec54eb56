using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Lamina.Boot;
using Lamina.Cli.Arguments;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Cli.Images.Systems;

/// <summary>A system image made ready for one machine: what boots it, and its disk, an overlay that takes what the machine writes.</summary>
/// <param name="Boot">What is booted.</param>
/// <param name="Disk">The system's disk.</param>
internal sealed record PreparedSystem(BootSource Boot, DiskSettings Disk)
{
    /// <summary>Prepares an image.</summary>
    /// <param name="image">The image.</param>
    /// <param name="store">Where it is from.</param>
    /// <param name="session">What the system is told.</param>
    /// <param name="options">The run.</param>
    /// <param name="quiet">Whether the kernel shows only errors.</param>
    /// <param name="temporary">Takes what does not outlive the machine.</param>
    /// <exception cref="LaminaException">The disk cannot be made.</exception>
    public static PreparedSystem Create(SystemImage image, SystemImageStore store, ImageSession session, RunOptions options, bool quiet, TemporaryFiles temporary)
    {
        string machine = options.Name ?? "lamina";
        string disk = options.Persist ? store.GetKeptDisk(image.Name, machine) : temporary.NewName(".qcow2");
        if (!options.Persist || !File.Exists(disk))
        {
            try
            {
                DiskImages.Create(disk, DiskFormat.Qcow2, null, image.GetPath(SystemImage.DiskFile), isDurable: options.Persist);
            }
            catch (StorageException e)
            {
                throw new LaminaException(e.Message, e);
            }
        }

        string identity = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"lamina {machine}")))[..32];
        string commandLine = string.Create(
            CultureInfo.InvariantCulture,
            $"{KernelOptions.SelectConsoles(session.Hardware)} {(quiet ? "quiet " : "")}systemd.hostname={machine} systemd.machine_id={identity} systemd.firstboot=off{KernelOptions.Select(session.Hardware)}");
        BootSource boot = new()
        {
            Kernel = BootImage.FromFile(options.Kernel ?? image.GetPath(SystemImage.KernelFile)),
            Initrd = BootImage.FromBytes(SystemInitramfs.Build(image, session), $"the initramfs of '{image.Name}'"),
            CommandLine = options.Append.Length == 0 ? commandLine : $"{commandLine} {options.Append}",
        };
        return new PreparedSystem(boot, new DiskSettings { Path = disk, Format = DiskFormat.Qcow2, Serial = "system" });
    }
}
