using Lamina.Boot;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Running;
using Lamina.Cli.Tools;
using Lamina.Vmm;

namespace Lamina.Bench.Basket;

/// <summary>
/// A basket of fixed pieces of work, done by the same program on the host, as the first process of Debian's cloud kernel under QEMU's TCG, and under Lamina, in turn.
/// </summary>
internal static class BasketBench
{
    /// <summary>First argument of a process that runs one machine.</summary>
    public const string OnceArgument = "basket-once";

    /// <summary>The member that compares one process with two. It has a machine of its own, with two processors.</summary>
    public const string Parallel = "parallel";

    private const string Qemu = "qemu-system-x86_64";
    private const string CommandLine = "console=ttyS0,115200 quiet loglevel=1 panic=-1";
    private const ulong Memory = 512UL << 20;

    /// <summary>Runs it and prints the table.</summary>
    public static int Run(BasketOptions options)
    {
        ToolRunner tools = new();
        AcceleratorCatalog.Check(options.Accelerator);
        PackageCache cache = new(CacheLocation.Find(Environment.GetEnvironmentVariable), tools, new SilentProgress());
        CachedPackageSet files = DebianImage.Cloud.Fetch(cache, tools, CancellationToken.None);
        bool peer = options.Peer && tools.Exists(Qemu);
        if (!peer)
        {
            Console.WriteLine(options.Peer ? $"QEMU's TCG is left out: there is no {Qemu} on the path." : "QEMU's TCG is left out, as --no-tcg says.");
        }

        // Commands write files; the guest's are in memory, so the host's are too where it has such a place.
        string parent = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        string directory = Path.Combine(parent, $"lamina-basket-{Environment.ProcessId}");
        Directory.CreateDirectory(directory);
        try
        {
            string program = Path.Combine(directory, "basket");
            string initramfs = Path.Combine(directory, "initramfs");
            string busyBox = files.GetPath(DebianImage.BusyBox);
            GuestProgram.Build(tools, program);
            GuestProgram.WriteInitramfs(initramfs, program, busyBox);
            Host host = new(directory, program, busyBox, files.GetPath(DebianImage.Kernel), initramfs, options.Accelerator, options.Program);
            return Measure(options, host, peer);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>One machine in this process: its console is this process's output.</summary>
    public static int RunOnce(string kernel, string initrd, string names, string accelerator, int processors)
    {
        using ConsoleStream console = new();
        using VirtualMachine machine = new(new MachineSettings
        {
            Accelerator = AcceleratorCatalog.Create(accelerator),
            Boot = new BootSource { Kernel = BootImage.FromFile(kernel), Initrd = BootImage.FromFile(initrd), CommandLine = GetCommandLine(names) },
            MemorySize = Memory,
            ProcessorCount = processors,
            Serial0 = console,
            OnReboot = RebootAction.Exit,
        });
        machine.Start();
        return machine.Completion.GetAwaiter().GetResult().Outcome == MachineOutcome.PoweredOff ? 0 : 1;
    }

    private static int Measure(BasketOptions options, Host host, bool peer)
    {
        string[] members = options.Only.Count == 0 ? ["tsc", "all"] : ["tsc", .. options.Only.Where(n => n != Parallel)];
        bool parallel = options.Only.Count == 0 || options.Only.Contains(Parallel);
        Subject native = new(), lamina = new();
        Subject? tcg = peer ? new() : null;
        for (int run = 0; run < options.Runs; run++)
        {
            // In one run, everything meets the same neighbours.
            RunAll(string.Join(',', members), 1);
            if (parallel)
            {
                RunAll(Parallel, 2);
            }
        }

        return BasketReport.Write(options, native, tcg, lamina);

        void RunAll(string names, int processors)
        {
            Console.Error.WriteLine($"{names} natively ...");
            native.Add(host.RunNative(names));
            if (tcg != null)
            {
                Console.Error.WriteLine($"{names} under QEMU ...");
                tcg.Add(host.RunPeer(names, processors));
            }

            Console.Error.WriteLine($"{names} under Lamina's {options.Accelerator} ...");
            lamina.Add(host.RunLamina(names, processors));
        }
    }

    private static string GetCommandLine(string names) => $"{CommandLine} BASKET={names}";

    private sealed record Host(string WorkDirectory, string Program, string BusyBox, string Kernel, string Initramfs, string Accelerator, string? Lamina)
    {
        public BasketSession RunNative(string names) => BasketSession.Run(Program, [], WorkDirectory, [("BASKET", names), ("BUSYBOX", BusyBox)]);

        public BasketSession RunPeer(string names, int processors)
        {
            return BasketSession.Run(
                Qemu,
                [
                    "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", $"{processors}", "-nographic", "-no-reboot", "-nic", "none", "-kernel", Kernel, "-initrd", Initramfs,
                    "-append", GetCommandLine(names),
                ]);
        }

        public BasketSession RunLamina(string names, int processors)
        {
            if (Lamina != null)
            {
                return BasketSession.Run(
                    Lamina,
                    [
                        "run", "--accel", Accelerator, "--memory", "512M", "--cpus", $"{processors}", "--kernel", Kernel, "--initrd", Initramfs, "--append", GetCommandLine(names),
                    ]);
            }

            return BasketSession.Run(
                Environment.ProcessPath!, ["exec", Environment.GetCommandLineArgs()[0], OnceArgument, Kernel, Initramfs, names, Accelerator, $"{processors}"]);
        }
    }
}
