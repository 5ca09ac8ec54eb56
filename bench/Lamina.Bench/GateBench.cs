using System.Diagnostics;
using System.Globalization;
using Lamina.Cli;
using Lamina.Cli.Tools;

namespace Lamina.Bench;

/// <summary>
/// The kernel in <c>guest/gates.S</c>: what entries and exits of a kernel, page faults, loads of CR3 and code that changes cost, in cycles of the time-stamp counter; under the translator
/// and, where it is installed, under QEMU's TCG, in turn.
/// </summary>
internal static class GateBench
{
    private const string Qemu = "qemu-system-x86_64";
    private const string End = "gates end";
    private static readonly string[] Flags = ["-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000", "-Wl,-e,start", "-Wl,--build-id=none", "-Wl,-z,noexecstack"];

    private static readonly Dictionary<string, string> Names = new()
    {
        ["syscall"] = "syscall and sysret",
        ["int"] = "int and iretq",
        ["page-fault"] = "invlpg, #PF, its repair and iretq",
        ["cr3"] = "mov cr3 and 64 pages",
        ["change"] = "code changed and called",
    };

    public static List<Figure> Run(int runs)
    {
        ToolRunner tools = new();
        string directory = Directory.CreateTempSubdirectory("lamina-bench-").FullName;
        try
        {
            string kernel = Path.Combine(directory, "gates");
            ToolResult built = tools.Run("gcc", [.. Flags, "-o", kernel, Path.Combine(AppContext.BaseDirectory, "guest", "gates.S")], null, null, CancellationToken.None);
            if (!built.Succeeded)
            {
                throw new LaminaException($"gcc does not build the kernel of the gates: {built.Error}");
            }

            return Measure(kernel, tools.Exists(Qemu), runs);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static List<Figure> Measure(string kernel, bool peer, int runs)
    {
        string program = NativeProgram.Find() ?? throw new LaminaException("the gates are measured with the native program: run ./publish first, or name it in LAMINA.");
        Dictionary<(string Gate, string Subject), List<double>> cycles = [];
        for (int run = 0; run < runs; run++)
        {
            Collect(cycles, "native program", program, ["run", "--accel", "translator", "--memory", "64M", "--kernel", kernel]);
            if (peer)
            {
                Collect(cycles, "qemu tcg", Qemu, ["-accel", "tcg", "-m", "64", "-nographic", "-nic", "none", "-kernel", kernel]);
            }
        }

        return [.. cycles.OrderBy(c => Names.Keys.ToList().IndexOf(c.Key.Gate)).Select(c => Figure.Of(Names[c.Key.Gate], c.Key.Subject, "cycles", c.Value))];
    }

    private static void Collect(Dictionary<(string Gate, string Subject), List<double>> cycles, string subject, string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        try
        {
            while (process.StandardOutput.ReadLine() is { } line)
            {
                // Firmware may have written before on the same line.
                int begin = line.IndexOf("gate ", StringComparison.Ordinal);
                if (begin >= 0 && line[begin..].TrimEnd().Split(' ') is [_, string gate, string number] && Names.ContainsKey(gate))
                {
                    if (!cycles.TryGetValue((gate, subject), out List<double>? list))
                    {
                        cycles.Add((gate, subject), list = []);
                    }

                    list.Add(double.Parse(number, CultureInfo.InvariantCulture));
                }

                if (line.Contains(End, StringComparison.Ordinal))
                {
                    return;
                }
            }
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }

        throw new InvalidOperationException($"The guest ended under {subject} before it had measured everything.");
    }
}
