using System.Diagnostics;
using System.Globalization;
using Lamina.Boot;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Running;
using Lamina.Cli.Tools;
using Lamina.Vmm;
using Lamina.Vmm.Serial;

namespace Lamina.Bench;

/// <summary>
/// Debian's cloud kernel with 512 MiB and one processor, from the start to its first process; under each accelerator and, where it is installed, under
/// QEMU's TCG with the same kernel, initramfs and command line, in turn.
/// </summary>
internal static class BootBench
{
    private const string NativeSubject = "native program";
    private const string Marker = "Run /init as init process";
    private const ulong Memory = 512UL << 20;
    /// <summary>First argument of a process that boots once.</summary>
    public const string OnceArgument = "boot-once";

    private const string Qemu = "qemu-system-x86_64";

    public static List<Figure> Run(int runs)
    {
        ToolRunner tools = new();
        PackageCache cache = new(CacheLocation.Find(Environment.GetEnvironmentVariable), tools, new SilentProgress());
        CachedPackageSet files = DebianImage.Cloud.Fetch(cache, tools, CancellationToken.None);
        BootSource boot = DebianImage.Cloud.CreateBoot(files, new ImageSession { Mode = SessionMode.Terminal, HostName = "bench", Columns = 80 }, null, quiet: false, "");
        string directory = Directory.CreateTempSubdirectory("lamina-bench-").FullName;
        try
        {
            string kernel = Copy(boot.Kernel, Path.Combine(directory, "kernel"));
            string initrd = Copy(boot.Initrd!, Path.Combine(directory, "initrd"));
            return Measure(boot, kernel, initrd, runs);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static List<Figure> Measure(BootSource boot, string kernel, string initrd, int runs)
    {
        string[] accelerators = ["interpreter", "translator"];
        bool peer = HasQemu();
        string? native = NativeProgram.Find();
        Dictionary<string, List<double>> seconds = [];
        Dictionary<string, List<double>> resident = [];
        for (int run = 0; run < runs; run++)
        {
            foreach (string name in accelerators)
            {
                (double time, double memory) = BootInProcess(kernel, initrd, boot.CommandLine, name);
                seconds.TryAdd(name, []);
                resident.TryAdd(name, []);
                seconds[name].Add(time);
                resident[name].Add(memory);
            }

            if (native != null)
            {
                seconds.TryAdd(NativeSubject, []);
                seconds[NativeSubject].Add(BootProgram(native, ["run", "--accel", "translator", "--memory", "512M", "--kernel", kernel, "--initrd", initrd, "--append", boot.CommandLine]));
            }

            if (peer)
            {
                seconds.TryAdd("qemu tcg", []);
                seconds["qemu tcg"].Add(BootProgram(
                    Qemu, ["-accel", "tcg", "-m", "512", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel, "-initrd", initrd, "-append", boot.CommandLine]));
            }
        }

        List<Figure> figures = [];
        foreach ((string name, List<double> times) in seconds)
        {
            figures.Add(Figure.Of("Debian cloud kernel to its first process", name, "s", times));
        }

        foreach ((string name, List<double> sizes) in resident)
        {
            figures.Add(Figure.Of("resident memory beyond guest RAM", name, "MiB", sizes));
        }

        return figures;
    }

    // A process for each boot, so that one's memory is not counted for another.
    private static (double Seconds, double Resident) BootInProcess(string kernel, string initrd, string commandLine, string accelerator)
    {
        ProcessStartInfo info = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        foreach (string argument in (string[])["exec", Environment.GetCommandLineArgs()[0], OnceArgument, kernel, initrd, commandLine, accelerator])
        {
            info.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(info)!;
        string[] words = process.StandardOutput.ReadToEnd().Split(' ');
        process.WaitForExit();
        return words.Length == 2
            ? (double.Parse(words[0], CultureInfo.InvariantCulture), double.Parse(words[1], CultureInfo.InvariantCulture))
            : throw new InvalidOperationException($"The boot under the {accelerator} ended with status {process.ExitCode}.");
    }

    /// <summary>One boot in this process: prints seconds and mebibytes.</summary>
    public static int RunOnce(string kernel, string initrd, string commandLine, string accelerator)
    {
        BootSource boot = new() { Kernel = BootImage.FromFile(kernel), Initrd = BootImage.FromFile(initrd), CommandLine = commandLine };
        (double seconds, double resident) = BootOnce(boot, accelerator);
        Console.Write(string.Create(CultureInfo.InvariantCulture, $"{seconds} {resident}"));
        return 0;
    }

    private static (double Seconds, double Resident) BootOnce(BootSource boot, string accelerator)
    {
        MemoryCharacterOutput console = new();
        long start = Stopwatch.GetTimestamp();
        using VirtualMachine machine = new(new MachineSettings
        {
            Accelerator = AcceleratorCatalog.Create(accelerator),
            Boot = boot,
            MemorySize = Memory,
            Serial0 = console,
            OnReboot = RebootAction.Exit,
        });
        using ManualResetEventSlim changed = new();
        console.Written += changed.Set;
        machine.Start();
        while (!console.Text.Contains(Marker, StringComparison.Ordinal))
        {
            if (machine.Completion.IsCompleted)
            {
                throw new InvalidOperationException($"The guest ended before its first process:\n{console.Text}");
            }

            changed.Wait(1000);
            changed.Reset();
        }

        return (Stopwatch.GetElapsedTime(start).TotalSeconds, ResidentBeyondGuest());
    }

    // The process's resident pages, without those of the one mapping that is as large as the guest's RAM.
    private static double ResidentBeyondGuest()
    {
        double total = 0;
        bool guest = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                guest = Kibibytes(line) >= Memory / 1024 && Kibibytes(line) < (Memory / 1024) + 4096;
            }
            else if (line.StartsWith("Rss:", StringComparison.Ordinal) && !guest)
            {
                total += Kibibytes(line) / 1024.0;
            }
        }

        return total;
    }

    private static ulong Kibibytes(string line) => ulong.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    // From the start of a program to the guest's first process.
    private static double BootProgram(string program, IEnumerable<string> arguments)
    {
        ProcessStartInfo info = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true };
        long start = Stopwatch.GetTimestamp();
        using Process process = Process.Start(info)!;
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line.Contains(Marker, StringComparison.Ordinal))
            {
                double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                process.Kill();
                process.WaitForExit();
                return seconds;
            }
        }

        throw new InvalidOperationException("The guest ended under QEMU before its first process.");
    }

    private static bool HasQemu()
    {
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, Qemu)));
    }

    private static string Copy(BootImage image, string path)
    {
        using BootImageReader reader = image.Open();
        byte[] bytes = new byte[reader.Length];
        reader.Read(0, bytes);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
