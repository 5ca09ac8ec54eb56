using System.Runtime.InteropServices;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>
/// A small machine for any accelerator: RAM mapped one to one, descriptor tables, a task-state segment, a device, and for every vector a handler that leaves
/// its number on the stack and halts.
/// </summary>
internal sealed unsafe class ProcessorMachine : IDisposable
{
    /// <summary>What programs may rely on; an accelerator may take away more.</summary>
    public static readonly CpuidEntry[] Features =
    [
        new(0, CpuidEntry.AnySubleaf, 0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
        new(1, CpuidEntry.AnySubleaf, 0x000c_06f0, 0, 0x0080_2001, 0x078b_ab71),
        new(0x8000_0000, CpuidEntry.AnySubleaf, 0x8000_0008, 0, 0, 0),
        new(0x8000_0001, CpuidEntry.AnySubleaf, 0, 0, 1, 0x2010_0800),
        new(0x8000_0008, CpuidEntry.AnySubleaf, 0x3024, 0, 0, 0),
    ];

    private readonly byte* _ram;

    public ProcessorMachine(IAccelerator accelerator, IReadOnlyList<CpuidEntry> cpuid, ulong tscFrequency, int processors = 1, IPersonality? personality = null)
    {
        _ram = (byte*)NativeMemory.AlignedAlloc(Layout.MemorySize, 4096);
        Ram.Clear();
        Memory = new GuestMemory([new GuestMemoryRegion(0, Layout.MemorySize, (nint)_ram)]);
        NoLock none = new();
        AddressSpace ports = new(AddressSpace.PortCount, none);
        AddressSpace mmio = new(1UL << 36, none);
        ports.Map("test", Layout.Ports, 16, Device);
        mmio.Map("test", Layout.Device, 0x1000, Device);
        Settings = new PartitionSettings
        {
            Memory = Memory,
            Ports = ports,
            Mmio = mmio,
            Clock = Clock,
            TscFrequency = tscFrequency,
            PhysicalAddressBits = 36,
            Cpuid = cpuid,
            Personality = personality,
        };
        Processors = new IVirtualProcessor[processors];
        try
        {
            Partition = accelerator.CreatePartition(Settings);
            for (int n = 0; n < processors; n++)
            {
                Processors[n] = Partition.CreateProcessor(n);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        FillTables();
    }

    public PartitionSettings Settings { get; }

    public ManualClock Clock { get; } = new();

    public GuestMemory Memory { get; }

    public RecordingDevice Device { get; } = new();

    public IPartition Partition { get; }

    public IVirtualProcessor[] Processors { get; }

    public IVirtualProcessor Processor => Processors[0];

    public Span<byte> Ram => new(_ram, Layout.MemorySize);

    public void Write(ulong address, ReadOnlySpan<byte> bytes) => Assert.True(Memory.TryWrite(address, bytes));

    public void Write(ulong address, ulong value) => Assert.True(Memory.TryWrite(address, value));

    public ulong Read(ulong address)
    {
        Assert.True(Memory.TryRead(address, out ulong value));
        return value;
    }

    public TestController Connect(int processor = 0)
    {
        TestController controller = new();
        Partition.ConnectInterruptController(Processors[processor], controller);
        return controller;
    }

    /// <summary>64-bit mode at a privilege level, all registers zero but RSP.</summary>
    public void StartLong(ulong rip, int privilege, int processor = 0)
    {
        ProcessorState state = Save(processor);
        Array.Clear(state.GeneralRegisters);
        state.Cr0 = 0x8001_0033;
        state.Cr3 = Layout.Tables;
        state.Cr4 = 0x620;
        SetEfer(state, 0xd01);
        ushort code = privilege == 0 ? Layout.KernelCode : Layout.UserCode;
        ushort data = privilege == 0 ? Layout.KernelData : Layout.UserData;
        uint level = (uint)privilege << 5;
        SetSegments(state, new SegmentState(code, 0, uint.MaxValue, 0xa09b | level), new SegmentState(data, 0, uint.MaxValue, 0xc093 | level));
        state.TaskRegister = new SegmentState(Layout.Task, Layout.TaskState, 0x67, 0x8b);
        state.GdtBase = Layout.Gdt;
        state.GdtLimit = 0x4f;
        state.IdtBase = Layout.Idt;
        state.IdtLimit = 0xfff;
        state.GeneralRegisters[4] = privilege == 0 ? Layout.KernelStack : Layout.UserStack;
        Start(state, rip, processor, privilege == 0 ? 2UL : 0x202);
    }

    /// <summary>32-bit protected mode without paging, at CPL 0.</summary>
    public void StartProtected(ulong rip)
    {
        ProcessorState state = Save();
        Array.Clear(state.GeneralRegisters);
        state.Cr0 = 0x33;
        state.Cr4 = 0x600;
        SetEfer(state, 0);
        SetSegments(state, new SegmentState(Layout.Code32, 0, uint.MaxValue, 0xc09b), new SegmentState(Layout.KernelData, 0, uint.MaxValue, 0xc093));
        state.GdtBase = Layout.Gdt;
        state.GdtLimit = 0x4f;
        state.GeneralRegisters[4] = Layout.KernelStack;
        Start(state, rip, 0);
    }

    /// <summary>Real mode.</summary>
    public void StartReal(ushort segment)
    {
        ProcessorState state = Save();
        Array.Clear(state.GeneralRegisters);
        state.Segments[1] = new SegmentState(segment, (ulong)segment << 4, 0xffff, 0x9b);
        state.GeneralRegisters[4] = 0x8000;
        Start(state, 0, 0);
    }

    public ProcessorState Save(int processor = 0)
    {
        ProcessorState state = new();
        Processors[processor].Save(state);
        return state;
    }

    /// <summary>Runs to HLT or what else ends it, for at most some seconds.</summary>
    public ProcessorExit Run(int processor = 0, int seconds = 60)
    {
        using Timer watchdog = new(static p => ((IVirtualProcessor)p!).RequestExit(), Processors[processor], seconds * 1000, Timeout.Infinite);
        return Processors[processor].Run();
    }

    /// <summary>Ends a halt, and goes on.</summary>
    public ProcessorExit Continue(int processor = 0)
    {
        ProcessorState state = Save(processor);
        state.Halted = false;
        Assert.True(Processors[processor].Restore(state));
        return Run(processor);
    }

    public void Dispose()
    {
        foreach (IVirtualProcessor? processor in Processors)
        {
            processor?.Dispose();
        }

        Partition?.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private static void SetEfer(ProcessorState state, ulong value)
    {
        state.Msrs.RemoveAll(static m => m.Index == 0xc000_0080);
        state.Msrs.Add(new MsrValue(0xc000_0080, value));
    }

    private static void SetSegments(ProcessorState state, SegmentState code, SegmentState data)
    {
        for (int n = 0; n < 6; n++)
        {
            state.Segments[n] = n == 1 ? code : data;
        }
    }

    private void Start(ProcessorState state, ulong rip, int processor, ulong flags = 2)
    {
        state.Rip = rip;
        state.Rflags = flags;
        state.Halted = false;
        state.WaitingForStartUp = false;
        Assert.True(Processors[processor].Restore(state), "The accelerator refuses the start of a program.");
    }

    private void FillTables()
    {
        Write(Layout.Gdt + Layout.KernelCode, 0x00af_9b00_0000_ffff);
        Write(Layout.Gdt + Layout.KernelData, 0x00cf_9300_0000_ffff);
        Write(Layout.Gdt + (Layout.UserData & 0xfff8u), 0x00cf_f300_0000_ffff);
        Write(Layout.Gdt + (Layout.UserCode & 0xfff8u), 0x00af_fb00_0000_ffff);
        Write(Layout.Gdt + Layout.Task, 0x0000_8b00_0000_0067 | (Layout.TaskState << 16));
        Write(Layout.Gdt + Layout.Code32, 0x00cf_9b00_0000_ffff);
        Write(Layout.TaskState + 4, Layout.KernelStack);
        Write(Layout.Tables, (Layout.Tables + 0x1000) | 7);
        Write(Layout.Tables + 0x1000, (Layout.Tables + 0x2000) | 7);
        Write(Layout.Tables + 0x1010, (Layout.Tables + 0x3000) | 7);
        Write(Layout.Tables + 0x2000, 0x00_00e7);
        Write(Layout.Tables + 0x2008, 0x20_00e7);
        Write(Layout.Tables + 0x3000, Layout.Device | 0xff);
        for (ulong n = 0; n < 256; n++)
        {
            // push n; hlt; jmp back to it
            ulong handler = Layout.Handlers + (n * 16);
            Write(handler, [0x68, (byte)n, 0, 0, 0, 0xf4, 0xeb, 0xfd]);
            Write(Layout.Idt + (n * 16), (handler & 0xffff) | ((ulong)Layout.KernelCode << 16) | 0xee00_0000_0000 | ((handler >> 16) << 48));
        }
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
}
