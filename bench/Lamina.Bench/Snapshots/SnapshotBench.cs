using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Lamina.Boot.Tests.Images;
using Lamina.SoftCpu;
using Lamina.Vmm;
using Lamina.Vmm.Snapshots;

namespace Lamina.Bench.Snapshots;

/// <summary>
/// Snapshots of Debian guests by the native program that <c>./publish</c> makes: from the start of a restoring process, and from the library's call, to its guest's first instruction, with several sizes of memory; how long a
/// machine stands still, beside writing what its memory holds to the same file system; memory of twenty clones.
/// </summary>
internal sealed class SnapshotBench : IDisposable
{
    private const string Accelerator = "translator";
    private const string GoesOn = "the machine goes on";
    private const string FirstInstruction = "the guest's first instruction came at";
    private const int Clones = 20;
    private static readonly string[] Sizes = ["256M", "512M", "2048M", "8192M"];
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-bench-").FullName;
    private readonly string _lamina;
    private readonly int _runs;
    private readonly List<Figure> _figures = [];

    private SnapshotBench(string lamina, int runs)
    {
        _lamina = lamina;
        _runs = Math.Max(runs, 3);
    }

    public static List<Figure> Run(int runs)
    {
        if (NativeProgram.Find() is not { } lamina)
        {
            Console.Error.WriteLine("There is no native program: run ./publish, or name it in LAMINA.");
            return [];
        }

        using SnapshotBench bench = new(lamina, runs);
        bench.MeasureFirstInstruction();
        foreach (string size in Sizes)
        {
            bench.MeasureDebian(size);
        }

        return bench._figures;
    }

    public void Dispose()
    {
        // The machines of this bench are the only ones in its directory.
        foreach (string name in Names())
        {
            Call(["kill", name]);
        }

        Directory.Delete(_directory, recursive: true);
    }

    // A guest that does nothing but write to its console: what comes first from a restored machine is of its first instructions.
    private void MeasureFirstInstruction()
    {
        // mov dx, 3f8h; mov al, '!'; out dx, al; jmp back to the out
        string kernel = Path.Combine(_directory, "kernel");
        File.WriteAllBytes(kernel, ElfImageBuilder.Create([0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'!', 0xee, 0xeb, 0xfd], 0x20_0000));
        foreach (string size in Sizes)
        {
            Call(["run", "--detach", "--name", "writer", "--memory", size, "--accel", Accelerator, "--serial", "null", "--kernel", kernel]);
            string snapshot = NewPath();
            Call(["snapshot", "writer", snapshot]);
            Call(["kill", "writer"]);
            List<double> boots = [];
            List<double> times = [];
            List<double> bootOutputs = [];
            List<double> outputs = [];
            for (int run = 0; run < 4 * _runs; run++)
            {
                bootOutputs.Add(TimeFirstOutput(["run", "--verbose", "--name", "writer", "--memory", size, "--accel", Accelerator, "--kernel", kernel], boots));
                outputs.Add(TimeFirstOutput(["restore", snapshot, "--verbose", "--name", "writer"], times));
            }

            _figures.Add(Figure.Of("boot, process to the guest's first instruction", size, "ms", boots));
            _figures.Add(Figure.Of("restore, process to the guest's first instruction", size, "ms", times));
            _figures.Add(Figure.Of("boot, process to the guest's first output", size, "ms", bootOutputs));
            _figures.Add(Figure.Of("restore, process to the guest's first output", size, "ms", outputs));
        }
    }

    // The time of the first instruction, which the program tells at its end, is of the same clock as ours.
    private double TimeFirstOutput(string[] arguments, List<double> firstInstructions)
    {
        long start = Stopwatch.GetTimestamp();
        using Process process = Start(arguments);
        if (process.StandardOutput.Read() != '!')
        {
            throw new InvalidOperationException($"The guest did not write: {process.StandardError.ReadToEnd()}");
        }

        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;

        // It goes on writing, and does not end before somebody has read it.
        Task rest = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
        Call(["kill", "writer"]);
        rest.Wait();
        string told = process.StandardError.ReadToEnd();
        process.WaitForExit();
        int at = told.IndexOf(FirstInstruction, StringComparison.Ordinal);
        if (at < 0)
        {
            throw new InvalidOperationException($"The program did not tell when the guest began: {told}");
        }

        string seconds = told[(at + FirstInstruction.Length)..].TrimStart().Split(' ')[0];
        firstInstructions.Add((double.Parse(seconds, CultureInfo.InvariantCulture) - (start / (double)Stopwatch.Frequency)) * 1000);
        return milliseconds;
    }

    private void MeasureDebian(string size)
    {
        Call(["run", "--detach", "--name", "idle", "--memory", size, "--accel", Accelerator, "debian"]);
        Call(["exec", "idle", "--wait", "300", "--", "true"]);
        List<double> pauses = [];
        List<double> copies = [];
        List<double> ratios = [];
        string snapshot = "";
        for (int run = 0; run < _runs; run++)
        {
            snapshot = NewPath();
            double pause = ReadPause(Call(["snapshot", "idle", snapshot]));
            (double copy, double size2) = CopyMemory(Path.Combine(snapshot, "memory.bin"));
            pauses.Add(pause);
            copies.Add(copy);
            ratios.Add(pause / copy);
            if (run == 0)
            {
                _figures.Add(Figure.Of("what its memory holds", size, "MiB", [size2]));
            }
        }

        if (size == "512M")
        {
            MeasureChanges(snapshot);
        }

        _figures.Add(Figure.Of("pause of a full snapshot, idle", size, "ms", pauses));
        _figures.Add(Figure.Of("writing what the memory holds to a file", size, "ms", copies));
        _figures.Add(Figure.Of("pause over writing", size, "ratio", ratios));
        Call(["kill", "idle"]);

        List<double> times = [];
        for (int run = 0; run < 4 * _runs; run++)
        {
            long start = Stopwatch.GetTimestamp();
            using Process process = Start(["restore", snapshot, "--name", "idle", "--verbose"]);
            string? line;
            do
            {
                line = process.StandardError.ReadLine();
            }
            while (line != null && !line.Contains(GoesOn, StringComparison.Ordinal));
            times.Add(line == null ? throw new InvalidOperationException("The snapshot was not restored.") : Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            process.Kill();
            process.WaitForExit();
        }

        _figures.Add(Figure.Of("restore, process to the guest going on", $"Debian {size}", "ms", times));
        MeasureLibrary(snapshot, size);
        if (size == "512M")
        {
            MeasureClones(snapshot);
        }
    }

    // From the library's call in a process that has restored before, as a program sees it that embeds machines, to the guest's first instruction. Peers measure from such a call, too.
    private void MeasureLibrary(string snapshot, string size)
    {
        const int WarmUp = 20;
        List<double> times = [];
        for (int run = 0; run < WarmUp + (4 * _runs); run++)
        {
            long start = Stopwatch.GetTimestamp();
            using MachineSnapshot opened = MachineSnapshot.Open(snapshot);
            MachineSettings settings = SnapshotSettings.Create(opened, new TranslatorAccelerator());
            using VirtualMachine machine = new(settings with { Sockets = settings.Sockets == null ? null : settings.Sockets with { Path = Path.Combine(_directory, "guest") } });
            machine.Start();
            if (!SpinWait.SpinUntil(() => machine.FirstEntry != 0, TimeSpan.FromSeconds(20)))
            {
                throw new InvalidOperationException("The snapshot was not restored.");
            }

            if (run >= WarmUp)
            {
                times.Add(Stopwatch.GetElapsedTime(start, machine.FirstEntry).TotalMilliseconds);
            }

            machine.Quit();
            machine.WaitForEnd();
        }

        _figures.Add(Figure.Of("restore, library call to the guest's first instruction", $"Debian {size}", "ms", times));
    }

    // What was written since the last snapshot, in steps, and the pause and the room of one that rests on it.
    private void MeasureChanges(string below)
    {
        foreach (int mebibytes in (int[])[0, 4, 16, 64])
        {
            Call(["exec", "idle", "--", "sh", "-c", string.Create(CultureInfo.InvariantCulture, $"dd if=/dev/urandom of=/tmp/written bs=64k count={mebibytes * 16} 2>/dev/null; rm -f /tmp/written")]);
            string snapshot = NewPath();
            double pause = ReadPause(Call(["snapshot", "idle", snapshot, "--base", below]));
            long pages = 0;
            ReadOnlySpan<ulong> list = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(File.ReadAllBytes(Path.Combine(snapshot, "pages.bin")));
            for (int i = 1; i < list.Length; i += 2)
            {
                pages += (long)list[i];
            }

            string subject = string.Create(CultureInfo.InvariantCulture, $"{mebibytes} MiB written");
            _figures.Add(Figure.Of("pause of an incremental snapshot", subject, "ms", [pause]));
            _figures.Add(Figure.Of("what an incremental snapshot has", subject, "MiB", [pages / 256.0]));
            below = snapshot;
        }
    }

    // Proportional shares count a page that several processes map once among them.
    private void MeasureClones(string snapshot)
    {
        Restore(snapshot, "one");
        double one = Rollup("one", "Pss:");
        Call(["kill", "one"]);
        string[] names = [.. Enumerable.Range(0, Clones).Select(static n => string.Create(CultureInfo.InvariantCulture, $"clone{n}"))];
        Array.ForEach(names, n => Restore(snapshot, n));
        Array.ForEach(names, n => Call(["exec", n, "--", "true"]));
        double all = names.Sum(n => Rollup(n, "Pss:"));
        double touched = names.Sum(n => Rollup(n, "Private_Dirty:"));
        _figures.Add(Figure.Of("memory of one restored machine", Accelerator, "MiB", [one]));
        _figures.Add(Figure.Of($"memory of {Clones} clones", Accelerator, "MiB", [all]));
        _figures.Add(Figure.Of("of that, what each touched", Accelerator, "MiB", [touched]));
        _figures.Add(Figure.Of("the rest, over one machine's", Accelerator, "ratio", [(all - touched) / one]));
        Array.ForEach(names, n => Call(["kill", n]));
    }

    private void Restore(string snapshot, string name)
    {
        Call(["restore", snapshot, "--detach", "--name", name]);
        Call(["exec", name, "--", "true"]);
    }

    private double Rollup(string name, string field)
    {
        using JsonDocument status = JsonDocument.Parse(Call(["status", name, "--json"]));
        int process = status.RootElement.GetProperty("pid").GetInt32();
        string line = File.ReadLines($"/proc/{process}/smaps_rollup").First(l => l.StartsWith(field, StringComparison.Ordinal));
        return ulong.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024.0;
    }

    // As "...; the machine stood still for 12.3 ms".
    private static double ReadPause(string output)
    {
        string[] words = output.Trim().Split(' ');
        return double.Parse(words[^2], CultureInfo.InvariantCulture);
    }

    // Writes what is not a hole, which was read before, to a new file beside it.
    private static (double Milliseconds, double Mebibytes) CopyMemory(string path)
    {
        List<(long Offset, byte[] Content)> extents = [];
        using (Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path))
        {
            long length = RandomAccess.GetLength(file);
            byte[] buffer = new byte[1 << 20];
            for (long at = 0; at < length; at += buffer.Length)
            {
                int count = RandomAccess.Read(file, buffer, at);
                int start = 0;
                while (start < count)
                {
                    int end = start;
                    bool isZero = IsZero(buffer, start);
                    while (end < count && IsZero(buffer, end) == isZero)
                    {
                        end += 4096;
                    }

                    if (!isZero)
                    {
                        extents.Add((at + start, buffer[start..end]));
                    }

                    start = end;
                }
            }
        }

        string copy = path + ".copy";
        long began = Stopwatch.GetTimestamp();
        using (Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(copy, FileMode.CreateNew, FileAccess.Write))
        {
            foreach ((long offset, byte[] content) in extents)
            {
                RandomAccess.Write(file, content, offset);
            }
        }

        double milliseconds = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        File.Delete(copy);
        return (milliseconds, extents.Sum(static e => e.Content.Length) / 1048576.0);
    }

    private static bool IsZero(byte[] buffer, int page) => !buffer.AsSpan(page, 4096).ContainsAnyExcept((byte)0);

    private string NewPath() => Path.Combine(_directory, Guid.NewGuid().ToString("N"));

    private string[] Names()
    {
        using JsonDocument all = JsonDocument.Parse(Call(["ps", "--json"]));
        return [.. all.RootElement.EnumerateArray().Select(static m => m.GetProperty("name").GetString()!)];
    }

    private Process Start(string[] arguments)
    {
        ProcessStartInfo info = new(_lamina, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        info.Environment["XDG_RUNTIME_DIR"] = _directory;
        info.Environment["XDG_STATE_HOME"] = Path.Combine(_directory, "state");
        info.Environment["XDG_DATA_HOME"] = Path.Combine(_directory, "data");
        return Process.Start(info)!;
    }

    private string Call(string[] arguments)
    {
        using Process process = Start(arguments);
        process.StandardInput.Close();
        string text = process.StandardOutput.ReadToEnd();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? text : throw new InvalidOperationException($"lamina {string.Join(' ', arguments)} ended with {process.ExitCode}: {error}");
    }
}
