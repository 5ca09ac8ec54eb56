using System.Diagnostics;
using System.Globalization;
using Lamina.Kvm;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Processors;

namespace Lamina.Bench;

/// <summary>A port write of a guest under KVM to a device in C# and back, beside a loop in C that does nothing with it; in turn, in real mode.</summary>
internal static class ExitBench
{
    private const int Exits = 50_000;

    // out 80h, al; dec ecx; jnz back; hlt
    private static readonly byte[] Code = [0xe6, 0x80, 0x66, 0x49, 0x75, 0xfa, 0xf4];

    public static List<Figure> Run(int runs)
    {
        if (KvmHost.FindProblem() is { } problem)
        {
            Console.Error.WriteLine($"KVM cannot be measured: {problem}");
            return [];
        }

        List<double> lamina = [];
        List<double> peer = [];
        List<double> allocated = [];
        string directory = Directory.CreateTempSubdirectory("lamina-bench-").FullName;
        try
        {
            string? program = Compile(directory);
            for (int run = 0; run < runs; run++)
            {
                (double time, double bytes) = Measure();
                lamina.Add(time);
                allocated.Add(bytes);
                if (program != null)
                {
                    peer.Add(double.Parse(Execute(program, $"{Exits}"), CultureInfo.InvariantCulture));
                }
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        List<Figure> figures = [Figure.Of("port write under KVM", "lamina", "ns", lamina), Figure.Of($"allocated in {Exits} of them", "lamina", "bytes", allocated)];
        if (peer.Count > 0)
        {
            figures.Add(Figure.Of("port write under KVM", "loop in C", "ns", peer));
            figures.Add(Figure.Of("ratio", "lamina / C", "", lamina.Zip(peer, static (a, b) => a / b)));
        }

        return figures;
    }

    private static (double Time, double Allocated) Measure()
    {
        using KvmAccelerator accelerator = new(new KvmOptions { Controllers = KvmControllers.Off });
        using FlatMachine machine = new(accelerator, []);
        CountingWindow window = new();
        machine.Ports.Map("bench", 0x80, 1, window);
        machine.Memory.TryWrite(0x9000, Code);
        ProcessorState state = new();
        double time = 0;
        double allocated = 0;
        foreach (ulong count in (ulong[])[100, Exits])
        {
            machine.Processor.Save(state);
            state.Cr0 = 0x10;
            state.Cr4 = 0;
            state.Msrs.RemoveAll(static m => m.Index == 0xc000_0080);
            state.Msrs.Add(new MsrValue(0xc000_0080, 0));
            for (int n = 0; n < 6; n++)
            {
                state.Segments[n] = new SegmentState(0, 0, 0xffff, n == 1 ? 0x9bu : 0x93u);
            }

            state.Rip = 0x9000;
            state.GeneralRegisters[1] = count;
            state.Halted = false;
            if (!machine.Processor.Restore(state))
            {
                throw new InvalidOperationException("KVM refuses real mode.");
            }

            int before = window.Count;
            long bytes = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            ProcessorExit exit = machine.Processor.Run();
            time = Stopwatch.GetElapsedTime(start).TotalNanoseconds / count;
            allocated = GC.GetAllocatedBytesForCurrentThread() - bytes;
            if (exit.Reason != ProcessorExitReason.Halted || window.Count - before != (int)count)
            {
                throw new InvalidOperationException($"The loop ended with {exit} after {window.Count - before} exits.");
            }
        }

        return (time, allocated);
    }

    private static string? Compile(string directory)
    {
        string source = Path.Combine(AppContext.BaseDirectory, "Peers", "exit-loop.c");
        string program = Path.Combine(directory, "exit-loop");
        try
        {
            Execute("gcc", "-O2", "-o", program, source);
            return program;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
        {
            Console.Error.WriteLine($"The loop in C cannot be compiled: {e.Message}");
            return null;
        }
    }

    private static string Execute(string program, params string[] arguments)
    {
        ProcessStartInfo info = new(program, arguments) { RedirectStandardOutput = true };
        using Process process = Process.Start(info)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with status {process.ExitCode}.");
    }

    private sealed class CountingWindow : IRegisterWindow
    {
        public int Count { get; private set; }

        public AccessResult Read(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            Count++;
            return AccessResult.Done;
        }
    }
}
