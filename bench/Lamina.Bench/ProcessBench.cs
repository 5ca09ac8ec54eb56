using System.Diagnostics;
using System.Globalization;
using Lamina.Boot.Tests.Images;

namespace Lamina.Bench;

/// <summary>
/// The native program that <c>./publish</c> makes, as a process: from its start to a guest's first instruction, which ends the machine; memory with a guest that has halted; a hundred
/// machines one after another; fifty at once.
/// </summary>
internal static class ProcessBench
{
    private const string Memory = "64M";
    private const ulong MemoryKibibytes = 64 << 10;
    private const int Idle = 50;
    private const int Successive = 100;
    private static readonly TimeSpan PeerTimeout = TimeSpan.FromSeconds(10);

    public static List<Figure> Run(int runs)
    {
        if (NativeProgram.Find() is not { } lamina)
        {
            Console.Error.WriteLine("There is no native program: run ./publish, or name it in LAMINA.");
            return [];
        }

        string directory = Directory.CreateTempSubdirectory("lamina-bench-").FullName;
        try
        {
            // out 0f4h, eax / out dx, al to say so; cli; hlt; jmp back
            string ends = Write(directory, "ends", [0x31, 0xc0, 0xe7, 0xf4, 0xf4]);
            string halts = Write(directory, "halts", [0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'!', 0xee, 0xfa, 0xf4, 0xeb, 0xfc]);
            List<Figure> figures = [new("size of the program", "lamina", "MiB", Size(lamina), Size(lamina), Size(lamina))];
            MeasurePeers(directory, runs, figures);
            foreach (string accelerator in Kvm.KvmHost.FindProblem() == null ? (string[])["translator", "kvm"] : ["translator"])
            {
                MeasureStart(lamina, ends, accelerator, runs, figures);
                MeasureMemory(lamina, halts, accelerator, figures);
            }

            return figures;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void MeasureStart(string lamina, string kernel, string accelerator, int runs, List<Figure> figures)
    {
        List<double> times = [];
        for (int run = 0; run < Math.Max(runs, Successive); run++)
        {
            long start = Stopwatch.GetTimestamp();
            using Process process = Start(lamina, kernel, accelerator);
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            if (process.ExitCode == 125)
            {
                throw new InvalidOperationException($"The machine under the {accelerator} did not start.");
            }
        }

        figures.Add(Figure.Of($"start, first instruction and end, {times.Count} times", accelerator, "ms", times));
    }

    // The same under the peers that are there: QEMU's smallest machine, and kvmtool (in LKVM), which boots a flat image in real mode.
    private static void MeasurePeers(string directory, int runs, List<Figure> figures)
    {
        if (Kvm.KvmHost.FindProblem() is { } problem)
        {
            Console.Error.WriteLine($"The peers are not measured: {problem}");
            return;
        }

        // mov al, 0feh; out 64h, al; hlt
        string flat = Path.Combine(directory, "flat");
        File.WriteAllBytes(flat, [0xb0, 0xfe, 0xe6, 0x64, 0xf4]);

        // mov eax, 16; out 0f4h, eax: QEMU's status is then 33, which no failure has.
        string kernel = Write(directory, "ends-elsewhere", [0xb8, 16, 0, 0, 0, 0xe7, 0xf4, 0xf4]);
        (string Name, string Program, int Status, string[] Arguments)[] peers =
        [
            ("QEMU microvm, KVM", "qemu-system-x86_64", 33,
                ["-M", "microvm,accel=kvm", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-no-reboot", "-kernel", kernel]),
            ("kvmtool", Environment.GetEnvironmentVariable("LKVM") ?? "lkvm", 0, ["run", "--mem", "64", "--network", "mode=none", "--console", "serial", "-k", flat]),
        ];
        foreach ((string name, string program, int status, string[] arguments) in peers)
        {
            try
            {
                List<double> times = [];
                for (int run = 0; run < Math.Max(runs, 20); run++)
                {
                    long start = Stopwatch.GetTimestamp();
                    using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
                    if (!process.WaitForExit(PeerTimeout))
                    {
                        process.Kill(entireProcessTree: true);
                        process.WaitForExit();
                        throw new InvalidOperationException($"its guest did not end in {PeerTimeout.TotalSeconds} s");
                    }

                    if (process.ExitCode != status)
                    {
                        throw new InvalidOperationException($"status {process.ExitCode}: {process.StandardError.ReadToEnd().Trim().ReplaceLineEndings(" ")}");
                    }

                    times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                }

                figures.Add(Figure.Of($"start, first instruction and end, {times.Count} times", name, "ms", times));
            }
            catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
            {
                Console.Error.WriteLine($"{name} is not measured: {e.Message}");
            }
        }
    }

    private static void MeasureMemory(string lamina, string kernel, string accelerator, List<Figure> figures)
    {
        List<Process> processes = [];
        try
        {
            for (int n = 0; n < Idle; n++)
            {
                Process process = Start(lamina, kernel, accelerator);
                processes.Add(process);
                if (process.StandardOutput.Read() != '!')
                {
                    throw new InvalidOperationException($"The guest of process {n} did not start.");
                }
            }

            figures.Add(Figure.Of($"private memory beyond guest RAM, each of {Idle} idle machines", accelerator, "MiB", processes.Select(static p => PrivateMebibytes(p.Id))));
            figures.Add(Figure.Of("descriptors", accelerator, "", processes.Select(static p => (double)Directory.GetFiles($"/proc/{p.Id}/fd").Length)));
        }
        finally
        {
            foreach (Process process in processes)
            {
                process.Kill();
                process.WaitForExit();
                process.Dispose();
            }
        }
    }

    private static Process Start(string lamina, string kernel, string accelerator)
    {
        ProcessStartInfo info = new(lamina, ["run", "--kernel", kernel, "--memory", Memory, "--accel", accelerator]) { RedirectStandardOutput = true, RedirectStandardInput = true };
        return Process.Start(info)!;
    }

    // Pages of this process alone, without those of the one mapping that is as large as the guest's RAM.
    private static double PrivateMebibytes(int process)
    {
        double total = 0;
        bool guest = false;
        foreach (string line in File.ReadLines($"/proc/{process}/smaps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0] == "Size:")
            {
                ulong size = ulong.Parse(words[1], CultureInfo.InvariantCulture);
                guest = size >= MemoryKibibytes && size < MemoryKibibytes + 4096;
            }
            else if (words[0] is "Private_Clean:" or "Private_Dirty:" && !guest)
            {
                total += double.Parse(words[1], CultureInfo.InvariantCulture) / 1024;
            }
        }

        return total;
    }

    private static double Size(string path) => new FileInfo(path).Length / 1048576.0;

    private static string Write(string directory, string name, byte[] code)
    {
        string path = Path.Combine(directory, name);
        File.WriteAllBytes(path, ElfImageBuilder.Create(code, 0x20_0000));
        return path;
    }
}
