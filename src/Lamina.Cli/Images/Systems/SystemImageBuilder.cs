using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Systems;

/// <summary>
/// Builds system images: mmdebstrap installs Debian's packages, whose signatures apt checks, and writes an archive; mke2fs makes a file system of the files. Nothing is mounted, and
/// root is not needed where mmdebstrap does not need it.
/// </summary>
internal sealed class SystemImageBuilder(SystemImageStore store, IToolRunner tools, IProgressDisplay progress)
{
    /// <summary>Size of the disk when none is asked for. It takes only the space that is used.</summary>
    public const ulong DefaultSize = 8UL << 30;

    /// <summary>Smallest disk.</summary>
    public const ulong MinimumSize = 1UL << 30;

    private const string KernelPackage = "linux-image-cloud-amd64";
    private const string BootPrefix = "boot/vmlinuz-";

    /// <summary>What each image has beyond Debian's minimum.</summary>
    private static readonly string[] Packages =
    [
        KernelPackage, "systemd-sysv", "systemd-resolved", "udev", "dbus", "iproute2", "kmod", "procps", "busybox-static", "ca-certificates", "iputils-ping", "less",
    ];

    private static readonly (string Tool, string Package)[] NeededTools = [("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"), ("debugfs", "e2fsprogs")];

    // The modules with which the kernel finds its disk; those that it has built in are missing from its package.
    private static readonly string[] Modules =
    [
        "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci",
        .. KernelModules.AllDisks,
    ];

    /// <summary>Builds an image, in place of the one that is there.</summary>
    /// <param name="name">Which.</param>
    /// <param name="extra">More packages.</param>
    /// <param name="size">Bytes of the disk.</param>
    /// <param name="mirror">The archive, or null for Debian's.</param>
    /// <param name="cancellation">Ends it; nothing is left behind.</param>
    /// <exception cref="LaminaException">It cannot be built.</exception>
    public SystemImage Build(SystemImageName name, IReadOnlyList<string> extra, ulong size, string? mirror, CancellationToken cancellation)
    {
        string[] missing = [.. NeededTools.Where(t => !Exists(t.Tool)).Select(t => t.Package).Distinct()];
        if (missing.Length > 0)
        {
            throw new LaminaException(
                $"building an image needs {string.Join(" and ", missing)}, which this host has not got. On Debian and its relatives: apt-get install {string.Join(' ', missing)}. Without it, 'lamina run debian-small' needs apt alone, and --disk with --kernel runs a system from elsewhere.");
        }

        store.CheckUnused(name);
        string staging = store.CreateStaging(name);
        try
        {
            string root = Directory.CreateDirectory(Path.Combine(staging, "root")).FullName;
            FileTree tree = new(root);
            Install(name, extra, mirror, tree, cancellation);
            progress.Begin("Making the disk");
            Configure(root);
            string kernel = TakeBootFiles(root, staging, cancellation);
            tree.Finish();
            MakeDisk(root, Path.Combine(staging, SystemImage.DiskFile), size, tree.Commands, cancellation);
            Directory.Delete(root, recursive: true);
            SystemImage image = new() { Name = name, Directory = staging, Kernel = kernel, Extra = string.Join(',', extra), Built = DateTime.UtcNow };
            image.Write();
            return store.Publish(image);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            throw new LaminaException($"the image '{name}' cannot be built: {e.Message}", e);
        }
        finally
        {
            if (Directory.Exists(staging))
            {
                Directory.Delete(staging, recursive: true);
            }
        }
    }

    private bool Exists(string tool) => tools.Exists(tool) || File.Exists($"/usr/sbin/{tool}") || File.Exists($"/sbin/{tool}");

    private void Install(SystemImageName name, IReadOnlyList<string> extra, string? mirror, FileTree tree, CancellationToken cancellation)
    {
        progress.Begin($"Installing Debian {name.Suite} (a minute or more)");
        List<string> arguments =
        [
            "--quiet", "--variant=minbase", "--format=tar", $"--include={string.Join(',', Packages.Concat(extra))}", name.Suite, "-",
        ];
        if (mirror != null)
        {
            arguments.Add(mirror);
        }

        // The kernel's package would make an initial RAM disk, which takes long and which nobody uses: each run has its own.
        ToolResult result = tools.RunAndRead("env", ["INITRD=No", "mmdebstrap", .. arguments], tree.Unpack, cancellation);
        if (!result.Succeeded)
        {
            throw new LaminaException($"mmdebstrap could not install Debian {name.Suite}: {result.Reason}");
        }
    }

    // What differs from machine to machine must not come from the image.
    private static void Configure(string root)
    {
        File.WriteAllText(Path.Combine(root, "etc/machine-id"), "");
        File.WriteAllText(Path.Combine(root, "etc/hostname"), "debian\n");
        File.Delete(Path.Combine(root, "etc/resolv.conf"));
        File.CreateSymbolicLink(Path.Combine(root, "etc/resolv.conf"), "/run/systemd/resolve/stub-resolv.conf");
    }

    private string TakeBootFiles(string root, string staging, CancellationToken cancellation)
    {
        string kernel = Directory.EnumerateFiles(Path.Combine(root, "boot"), "vmlinuz-*").Order(StringComparer.Ordinal).LastOrDefault()
            ?? throw new LaminaException($"the package {KernelPackage} has brought no file {BootPrefix}*.");
        string release = Path.GetFileName(kernel)["vmlinuz-".Length..];
        File.Copy(kernel, Path.Combine(staging, SystemImage.KernelFile));
        File.Copy(Path.Combine(root, "bin/busybox"), Path.Combine(staging, SystemImage.BusyBoxFile));
        string modules = Directory.CreateDirectory(Path.Combine(staging, SystemImage.ModuleDirectory)).FullName;
        for (int i = 0; i < Modules.Length; i++)
        {
            string source = Path.Combine(root, "lib/modules", release, "kernel", Modules[i] + ".ko");
            string target = Path.Combine(modules, string.Create(CultureInfo.InvariantCulture, $"{i:d2}-{Path.GetFileName(Modules[i])}.ko"));
            if (File.Exists(source))
            {
                File.Copy(source, target);
            }
            else if (File.Exists(source + ".xz"))
            {
                Decompress(source + ".xz", target, cancellation);
            }
        }

        return release;
    }

    private void Decompress(string source, string target, CancellationToken cancellation)
    {
        ToolResult result = tools.RunAndRead("xz", ["-dc", source], Copy, cancellation);
        if (!result.Succeeded)
        {
            throw new LaminaException($"'{Path.GetFileName(source)}' cannot be decompressed with xz: {result.Reason}");
        }

        void Copy(Stream stream)
        {
            using FileStream file = new(target, FileMode.CreateNew, FileAccess.Write);
            stream.CopyTo(file);
        }
    }

    private void MakeDisk(string root, string disk, ulong size, string commands, CancellationToken cancellation)
    {
        Run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", "root_owner=0:0,lazy_itable_init=1", "-d", root, disk, $"{size >> 10}k");
        if (commands.Length > 0)
        {
            string script = disk + ".commands";
            File.WriteAllText(script, commands);
            Run("debugfs", "-w", "-f", script, disk);
            File.Delete(script);
        }

        // A base is shared by all its machines.
        File.SetUnixFileMode(disk, UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead);

        void Run(string tool, params string[] arguments)
        {
            string path = tools.Exists(tool) ? tool : File.Exists($"/usr/sbin/{tool}") ? $"/usr/sbin/{tool}" : $"/sbin/{tool}";
            ToolResult result = tools.Run(path, arguments, null, null, cancellation);
            if (!result.Succeeded)
            {
                throw new LaminaException($"{tool} could not make the disk: {result.Reason}");
            }
        }
    }

    /// <summary>Understands a list of packages.</summary>
    /// <exception cref="LaminaException">A name is none.</exception>
    public static IReadOnlyList<string> ParsePackages(IReadOnlyList<string> lists)
    {
        string[] names = [.. lists.SelectMany(l => l.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
        string? wrong = Array.Find(names, n => !char.IsAsciiLetterOrDigit(n[0]) || !n.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '+' or '-' or '.'));
        return wrong == null ? names : throw new LaminaException($"--include '{wrong}' is no name of a package.");
    }

    /// <summary>Understands the size of a disk.</summary>
    /// <exception cref="LaminaException">It is none, or too small.</exception>
    public static ulong ParseSize(string? text)
    {
        return text == null ? DefaultSize
            : MemorySize.TryParse(text, out ulong bytes, out _) && bytes >= MinimumSize && bytes <= 16UL << 40 ? bytes & ~0xfffffUL
            : throw new LaminaException($"--size '{text}' is not accepted: write a number and a unit, such as 20G; at least {MemorySize.Format(MinimumSize)}.");
    }
}
