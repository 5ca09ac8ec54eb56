using System.Diagnostics;
using Lamina.Interop.Memory;
using Lamina.Kvm;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Processors;

namespace Lamina.Bench;

/// <summary>A loop of arithmetic and loads in ring 3 under KVM, and the same bytes executed by this process; in turn, and with the same result.</summary>
internal static unsafe class ProgramModeBench
{
    private const ulong Iterations = 100_000_000;
    private const int DataSize = 0x1_0000;

    // xor eax, eax; mov edx, 1; top: add rax, rdx; xor rdx, rax; rol rdx, 5; mov r9, rax; and r9d, fff8h; add rax, [rsi + r9]; dec rcx; jnz top
    private static readonly byte[] Loop =
    [
        0x31, 0xc0, 0xba, 1, 0, 0, 0,
        0x48, 0x01, 0xd0, 0x48, 0x31, 0xc2, 0x48, 0xc1, 0xc2, 5, 0x49, 0x89, 0xc1, 0x41, 0x81, 0xe1, 0xf8, 0xff, 0, 0, 0x4a, 0x03, 0x04, 0x0e, 0x48, 0xff, 0xc9, 0x75, 0xe3,
    ];

    public static List<Figure> Run(int runs)
    {
        if (KvmHost.FindProblem() is { } problem)
        {
            Console.Error.WriteLine($"KVM cannot be measured: {problem}");
            return [];
        }

        byte[] data = new byte[DataSize];
        new Random(1).NextBytes(data);
        List<double> guest = [];
        List<double> native = [];
        for (int run = 0; run < runs; run++)
        {
            (double time, ulong result) = RunGuest(data);
            (double nativeTime, ulong nativeResult) = RunNative(data);
            if (result != nativeResult)
            {
                throw new InvalidOperationException($"The guest computed {result:x}, and this process {nativeResult:x}.");
            }

            guest.Add(time);
            native.Add(nativeTime);
        }

        return
        [
            Figure.Of("an iteration in ring 3", "KVM", "ns", guest),
            Figure.Of("an iteration in ring 3", "native", "ns", native),
            Figure.Of("ratio", "KVM / native", "", guest.Zip(native, static (g, n) => g / n)),
        ];
    }

    private static (double Time, ulong Result) RunGuest(byte[] data)
    {
        const ulong Directory = 0x3000;
        using KvmAccelerator accelerator = new(new KvmOptions { Controllers = KvmControllers.Off });

        // mov edx, 80h; out dx, al
        using FlatMachine machine = new(accelerator, [.. Loop, 0xba, 0x80, 0, 0, 0, 0xee]);
        LeavingWindow window = new(machine.Processor);
        machine.Ports.Map("bench", 0x80, 1, window);
        machine.Memory.TryWrite(FlatMachine.DataAddress, data);

        // For programs, too.
        machine.Memory.TryWrite(0x1000, 0x2007UL);
        machine.Memory.TryWrite(0x2000, Directory | 7);
        for (ulong n = 0; n < 512; n++)
        {
            machine.Memory.TryWrite(Directory + (8 * n), (n << 21) | 0x87);
        }

        double time = 0;
        ProcessorState state = new();
        foreach (ulong count in (ulong[])[1000, Iterations])
        {
            machine.Processor.Save(state);
            for (int n = 0; n < 6; n++)
            {
                state.Segments[n] = new SegmentState((ushort)(n == 1 ? 0x33 : 0x2b), 0, uint.MaxValue, n == 1 ? 0xa0fbu : 0xc0f3u);
            }

            state.Rip = FlatMachine.CodeAddress;
            state.Rflags = 0x3002;
            state.GeneralRegisters[1] = count;
            state.GeneralRegisters[6] = FlatMachine.DataAddress;
            if (!machine.Processor.Restore(state))
            {
                throw new InvalidOperationException("KVM refuses ring 3.");
            }

            long start = Stopwatch.GetTimestamp();
            ProcessorExit exit = machine.Processor.Run();
            time = Stopwatch.GetElapsedTime(start).TotalNanoseconds / count;
            if (exit.Reason != ProcessorExitReason.Requested)
            {
                throw new InvalidOperationException($"The loop ended with {exit}.");
            }
        }

        machine.Processor.Save(state);
        return (time, state.GeneralRegisters[0]);
    }

    private static (double Time, ulong Result) RunNative(byte[] data)
    {
        // mov rcx, rdi; the loop; ret
        byte[] code = [0x48, 0x89, 0xf9, .. Loop, 0xc3];
        using ExecutableMemory memory = ExecutableMemory.Map(4096);

        // SAFETY: the code is a function of two arguments after the System V convention, and changes only registers that it may.
        code.CopyTo(new Span<byte>(memory.WritePointer, code.Length));
        delegate* unmanaged<ulong, byte*, ulong> function = (delegate* unmanaged<ulong, byte*, ulong>)memory.ExecutePointer;
        fixed (byte* p = data)
        {
            _ = function(1000, p);
            long start = Stopwatch.GetTimestamp();
            ulong result = function(Iterations, p);
            return (Stopwatch.GetElapsedTime(start).TotalNanoseconds / Iterations, result);
        }
    }

    private sealed class LeavingWindow(IVirtualProcessor processor) : IRegisterWindow
    {
        public AccessResult Read(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            processor.RequestExit();
            return AccessResult.Done;
        }
    }
}
