using System.Diagnostics;
using System.Globalization;
using Lamina.Boot;
using Lamina.Cli.Arguments;
using Lamina.Cli.Running;
using Lamina.Storage;
using Lamina.Vmm;
using Lamina.Vmm.Serial;

namespace Lamina.Bench.Io;

/// <summary>One machine, which can be run by Lamina and by QEMU.</summary>
internal sealed class IoMachine
{
    /// <summary>Lamina in this process.</summary>
    public const string Subject = "translator";

    /// <summary>The program that <c>./publish</c> makes.</summary>
    public const string NativeSubject = "native program";

    /// <summary>The peer.</summary>
    public const string PeerSubject = "qemu tcg";

    private const string Qemu = "qemu-system-x86_64";
    private const ulong Memory = 512UL << 20;
    private const string CommandLine = "console=ttyS0,115200 quiet systemd.hostname=bench systemd.firstboot=off";
    private static readonly string? SharingPeer = Array.Find((string[])["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"], File.Exists);

    public static bool HasQemu { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, Qemu)));

    public static bool HasSharingPeer => SharingPeer != null;

    public required string Kernel { get; init; }

    public required string Initrd { get; init; }

    public required string Directory { get; init; }

    public required string System { get; init; }

    public required IReadOnlyList<(string Path, DiskFormat Format)> Disks { get; init; }

    public bool IsDirect { get; init; }

    /// <summary>The hypervisor that the guest sees, in this process.</summary>
    public PersonalityKind Personality { get; init; }

    public string? Tap { get; init; }

    public string? Share { get; init; }

    /// <summary>Runs it until a line of its console ends it.</summary>
    /// <param name="subject">What runs it.</param>
    /// <param name="onLine">Is given each line; says whether it goes on.</param>
    public void Run(string subject, Func<string, bool> onLine)
    {
        switch (subject)
        {
            case PeerSubject:
                RunPeer(onLine);
                break;
            case NativeSubject:
                RunProgram(onLine);
                break;
            default:
                RunHere(Subject, onLine);
                break;
        }
    }

    // The same machine as the one in this process, by the program's command line.
    private void RunProgram(Func<string, bool> onLine)
    {
        List<string> arguments =
        [
            "run", "--accel", "translator", "--memory", string.Create(CultureInfo.InvariantCulture, $"{Memory >> 20}M"), "--kernel", Kernel, "--initrd", Initrd, "--append", CommandLine, "--on-reboot", "exit",
            "--net", Tap == null ? "none" : $"tap={Tap}",
        ];
        foreach ((string path, DiskFormat format) in Disks.Prepend((System, DiskFormat.Qcow2)))
        {
            arguments.AddRange(["--disk", $"{path},format={(format == DiskFormat.Raw ? "raw" : "qcow2")}{(IsDirect && format == DiskFormat.Raw ? ",cache=none" : "")}"]);
        }

        if (Share != null)
        {
            arguments.AddRange(["--share", $"{Share}:/src:ro"]);
        }

        using Process process = Process.Start(new ProcessStartInfo(NativeProgram.Find()!, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        try
        {
            Follow(process, onLine);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    private static void Follow(Process process, Func<string, bool> onLine)
    {
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (!onLine(line.TrimEnd('\r')))
            {
                return;
            }
        }

        throw new InvalidOperationException($"The guest ended early under {process.ProcessName}.");
    }

    private void RunHere(string accelerator, Func<string, bool> onLine)
    {
        MemoryCharacterOutput console = new();
        using ManualResetEventSlim changed = new();
        console.Written += changed.Set;
        using VirtualMachine machine = new(new MachineSettings
        {
            Accelerator = AcceleratorCatalog.Create(accelerator),
            Boot = new BootSource { Kernel = BootImage.FromFile(Kernel), Initrd = BootImage.FromFile(Initrd), CommandLine = CommandLine },
            MemorySize = Memory,
            Personality = Personality,
            Serial0 = console,
            Disks = [.. Disks.Prepend((System, DiskFormat.Qcow2)).Select(d => new DiskSettings { Path = d.Item1, Format = d.Item2, IsDirect = IsDirect && d.Item2 == DiskFormat.Raw })],
            Networks = Tap == null ? [] : [new NetworkSettings { Kind = NetworkKind.Tap, Name = Tap }],
            Shares = Share == null ? [] : [new ShareSettings { Path = Share, Tag = ShareArgument.GetTag(0), IsReadOnly = true }],
            OnReboot = RebootAction.Exit,
        });
        machine.Start();
        int seen = 0;
        while (true)
        {
            changed.Reset();
            string text = console.Text;
            for (int end; (end = text.IndexOf('\n', seen)) >= 0; seen = end + 1)
            {
                if (!onLine(text[seen..end].TrimEnd('\r')))
                {
                    return;
                }
            }

            if (machine.Completion.IsCompleted)
            {
                throw new InvalidOperationException($"The guest ended early:\n{text}");
            }

            changed.Wait(1000);
        }
    }

    private void RunPeer(Func<string, bool> onLine)
    {
        List<string> arguments =
        [
            "-accel", "tcg", "-cpu", "max", "-m", (Memory >> 20).ToString(CultureInfo.InvariantCulture), "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none",
            "-serial", "stdio", "-serial", "null", "-kernel", Kernel, "-initrd", Initrd, "-append", CommandLine,
        ];
        int number = 0;
        foreach ((string path, DiskFormat format) in Disks.Prepend((System, DiskFormat.Qcow2)))
        {
            string id = string.Create(CultureInfo.InvariantCulture, $"d{number++}");
            arguments.AddRange(["-drive", $"file={path},if=none,id={id},format={(format == DiskFormat.Raw ? "raw" : "qcow2")}{(IsDirect && format == DiskFormat.Raw ? ",cache=none,aio=io_uring" : "")}", "-device", $"virtio-blk-pci,drive={id}"]);
        }

        if (Tap != null)
        {
            arguments.AddRange(["-netdev", $"tap,id=n0,ifname={Tap},script=no,downscript=no", "-device", "virtio-net-pci,netdev=n0"]);
        }

        string socket = Path.Combine(Directory, "fs.sock");
        using Process? server = Share == null ? null : Process.Start(new ProcessStartInfo(SharingPeer!, [$"--socket-path={socket}", "-o", $"source={Share}"]) { RedirectStandardError = true, RedirectStandardOutput = true });
        if (server != null)
        {
            Task.Run(server.StandardError.ReadToEnd);
            using FileSystemWatcher watcher = new(Directory);
            while (!File.Exists(socket))
            {
                watcher.WaitForChanged(WatcherChangeTypes.Created, 100);
            }

            arguments.AddRange(
            [
                "-object", $"memory-backend-memfd,id=mem,size={Memory >> 20}M,share=on", "-numa", "node,memdev=mem",
                "-chardev", $"socket,id=fs,path={socket}", "-device", $"vhost-user-fs-pci,chardev=fs,tag={ShareArgument.GetTag(0)}",
            ]);
        }

        using Process process = Process.Start(new ProcessStartInfo(Qemu, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        try
        {
            Follow(process, onLine);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
            if (server is { HasExited: false })
            {
                server.Kill();
                server.WaitForExit();
            }

            File.Delete(socket);
        }
    }
}
