using System.Diagnostics;
using Lamina.Interop.Memory;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;

namespace Lamina.Vmm.Processors;

/// <summary>How fast an accelerator is on this host, tried out.</summary>
public static class AcceleratorSpeed
{
    private const ulong MemorySize = 4 << 20;
    private const ulong Tables = 0x1000;
    private const ulong Code = 0x10_0000;
    private const int WarmUp = 2000;
    private const int Measured = 1_000_000;
    private const int InstructionsPerRound = 2;
    private const int Attempts = 3;

    /// <summary>Nanoseconds for an instruction of a guest's kernel, by a loop of DEC and JNZ in 64-bit mode: some milliseconds' work.</summary>
    /// <param name="accelerator">An accelerator in software.</param>
    /// <exception cref="NotSupportedException">It does not take the state, or does not come to the loop's end.</exception>
    public static double Measure(IAccelerator accelerator)
    {
        using MemoryMapping mapping = MemoryMapping.CreateAnonymous(MemorySize, hugePages: false);
        using GuestMemory memory = new([new GuestMemoryRegion(0, MemorySize, mapping.Address)]);
        using IPartition partition = accelerator.CreatePartition(new PartitionSettings
        {
            Memory = memory,
            Ports = new AddressSpace(AddressSpace.PortCount, new MonitorLock()),
            Mmio = new AddressSpace(1UL << 40, new MonitorLock()),
            Clock = new HostClock(),
            TscFrequency = 1_000_000_000,
            PhysicalAddressBits = 40,
            Cpuid = [new CpuidEntry(1, CpuidEntry.AnySubleaf, 0, 0, 0, 0)],
        });
        using IVirtualProcessor processor = partition.CreateProcessor(0);

        // dec rcx; jnz; hlt. One page of 2 MiB for all.
        memory.TryWrite(Code, [0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4]);
        memory.TryWrite(Tables, (Tables + 0x1000) | 3);
        memory.TryWrite(Tables + 0x1000, (Tables + 0x2000) | 3);
        memory.TryWrite(Tables + 0x2000, 0x83UL);
        Run(processor, WarmUp);
        TimeSpan entry = FindShortest(processor, 1);
        TimeSpan loop = FindShortest(processor, Measured);
        return Math.Max(0, (loop - entry).TotalNanoseconds) / ((double)InstructionsPerRound * Measured);
    }

    // The host does other things too.
    private static TimeSpan FindShortest(IVirtualProcessor processor, ulong rounds)
    {
        TimeSpan shortest = TimeSpan.MaxValue;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            TimeSpan time = Run(processor, rounds);
            shortest = time < shortest ? time : shortest;
        }

        return shortest;
    }

    private static TimeSpan Run(IVirtualProcessor processor, ulong rounds)
    {
        const uint extendedFeatures = 0xc000_0080;
        ProcessorState state = new();
        processor.Save(state);
        state.Halted = false;
        state.Cr0 = 0x8000_0033;
        state.Cr3 = Tables;
        state.Cr4 = 0x20;
        state.Msrs.RemoveAll(static m => m.Index == extendedFeatures);
        state.Msrs.Add(new MsrValue(extendedFeatures, 0x500));
        for (int n = 0; n < 6; n++)
        {
            state.Segments[n] = new SegmentState((ushort)(n == 1 ? 8 : 16), 0, uint.MaxValue, n == 1 ? 0xa09bu : 0xc093u);
        }

        state.Rip = Code;
        state.Rflags = 2;
        state.GeneralRegisters[1] = rounds;
        if (!processor.Restore(state))
        {
            throw new NotSupportedException("the processor does not take the loop's state");
        }

        long start = Stopwatch.GetTimestamp();
        ProcessorExit exit = processor.Run();
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        return exit.Reason == ProcessorExitReason.Halted ? time : throw new NotSupportedException($"the loop ended with {exit}");
    }

    private sealed class HostClock : IMachineClock
    {
        public ulong Now => (ulong)Stopwatch.GetElapsedTime(0).Ticks * 100;

        public ulong UnixTime => Now;

        public IClockTimer CreateTimer(ITimerTarget target) => throw new NotSupportedException("the loop has no timers");
    }
}
