using System.Diagnostics;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Bench;

/// <summary>An integer loop of six instructions: speed, and bytes allocated while it runs.</summary>
internal static class LoopBench
{
    private const int Iterations = 20_000_000;
    private const int InstructionsPerIteration = 6;

    public static List<Figure> Run(int runs)
    {
        List<Figure> figures = [];
        foreach (IAccelerator accelerator in (IAccelerator[])[new InterpreterAccelerator(), new TranslatorAccelerator()])
        {
            List<double> speed = [];
            List<double> allocated = [];
            Measure(accelerator, speed, allocated);
            speed.Clear();
            allocated.Clear();
            for (int run = 0; run < runs; run++)
            {
                Measure(accelerator, speed, allocated);
            }

            figures.Add(Figure.Of("integer loop", accelerator.Name, "million instructions/s", speed));
            figures.Add(Figure.Of("allocated in the loop", accelerator.Name, "bytes", allocated));
        }

        return figures;
    }

    private static void Measure(IAccelerator accelerator, List<double> speed, List<double> allocated)
    {
        byte[] code =
        [
            0x48, 0xc7, 0xc1, 0x00, 0x00, 0x00, 0x00, // mov rcx, count
            0x31, 0xc0,                               // xor eax, eax
            0xba, 0x01, 0x00, 0x00, 0x00,             // mov edx, 1
            0x48, 0x01, 0xd0,                         // top: add rax, rdx
            0x48, 0x31, 0xc2,                         // xor rdx, rax
            0x48, 0xc1, 0xc2, 0x05,                   // rol rdx, 5
            0x48, 0x8d, 0x44, 0x10, 0x07,             // lea rax, [rax + rdx + 7]
            0x48, 0xff, 0xc9,                         // dec rcx
            0x75, 0xec,                               // jnz top
            0xf4,                                     // hlt
            0xeb, 0xdb,                               // jmp to the start
        ];
        BitConverter.TryWriteBytes(code.AsSpan(3), 1000);
        using FlatMachine machine = new(accelerator, code);

        // A short round first: what is measured is the steady state.
        machine.Processor.Run();
        machine.Wake();
        machine.Memory.TryWrite(FlatMachine.CodeAddress + 3, Iterations);
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        machine.Processor.Run();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        allocated.Add(GC.GetAllocatedBytesForCurrentThread() - before);
        speed.Add((double)Iterations * InstructionsPerIteration / seconds / 1e6);
    }
}
