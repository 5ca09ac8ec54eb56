using System.Runtime.InteropServices;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>A processor with 2 MiB of RAM, descriptor tables and stacks, that executes one instruction at a time.</summary>
internal sealed unsafe class SegmentedMachine : IDisposable
{
    private const int MemorySize = 0x20_0000;
    private const ProcessorFeatures AllFeatures = (ProcessorFeatures)ulong.MaxValue;

    private readonly byte* _ram;
    private readonly GuestMemory _memory;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;

    public SegmentedMachine()
    {
        _ram = (byte*)NativeMemory.AlignedAlloc(MemorySize, 4096);
        new Span<byte>(_ram, MemorySize).Clear();
        _memory = new GuestMemory([new GuestMemoryRegion(0, MemorySize, (nint)_ram)]);
        _partition = new SoftwarePartition(TestPartition.Settings(_memory, []));
        _processor = (SoftwareProcessor)_partition.CreateProcessor(0);
        Context = _processor.Context;
        FillTables();
    }

    public ProcessorContext* Context { get; }

    public uint Eflags
    {
        get => Flags.Get(Context);
        set => Flags.Set(Context, value);
    }

    public ref ulong Rsp => ref Context->Registers[4];

    public ushort Selector(int segment) => Context->Segments[segment].Selector;

    public ref SegmentCache Segment(int segment) => ref Context->Segments[segment];

    public T Read<T>(ulong address)
        where T : unmanaged => *(T*)(_ram + address);

    public void Write<T>(ulong address, T value)
        where T : unmanaged => *(T*)(_ram + address) = value;

    public void SetDescriptor(ushort selector, ulong value) => Write((selector & 4) != 0 ? Layout.Ldt + (selector & 0xfff8u) : Layout.Gdt + (selector & 0xfff8u), value);

    public ulong GetDescriptor(ushort selector) => Read<ulong>(Layout.Gdt + (selector & 0xfff8u));

    /// <summary>An IDT entry of eight bytes.</summary>
    public void SetGate(int vector, ulong gate) => Write(Layout.Idt + (uint)vector * 8, gate);

    /// <summary>An IDT entry of long mode.</summary>
    public void SetLongGate(int vector, uint type, int dpl, ushort selector, ulong offset, int stack = 0, bool present = true)
    {
        Write(Layout.Idt + (uint)vector * 16, Descriptors.Gate(type, dpl, selector, (uint)offset, stack, present));
        Write(Layout.Idt + (uint)vector * 16 + 8, offset >> 32);
    }

    public void EnterReal(ushort cs = 0x1000)
    {
        ResetMode();
        Context->Cr0 = 0x10;
        Context->IdtBase = 0;
        Context->IdtLimit = 0x3ff;
        for (int n = 0; n < 6; n++)
        {
            Segment(n) = new SegmentCache { Selector = 0, Base = 0, Limit = 0xffff, Attributes = SegmentAttributes.RealMode };
        }

        Segment(SegmentRegister.Cs).Selector = cs;
        Segment(SegmentRegister.Cs).Base = (uint)cs << 4;
        Context->Rip = 0x100;
        Rsp = 0x8000;
        Finish(0);
    }

    /// <summary>Protected mode with flat 32-bit segments, TR and LDTR loaded.</summary>
    public void EnterProtected(byte cpl)
    {
        ResetMode();
        Context->Cr0 = 0x11;
        LoadFlat(cpl, longMode: false);
        Context->IdtLimit = 0x7ff;
        LoadTask(Layout.TaskSelector);
        Finish(cpl);
    }

    /// <summary>64-bit mode (or compatibility mode), identity-mapped with writable user pages.</summary>
    public void EnterLong(byte cpl, bool compatibility = false)
    {
        ResetMode();
        Write(Layout.PageTables, Layout.PageTables + 0x1000 + 7UL);
        Write(Layout.PageTables + 0x1000, Layout.PageTables + 0x2000 + 7UL);
        Write(Layout.PageTables + 0x2000, 0x87UL);
        Context->Cr0 = 0x8000_0011;
        Context->Cr3 = Layout.PageTables;
        Context->Cr4 = 0x20;
        Context->Efer = 0xd01;
        LoadFlat(cpl, longMode: !compatibility);
        Context->IdtLimit = 0xfff;
        LoadTask(Layout.LongTask);
        Write(Layout.Task + 4, (ulong)Layout.KernelStack);
        Write(Layout.Task + 12, (ulong)Layout.Ring1Stack);
        Write(Layout.Task + 0x24, (ulong)Layout.InterruptStack);
        Finish(cpl);
    }

    public void EnterVirtual8086(int iopl)
    {
        EnterProtected(3);
        for (int n = 0; n < 6; n++)
        {
            SegmentLoader.FillVirtual8086(ref Segment(n), (ushort)(0x1000 + (n * 0x100)));
        }

        Context->Rip = 0x100;
        Rsp = 0x200;
        Eflags = 2u | Flags.Virtual8086 | Flags.Interrupt | ((uint)iopl << 12);
        Finish(3);
    }

    /// <summary>Maps all RAM one to one with small pages that CPL 3 may write, and lets CPL 0 write only where it may too (CR0.WP). In long mode it replaces the large page.</summary>
    public void EnablePaging()
    {
        const uint table = Layout.PageTables + 0x3000;
        bool longMode = Context->LongMode;
        for (uint page = 0; page < MemorySize >> 12; page++)
        {
            SetPage(page, 7);
        }

        if (longMode)
        {
            Write(Layout.PageTables + 0x2000, table + 7UL);
        }
        else
        {
            Write(Layout.PageTables, table + 7);
            Context->Cr3 = Layout.PageTables;
        }

        Context->Cr0 |= 0x8001_0000;
        ProcessorMode.Update(Context);
        MemoryUnit.FlushTlb(Context);
    }

    /// <summary>Gives a page other rights: those of its entry's bits 2:0.</summary>
    public void SetPage(uint page, uint rights)
    {
        const uint table = Layout.PageTables + 0x3000;
        if (Context->LongMode)
        {
            Write(table + (page * 8), ((ulong)page << 12) | rights);
        }
        else
        {
            Write(table + (page * 4), (page << 12) | rights);
        }

        MemoryUnit.FlushTlb(Context);
    }

    /// <summary>RAM as it was made.</summary>
    public void Reset()
    {
        new Span<byte>(_ram, MemorySize).Clear();
        FillTables();
    }

    /// <summary>Executes one instruction whose bytes are given, as if they lay at CS:RIP.</summary>
    public bool Execute(params byte[] code)
    {
        byte* bytes = stackalloc byte[16];
        code.CopyTo(new Span<byte>(bytes, 16));
        Instruction i;
        DecodeStatus status = Decoder.Decode(bytes, code.Length, Context->CodeSize, out i);
        Assert.Equal(DecodeStatus.Done, status);
        Assert.Equal(code.Length, i.Length);
        Assert.True(SystemBinder.TryBind(&i, AllFeatures, Context->CodeSize), "not bound");
        ulong rip = Context->Rip;
        Context->Outcome = HandlerOutcome.Continue;
        bool done = i.Handler(Context, &i);
        if (done && (i.Flags & InstructionFlags.EndsBlock) == 0)
        {
            Assert.Equal(rip, Context->Rip);
            Context->Rip = rip + i.Length;
        }

        return done || Context->Outcome == HandlerOutcome.Continue;
    }

    /// <summary>Executes an instruction that must fault, and change nothing else.</summary>
    public void ExpectFault(byte vector, uint? errorCode, params byte[] code)
    {
        ProcessorContext before = *Context;
        Assert.False(Execute(code));
        Assert.Equal(HandlerOutcome.Fault, Context->Outcome);
        AssertFault(vector, errorCode);
        AssertSame(before);
    }

    public void AssertFault(byte vector, uint? errorCode)
    {
        Assert.Equal((vector, errorCode), (Context->FaultVector, Context->FaultHasCode ? Context->FaultCode : null));
    }

    /// <summary>Nothing that software can see differs.</summary>
    public void AssertSame(in ProcessorContext before)
    {
        for (int n = 0; n < 16; n++)
        {
            Assert.Equal(before.Registers[n], Context->Registers[n]);
        }

        for (int n = 0; n < 6; n++)
        {
            Assert.Equal(before.Segments[n], Context->Segments[n]);
            Assert.Equal(before.SegmentBase[n], Context->SegmentBase[n]);
        }

        Assert.Equal(before.Rip, Context->Rip);
        Assert.Equal(before.SystemFlags, Context->SystemFlags);
        Assert.Equal(before.Cpl, Context->Cpl);
        Assert.Equal(before.TaskRegister, Context->TaskRegister);
        Assert.Equal(before.LocalDescriptorTable, Context->LocalDescriptorTable);
        Assert.Equal(before.GdtBase, Context->GdtBase);
        Assert.Equal(before.IdtBase, Context->IdtBase);
        Assert.Equal(before.Cr0, Context->Cr0);
        Assert.Equal(before.Cr3, Context->Cr3);
    }

    public bool Deliver(byte vector, EventKind kind, bool hasCode = false, uint code = 0) => Events.Deliver(Context, vector, kind, hasCode, code);

    public void LoadTask(ushort selector)
    {
        ulong d = GetDescriptor(selector);
        SystemSegments.Fill(ref Context->TaskRegister, selector, new Descriptor(d), new Descriptor(d).Base);
        Context->TaskRegister.Attributes |= DescriptorType.Busy;
        SetDescriptor(selector, d | (2UL << 40));
    }

    public void Dispose()
    {
        _processor.Dispose();
        _partition.Dispose();
        _memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private void ResetMode()
    {
        Context->Efer = 0;
        Context->Cr4 = 0;
        Context->Cr3 = 0;
        Context->SystemFlags = 2;
        Context->GdtBase = Layout.Gdt;
        Context->GdtLimit = Layout.GdtLimit;
        Context->IdtBase = Layout.Idt;
        for (int n = 0; n < 16; n++)
        {
            Context->Registers[n] = 0;
        }
    }

    private void LoadFlat(byte cpl, bool longMode)
    {
        ushort code = (longMode, cpl) switch
        {
            (true, 0) => Layout.LongCode,
            (true, _) => Layout.LongUserCode,
            (_, 0) => Layout.KernelCode,
            (_, 1) => Layout.Ring1Code,
            _ => Layout.UserCode,
        };
        ushort data = cpl switch { 0 => Layout.KernelData, 1 => Layout.Ring1Data, _ => Layout.UserData };
        for (int n = 0; n < 6; n++)
        {
            ushort selector = n == SegmentRegister.Cs ? code : data;
            SegmentLoader.Fill(ref Segment(n), selector, new Descriptor(GetDescriptor(selector)));
        }

        SystemSegments.Fill(ref Context->LocalDescriptorTable, Layout.LocalTable, new Descriptor(GetDescriptor(Layout.LocalTable)), Layout.Ldt);
        Context->Rip = Layout.Code;
        Rsp = cpl switch { 0 => Layout.KernelStack - 0x800, 1 => Layout.Ring1Stack - 0x800, _ => Layout.UserStack };
    }

    private void Finish(byte cpl)
    {
        Context->Cpl = cpl;
        ProcessorMode.Update(Context);
        MemoryUnit.FlushTlb(Context);
    }

    private void FillTables()
    {
        SetDescriptor(Layout.KernelCode, Descriptors.Flat(0x9a));
        SetDescriptor(Layout.KernelData, Descriptors.Flat(0x92));
        SetDescriptor(Layout.UserCode, Descriptors.Flat(0xfa));
        SetDescriptor(Layout.UserData, Descriptors.Flat(0xf2));
        SetDescriptor(Layout.TaskSelector, Descriptors.Segment(Layout.Task, 0xff, 0x89, 0));
        SetDescriptor(Layout.OtherTaskSelector, Descriptors.Segment(Layout.OtherTask, 0x67, 0x89, 0));
        SetDescriptor(Layout.LongCode, Descriptors.Segment(0, 0xf_ffff, 0x9a, 0xa));
        SetDescriptor(Layout.LongUserCode, Descriptors.Segment(0, 0xf_ffff, 0xfa, 0xa));
        SetDescriptor(Layout.LocalTable, Descriptors.Segment(Layout.Ldt, 0xff, 0x82, 0));
        SetDescriptor(Layout.ConformingCode, Descriptors.Flat(0x9e));
        SetDescriptor(Layout.Data16, Descriptors.Segment(0, 0xffff, 0x92, 0));
        SetDescriptor(Layout.Code16, Descriptors.Segment(0, 0xffff, 0x9a, 0));
        SetDescriptor(Layout.Ring1Code, Descriptors.Flat(0xba));
        SetDescriptor(Layout.Ring1Data, Descriptors.Flat(0xb2));
        SetDescriptor(Layout.ReadOnlyData, Descriptors.Flat(0x90));
        SetDescriptor(Layout.AbsentData, Descriptors.Flat(0x12));
        SetDescriptor(Layout.AbsentCode, Descriptors.Flat(0x1a));
        SetDescriptor(Layout.Task16Selector, Descriptors.Segment(Layout.Task16, 0x2b, 0x81, 0));
        SetDescriptor(Layout.ExecuteOnlyCode, Descriptors.Flat(0x98));
        SetDescriptor(Layout.SmallStack, Descriptors.Segment(Layout.KernelStack, 0xf, 0x92, 4));
        SetDescriptor(Layout.LongTask, Descriptors.Segment(Layout.Task, 0x67, 0x89, 0));
        Write(Layout.Task + 4, Layout.KernelStack);
        Write(Layout.Task + 8, (uint)Layout.KernelData);
        Write(Layout.Task + 12, Layout.Ring1Stack);
        Write(Layout.Task + 16, (uint)Layout.Ring1Data);
    }
}
