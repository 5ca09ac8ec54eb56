using System.Diagnostics;
using System.Runtime.InteropServices;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;

namespace Lamina.Bench;

/// <summary>One processor in 64-bit mode over identity-mapped RAM, with no devices: what is measured is the processor alone.</summary>
internal sealed unsafe class FlatMachine : IDisposable
{
    public const ulong CodeAddress = 0x10_0000;
    public const ulong DataAddress = 0x20_0000;
    private const ulong Tables = 0x1000;

    private readonly void* _ram;
    private readonly IPartition _partition;

    public FlatMachine(IAccelerator accelerator, ReadOnlySpan<byte> code, ulong memorySize = 16 << 20)
    {
        _ram = NativeMemory.AlignedAlloc((nuint)memorySize, 4096);
        new Span<byte>(_ram, (int)memorySize).Clear();
        Memory = new GuestMemory([new GuestMemoryRegion(0, memorySize, (nint)_ram)]);
        Ports = new AddressSpace(AddressSpace.PortCount, new NoLock());
        Mmio = new AddressSpace(1UL << 40, new NoLock());
        PartitionSettings settings = new()
        {
            Memory = Memory,
            Ports = Ports,
            Mmio = Mmio,
            Clock = new WallClock(),
            TscFrequency = 1_000_000_000,
            PhysicalAddressBits = 40,
            Cpuid = [new CpuidEntry(1, CpuidEntry.AnySubleaf, 0, 0, 0x0080_0000, 0x0788_a931)],
        };
        _partition = accelerator.CreatePartition(settings);
        Processor = _partition.CreateProcessor(0);
        Memory.TryWrite(CodeAddress, code);

        // PML4 -> PDPT -> one directory of 2 MiB pages.
        Memory.TryWrite(Tables, (Tables + 0x1000) | 3);
        Memory.TryWrite(Tables + 0x1000, (Tables + 0x2000) | 3);
        for (ulong n = 0; n < 512; n++)
        {
            Memory.TryWrite(Tables + 0x2000 + (8 * n), (n << 21) | 0x83);
        }

        ProcessorState state = new();
        Processor.Save(state);
        state.Cr0 = 0x8000_0033;
        state.Cr3 = Tables;
        state.Cr4 = 0x6a0;
        state.Msrs.RemoveAll(m => m.Index == 0xc000_0080);
        state.Msrs.Add(new MsrValue(0xc000_0080, 0x500));
        for (int n = 0; n < 6; n++)
        {
            state.Segments[n] = new SegmentState((ushort)(n == 1 ? 8 : 16), 0, uint.MaxValue, n == 1 ? 0xa09bu : 0xc093u);
        }

        state.Rip = CodeAddress;
        state.Rflags = 2;
        state.GeneralRegisters[4] = 0x8_0000;
        if (!Processor.Restore(state))
        {
            throw new InvalidOperationException("The processor refused the benchmark's starting state.");
        }
    }

    public GuestMemory Memory { get; }

    public AddressSpace Ports { get; }

    public AddressSpace Mmio { get; }

    public IVirtualProcessor Processor { get; }

    /// <summary>Ends a HLT, as an interrupt would, without one.</summary>
    public void Wake()
    {
        ProcessorState state = new();
        Processor.Save(state);
        state.Halted = false;
        Processor.Restore(state);
    }

    public void Dispose()
    {
        Processor.Dispose();
        _partition.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private sealed class NoLock : ILock
    {
        public void Enter()
        {
        }

        public void Exit()
        {
        }
    }

    private sealed class WallClock : IMachineClock
    {
        public ulong Now => (ulong)Stopwatch.GetElapsedTime(0).Ticks * 100;

        public ulong UnixTime => Now;

        public IClockTimer CreateTimer(ITimerTarget target) => throw new NotSupportedException();
    }
}
