using System.Runtime.InteropServices;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Machines;

/// <summary>
/// A machine whose processors really run: 16 MiB of RAM, descriptor tables as in <see cref="Layout"/>, and an exception handler for every vector that
/// halts, so that what a program raised can be read from the address where it stopped.
/// </summary>
internal sealed unsafe class TestMachine : IDisposable
{
    public const uint MemorySize = 0x100_0000;

    /// <summary>Code, stack and data of CPL 3.</summary>
    public const uint UserCode = 0x20_0000;

    /// <summary>Stack of CPL 3.</summary>
    public const uint UserStack = 0x28_0000;

    /// <summary>4 KiB-mapped linear window of 2 MiB: see <see cref="Map"/>.</summary>
    public const uint Window = 0x4000_0000;

    /// <summary>Frames for the window.</summary>
    public const uint Frames = 0x40_0000;

    private const uint Handlers = Layout.Handler;
    private const uint WindowTable = Layout.PageTables + 0x5000;
    private readonly byte* _ram;
    private readonly SoftwareProcessor[] _processors;

    public TestMachine(int processors = 1, ProcessorFeatures features = FeatureEntries.All, nuint arena = 4 << 20, int physicalBits = 40, IPersonality? personality = null, bool translates = false)
    {
        _ram = (byte*)NativeMemory.AlignedAlloc(MemorySize, 4096);
        new Span<byte>(_ram, (int)MemorySize).Clear();
        Memory = new GuestMemory([new GuestMemoryRegion(0, MemorySize, (nint)_ram)]);
        PartitionSettings settings = TestPartition.Settings(Memory, FeatureEntries.Create(features)) with { PhysicalAddressBits = physicalBits, Personality = personality };
        Ports = settings.Ports;
        Mmio = settings.Mmio;
        Partition = new SoftwarePartition(settings, translates, blockArenaSize: arena);
        _processors = new SoftwareProcessor[processors];
        for (int n = 0; n < processors; n++)
        {
            _processors[n] = (SoftwareProcessor)Partition.CreateProcessor(n);
        }

        FillTables();
    }

    public GuestMemory Memory { get; }

    public AddressSpace Ports { get; }

    public AddressSpace Mmio { get; }

    public SoftwarePartition Partition { get; }

    public SoftwareProcessor Processor => _processors[0];

    public ProcessorContext* Context => _processors[0].Context;

    public byte* Ram => _ram;

    public SoftwareProcessor Get(int n) => _processors[n];

    public ref T At<T>(ulong address)
        where T : unmanaged => ref *(T*)(_ram + address);

    /// <summary>Writes code or data as a device does.</summary>
    public void Load(ulong address, params ReadOnlySpan<byte> bytes) => Assert.True(Memory.TryWrite(address, bytes));

    /// <summary>
    /// 64-bit mode. The first 2 MiB and all above 4 MiB are supervisor memory, mapped one to one by large pages; 2 to 4 MiB are open to CPL 3.
    /// </summary>
    public void EnterLong(byte cpl, int processor = 0)
    {
        Reset(processor, out ProcessorContext* c);
        At<ulong>(Layout.PageTables) = Layout.PageTables + 0x1007;
        At<ulong>(Layout.PageTables + 0x1000) = Layout.PageTables + 0x2007;
        At<ulong>(Layout.PageTables + 0x1008) = Layout.PageTables + 0x4007;
        At<ulong>(Layout.PageTables + 0x4000) = WindowTable + 7;
        for (uint n = 0; n < 8; n++)
        {
            At<ulong>(Layout.PageTables + 0x2000 + (n * 8)) = (n << 21) | (n == 1 ? 0xe7u : 0xe3u);
        }

        c->Cr0 = 0x8001_0033;
        c->Cr3 = Layout.PageTables;
        c->Cr4 = 0x620;
        c->Efer = 0xd01;
        Finish(c, cpl, true);
        c->IdtLimit = 0xfff;
    }

    /// <summary>Protected mode with flat 32-bit segments and no paging.</summary>
    public void EnterProtected(byte cpl, int processor = 0)
    {
        Reset(processor, out ProcessorContext* c);
        c->Cr0 = 0x33;
        c->Efer = 0;
        c->Cr4 = 0x600;
        Finish(c, cpl, false);
        c->IdtBase = Layout.Ldt + 0x800;
        for (uint n = 0; n < 32; n++)
        {
            At<ulong>(Layout.Ldt + 0x800 + (n * 8)) = Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Handlers + (n * 16));
        }

        c->IdtLimit = 0xff;
    }

    /// <summary>Sets the entry of a page of the window and returns the page's linear address.</summary>
    public uint Map(int page, ulong entry)
    {
        At<ulong>(WindowTable + ((uint)page * 8)) = entry;
        return Window + ((uint)page << 12);
    }

    public ulong Entry(int page) => At<ulong>(WindowTable + ((uint)page * 8));

    /// <summary>Runs from an address until the processor halts; answers the vector of the exception, or -1 if the program halted itself.</summary>
    public int Run(ulong rip, int processor = 0)
    {
        ProcessorContext* c = _processors[processor].Context;
        c->Rip = rip;
        return Continue(processor);
    }

    /// <summary>Goes on after a halt.</summary>
    public int Continue(int processor = 0)
    {
        ProcessorContext* c = _processors[processor].Context;
        c->Halted = false;
        ProcessorExit exit = _processors[processor].Run();
        Assert.Equal(ProcessorExitReason.Halted, exit.Reason);
        ulong offset = c->Rip - Handlers;
        return offset < 0x1000 && c->Cpl == 0 ? (int)(offset >> 4) : -1;
    }

    /// <summary>The top of the supervisor stack, in 64-bit mode: error code (if the vector has one), RIP, CS, RFLAGS, RSP, SS.</summary>
    public ulong Frame(int index) => At<ulong>(Context->Registers[4] + (ulong)(index * 8));

    public void Dispose()
    {
        foreach (SoftwareProcessor processor in _processors)
        {
            processor.Dispose();
        }

        Partition.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private void Reset(int processor, out ProcessorContext* c)
    {
        c = _processors[processor].Context;
        c->WaitingForStartUp = false;
        c->SystemFlags = 2;
        c->GdtBase = Layout.Gdt;
        c->GdtLimit = Layout.GdtLimit;
        c->IdtBase = Layout.Idt;
        for (int n = 0; n < 16; n++)
        {
            c->Registers[n] = 0;
        }
    }

    private void Finish(ProcessorContext* c, byte cpl, bool longMode)
    {
        ushort code = longMode ? cpl == 0 ? Layout.LongCode : Layout.LongUserCode : cpl == 0 ? Layout.KernelCode : Layout.UserCode;
        ushort data = cpl == 0 ? Layout.KernelData : Layout.UserData;
        for (int n = 0; n < 6; n++)
        {
            ushort selector = n == SegmentRegister.Cs ? code : data;
            SegmentLoader.Fill(ref c->Segments[n], selector, new Descriptor(At<ulong>(Layout.Gdt + (selector & 0xfff8u))));
        }

        ushort task = longMode ? Layout.LongTask : Layout.TaskSelector;
        Descriptor d = new(At<ulong>(Layout.Gdt + task));
        SystemSegments.Fill(ref c->TaskRegister, task, d, d.Base);
        c->TaskRegister.Attributes |= DescriptorType.Busy;
        c->Registers[4] = cpl == 0 ? Layout.KernelStack - 0x800u : UserStack;
        c->Cpl = cpl;
        if (longMode)
        {
            At<ulong>(Layout.Task + 4) = Layout.KernelStack;
        }
        else
        {
            At<uint>(Layout.Task + 4) = Layout.KernelStack;
            At<uint>(Layout.Task + 8) = Layout.KernelData;
        }

        ProcessorMode.Update(c);
        MemoryUnit.FlushTlb(c);
    }

    private void FillTables()
    {
        SetDescriptor(Layout.KernelCode, Descriptors.Flat(0x9a));
        SetDescriptor(Layout.KernelData, Descriptors.Flat(0x92));
        SetDescriptor(Layout.UserCode, Descriptors.Flat(0xfa));
        SetDescriptor(Layout.UserData, Descriptors.Flat(0xf2));
        SetDescriptor(Layout.LongCode, Descriptors.Segment(0, 0xf_ffff, 0x9a, 0xa));
        SetDescriptor(Layout.LongUserCode, Descriptors.Segment(0, 0xf_ffff, 0xfa, 0xa));
        SetDescriptor(Layout.TaskSelector, Descriptors.Segment(Layout.Task, 0xff, 0x89, 0));
        SetDescriptor(Layout.LongTask, Descriptors.Segment(Layout.Task, 0x67, 0x89, 0));
        for (uint n = 0; n < 256; n++)
        {
            At<ulong>(Layout.Idt + (n * 16)) = Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.LongCode, Handlers + (n * 16));
            Load(Handlers + (n * 16), 0xf4, 0x48, 0xcf); // hlt; iretq
        }
    }

    private void SetDescriptor(ushort selector, ulong value) => At<ulong>(Layout.Gdt + (selector & 0xfff8u)) = value;
}
