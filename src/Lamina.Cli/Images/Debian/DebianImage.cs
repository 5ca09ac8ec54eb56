using Lamina.Boot;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Debian;

/// <summary>A kernel of Debian's with a root file system of BusyBox in memory, both from the distribution's packages.</summary>
internal sealed class DebianImage
{
    internal const string Kernel = "vmlinuz";
    internal const string BusyBox = "busybox";
    internal const string Applets = "applets";

    private readonly string _kernelPackage;

    private DebianImage(string name, string kernelPackage)
    {
        Name = name;
        _kernelPackage = kernelPackage;
    }

    /// <summary>The kernel made for virtual machines.</summary>
    public static DebianImage Cloud { get; } = new("debian", "linux-image-cloud-amd64");

    /// <summary>The kernel made for all machines.</summary>
    public static DebianImage Generic { get; } = new("debian-generic", "linux-image-amd64");

    /// <summary>Its name on the command line.</summary>
    public string Name { get; }

    /// <summary>Fetches what the image consists of, if this user has not got it yet.</summary>
    public CachedPackageSet Fetch(PackageCache cache, IToolRunner tools, CancellationToken cancellation)
    {
        PackageSet set = new(
            Name,
            $"image '{Name}'",
            [
                new PackageRequest(
                    _kernelPackage,
                    "linux-image-",
                    [
                        new PackageFile("boot/vmlinuz-", "", Kernel),
                        .. KernelModules.All.Select(m => new PackageFile("", $"/kernel/{m}.ko", KernelModules.GetStoredName(m), Optional: true)),
                    ]),
                new PackageRequest("busybox-static", null, [new PackageFile("", "bin/busybox", BusyBox)]),
            ])
        {
            Complete = directory => ListApplets(directory, tools, cancellation),
        };
        return cache.Get(set, cancellation);
    }

    /// <summary>Makes what the machine boots.</summary>
    /// <param name="files">What <see cref="Fetch"/> gave.</param>
    /// <param name="session">What the first process is told.</param>
    /// <param name="kernel">A kernel to use instead of the image's, or null.</param>
    /// <param name="quiet">Whether the kernel shows only errors.</param>
    /// <param name="append">Added to the kernel's command line.</param>
    public BootSource CreateBoot(CachedPackageSet files, ImageSession session, string? kernel, bool quiet, string append)
    {
        string commandLine = $"{KernelOptions.SelectConsoles(session.Hardware)}{(quiet ? " quiet" : "")}{KernelOptions.Select(session.Hardware)}";
        return new BootSource
        {
            Kernel = BootImage.FromFile(kernel ?? files.GetPath(Kernel)),
            Initrd = BootImage.FromBytes(DebianInitramfs.Build(files, KernelModules.Select(session.Hardware), session), $"the initramfs of '{Name}'"),
            CommandLine = append.Length == 0 ? commandLine : $"{commandLine} {append}",
        };
    }

    private static void ListApplets(string directory, IToolRunner tools, CancellationToken cancellation)
    {
        ToolResult result = tools.Run(Path.Combine(directory, BusyBox), ["--list"], null, null, cancellation);
        if (!result.Succeeded)
        {
            throw new LaminaException($"BusyBox does not run on this host: {result.Reason}");
        }

        File.WriteAllText(Path.Combine(directory, Applets), result.Output);
    }
}
