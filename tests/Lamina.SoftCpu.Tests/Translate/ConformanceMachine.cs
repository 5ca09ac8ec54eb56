using System.Runtime.InteropServices;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>A small machine in 64-bit mode with RAM mapped by 4 KiB pages, the same under every accelerator.</summary>
internal sealed unsafe class ConformanceMachine : IDisposable
{
    private readonly byte* _ram;
    private readonly ProcessorState _state = new();

    public ConformanceMachine(bool translates, int processors = 1, int codeSize = 4 << 20, TranslatorOptions? options = null, IMachineClock? clock = null, ulong tscFrequency = 1_000_000_000)
    {
        _ram = (byte*)NativeMemory.AlignedAlloc(Map.MemorySize, 4096);
        Ram.Clear();
        Memory = new GuestMemory([new GuestMemoryRegion(0, Map.MemorySize, (nint)_ram)]);
        NoLock none = new();
        AddressSpace mmio = new(1UL << 40, none);
        Device = new CountingDevice();
        mmio.Map("test", Map.Device, 0x1000, Device);
        PartitionSettings settings = new()
        {
            Memory = Memory,
            Ports = new AddressSpace(AddressSpace.PortCount, none),
            Mmio = mmio,
            Clock = clock ?? new StoppedClock(),
            TscFrequency = tscFrequency,
            PhysicalAddressBits = 40,
            Cpuid =
            [
                new CpuidEntry(1, CpuidEntry.AnySubleaf, 0x0001_0600, 0, 0x36da_3203, 0x0788_a931),
                new CpuidEntry(7, 0, 0, 0x2018_0529, 0, 0),
                new CpuidEntry(0x8000_0001, CpuidEntry.AnySubleaf, 0, 0, 0x21, 0x2c10_0800),
            ],
        };
        Partition = new SoftwarePartition(settings, translates, codeSize: codeSize, options: options);
        Processors = [.. Enumerable.Range(0, processors).Select(n => (SoftwareProcessor)Partition.CreateProcessor(n))];
        FillTables();
    }

    public GuestMemory Memory { get; }

    public SoftwarePartition Partition { get; }

    public SoftwareProcessor[] Processors { get; }

    public CountingDevice Device { get; }

    /// <summary>Address of the task-state segment, or 0.</summary>
    public ulong TaskState { get; set; }

    public Span<byte> Ram => new(_ram, Map.MemorySize);

    /// <summary>Writes as a device would: code there is noticed.</summary>
    public void Write<T>(ulong address, T value)
        where T : unmanaged => Assert.True(Memory.TryWrite(address, value));

    public void Write(ulong address, ReadOnlySpan<byte> bytes) => Assert.True(Memory.TryWrite(address, bytes));

    public T Read<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(Memory.TryRead(address, out T value));
        return value;
    }

    /// <summary>A page-table entry of the first 2 MiB.</summary>
    public void SetPage(ulong linear, ulong entry) => Write(Map.PageTable + ((linear >> 12) * 8), entry);

    public void Start(StartState start, int processor = 0)
    {
        SoftwareProcessor p = Processors[processor];
        p.Save(_state);
        _state.Cr0 = 0x8001_0033;
        _state.Cr2 = 0;
        _state.Cr3 = Map.Tables;
        _state.Cr4 = 0x4_06a0;
        _state.Halted = false;
        _state.WaitingForStartUp = false;
        _state.InterruptShadow = false;
        _state.Msrs.RemoveAll(m => m.Index == 0xc000_0080);
        _state.Msrs.Add(new MsrValue(0xc000_0080, 0xd00));

        // These are the same as the segments' bases below, and are restored behind them.
        _state.Msrs.RemoveAll(static m => m.Index is 0xc000_0100 or 0xc000_0101);
        _state.Msrs.Add(new MsrValue(0xc000_0100, start.FsBase));
        _state.Msrs.Add(new MsrValue(0xc000_0101, start.GsBase));
        foreach ((uint index, ulong value) in start.Msrs)
        {
            _state.Msrs.RemoveAll(m => m.Index == index);
            _state.Msrs.Add(new MsrValue(index, value));
        }

        for (int n = 0; n < 6; n++)
        {
            ulong origin = n == 4 ? start.FsBase : n == 5 ? start.GsBase : 0;
            _state.Segments[n] = new SegmentState(n == 1 ? Map.CodeSelector : Map.DataSelector, origin, uint.MaxValue, n == 1 ? 0xa09bu : 0xc093u);
        }

        if (TaskState != 0)
        {
            _state.TaskRegister = new SegmentState(0x18, TaskState, 0x67, 0x8b);
        }

        _state.GdtBase = Map.Gdt;
        _state.GdtLimit = 0x2f;
        _state.IdtBase = Map.Idt;
        _state.IdtLimit = 0xfff;
        start.Registers.CopyTo(_state.GeneralRegisters, 0);
        _state.Rip = start.Rip;
        _state.Rflags = start.Flags | 2;
        _state.Xcr0 = 7;
        _state.XsaveArea[512] = 7;
        start.Vectors.CopyTo(_state.XsaveArea.AsSpan(160));
        start.UpperVectors.CopyTo(_state.XsaveArea.AsSpan(576));
        Assert.True(p.Restore(_state));
    }

    /// <summary>Runs to HLT (or what else ends it), for at most some seconds.</summary>
    public ProcessorExitReason Run(int processor = 0, int seconds = 20)
    {
        SoftwareProcessor p = Processors[processor];
        using Timer watchdog = new(static p => ((SoftwareProcessor)p!).RequestExit(), p, seconds * 1000, Timeout.Infinite);
        return p.Run().Reason;
    }

    public ProcessorState Save(int processor = 0)
    {
        ProcessorState state = new();
        Processors[processor].Save(state);
        return state;
    }

    public void Dispose()
    {
        foreach (SoftwareProcessor p in Processors)
        {
            p.Dispose();
        }

        Partition.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private void FillTables()
    {
        Write(Map.Gdt + Map.CodeSelector, 0x00af_9b00_0000_ffffUL);
        Write(Map.Gdt + Map.DataSelector, 0x00cf_9300_0000_ffffUL);
        Write(Map.Tables, (Map.Tables + 0x1000) | 7);
        Write(Map.Tables + 0x800, (Map.Tables + 0x1000) | 7);
        Write(Map.Tables + 0x1000, (Map.Tables + 0x2000) | 7);
        Write(Map.Tables + 0x2000, Map.PageTable | 7);
        for (ulong page = 0; page < 512; page++)
        {
            // Page zero stays absent; behind RAM are the device, and aliases of RAM.
            ulong physical = (page << 12) >= Map.Device ? page << 12 : (page << 12) % Map.MemorySize;
            Write(Map.PageTable + (page * 8), page == 0 ? 0 : physical | 7);
        }
    }
}
