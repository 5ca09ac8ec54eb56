using System.Diagnostics;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Bench;

/// <summary>A port write and a memory-mapped read to a device written in C#, and back: time, and bytes allocated.</summary>
internal static class DeviceBench
{
    private const int Iterations = 1_000_000;
    private const ulong RegisterAddress = 0x3000_0000;

    public static List<Figure> Run(int runs)
    {
        List<Figure> figures = [];
        foreach (IAccelerator accelerator in (IAccelerator[])[new InterpreterAccelerator(), new TranslatorAccelerator()])
        {
            // out 80h, al / mov edx, [rbx]
            Measure("port write", [0xe6, 0x80, 0x66, 0x90], accelerator, runs, figures);
            Measure("memory-mapped read", [0x8b, 0x13, 0x66, 0x90], accelerator, runs, figures);
        }

        return figures;
    }

    private static void Measure(string name, byte[] access, IAccelerator accelerator, int runs, List<Figure> figures)
    {
        List<double> time = [];
        List<double> allocated = [];
        for (int run = -1; run < runs; run++)
        {
            byte[] code =
            [
                0x48, 0xc7, 0xc1, 0x00, 0x10, 0x00, 0x00, // mov rcx, count
                0xbb, 0x00, 0x00, 0x00, 0x30,             // mov ebx, 30000000h
                .. access,
                0x48, 0xff, 0xc9,                         // dec rcx
                0x75, 0xf7,                               // jnz back to the access
                0xf4,                                     // hlt
                0xeb, 0xe8,                               // jmp to the start
            ];
            using FlatMachine machine = new(accelerator, code);
            CountingWindow window = new();
            machine.Ports.Map("bench", 0x80, 1, window);
            machine.Mmio.Map("bench", RegisterAddress, 4096, window);
            machine.Processor.Run();
            machine.Wake();
            machine.Memory.TryWrite(FlatMachine.CodeAddress + 3, Iterations);
            int seen = window.Count;
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            machine.Processor.Run();
            TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
            if (window.Count - seen != Iterations)
            {
                throw new InvalidOperationException($"{name}: the device saw {window.Count - seen} of {Iterations} accesses.");
            }

            if (run >= 0)
            {
                allocated.Add(GC.GetAllocatedBytesForCurrentThread() - before);
                time.Add(elapsed.TotalNanoseconds / Iterations);
            }
        }

        figures.Add(Figure.Of(name, accelerator.Name, "ns", time));
        figures.Add(Figure.Of($"allocated in {Iterations} of them", accelerator.Name, "bytes", allocated));
    }

    private sealed class CountingWindow : IRegisterWindow
    {
        public int Count { get; private set; }

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            data.Clear();
            Count++;
            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            Count++;
            return AccessResult.Done;
        }
    }
}
