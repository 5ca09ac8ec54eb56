using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>
/// Whatever word of a stack is in a page that is not there, returns, calls through gates and deliveries of events fault for it and leave everything else as it was
/// (Intel SDM volume 3, section 6.5, on the restart of instructions).
/// </summary>
public sealed unsafe class StackFaultTests : IDisposable
{
    private const uint Present = 0x40_0000;
    private const uint Absent = 0x40_1000;
    private const uint Above = 0x40_2000;
    private const byte PageFault = 14;
    private const uint Write = 2;
    private const uint User = 4;
    private const uint Frame = Layout.Data;
    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    // What is on the stack, in its order, at CPL 0 in 64-bit code.
    [Theory]
    [InlineData("48cf", new ulong[] { Layout.Handler, Layout.LongCode, 2, Layout.KernelStack, Layout.KernelData })]
    [InlineData("48cf", new ulong[] { Layout.Handler, Layout.LongUserCode, 2, Layout.UserStack, Layout.UserData })]
    [InlineData("48cb", new ulong[] { Layout.Handler, Layout.LongCode })]
    [InlineData("48cb", new ulong[] { Layout.Handler, Layout.LongUserCode, Layout.UserStack, Layout.UserData })]
    [InlineData("0fa1", new ulong[] { 0 })]
    public void PopsOf64Bits(string code, ulong[] words)
    {
        for (int there = 0; there <= words.Length; there++)
        {
            EnterLong(0);
            Fill(words, there, sizeof(ulong));
            Expect(there == words.Length, 0, code);
        }
    }

    [Theory]
    [InlineData(0, "cf", 4, new ulong[] { Layout.Handler, Layout.KernelCode, 2 })]
    [InlineData(0, "cf", 4, new ulong[] { Layout.Handler, Layout.UserCode, 2, Layout.UserStack, Layout.UserData })]
    [InlineData(0, "cf", 4, new ulong[] { 0x100, 0x1000, 0x2_0002, 0x200, 0x1100, 1, 2, 3, 4 })] // to virtual-8086 mode
    [InlineData(0, "66cf", 2, new ulong[] { 0x8000, Layout.KernelCode, 2 })]
    [InlineData(0, "66cf", 2, new ulong[] { 0x8000, Layout.UserCode, 2, 0x8000, Layout.UserData })]
    [InlineData(0, "cb", 4, new ulong[] { Layout.Handler, Layout.KernelCode })]
    [InlineData(0, "cb", 4, new ulong[] { Layout.Handler, Layout.UserCode, Layout.UserStack, Layout.UserData })]
    [InlineData(0, "66cb", 2, new ulong[] { 0x8000, Layout.KernelCode })]
    [InlineData(3, "cb", 4, new ulong[] { Layout.Handler, Layout.UserCode })]
    [InlineData(3, "cf", 4, new ulong[] { Layout.Handler, Layout.UserCode, 2 })]
    [InlineData(0, "07", 4, new ulong[] { Layout.KernelData })]
    public void PopsOf32And16Bits(byte cpl, string code, int size, ulong[] words)
    {
        for (int there = 0; there <= words.Length; there++)
        {
            EnterPaged(cpl);
            Fill(words, there, size);
            Expect(there == words.Length, cpl == 3 ? User : 0, code);
        }
    }

    // From CPL 3 to a stack that the task-state segment names; SS, RSP, RFLAGS, CS, RIP.
    [Theory]
    [InlineData(DescriptorType.InterruptGate)]
    [InlineData(DescriptorType.TrapGate)]
    public void DeliveryTo64BitHandlers(uint type)
    {
        // The stack pointer is aligned: words are missed in pairs.
        for (int there = 0; there <= 6; there += 2)
        {
            EnterLong(3);
            _machine.SetLongGate(0x40, type, 3, Layout.LongCode, Layout.Handler);
            _machine.Write(Layout.Task + 4, (ulong)(Above + (there * sizeof(ulong))));
            Deliver(there == 6, Write);
        }
    }

    [Theory]
    [InlineData(DescriptorType.InterruptGate, 4)]
    [InlineData(DescriptorType.TrapGate16, 2)]
    public void DeliveryToInnerHandlers(uint type, int size)
    {
        for (int there = 0; there <= 5; there++)
        {
            EnterPaged(3);
            _machine.SetGate(0x40, Descriptors.Gate(type, 3, Layout.KernelCode, Layout.Handler));
            _machine.Write(Layout.Task + 4, (uint)(Above + (there * size)));
            Deliver(there == 5, Write);
        }
    }

    [Theory]
    [InlineData(DescriptorType.InterruptGate, 4)]
    [InlineData(DescriptorType.InterruptGate16, 2)]
    public void DeliveryToHandlersOfTheSameLevel(uint type, int size)
    {
        for (int there = 0; there <= 4; there++)
        {
            EnterPaged(0);
            _machine.SetGate(0x40, Descriptors.Gate(type, 0, Layout.KernelCode, Layout.Handler));
            _machine.Rsp = (uint)(Above + (there * size));
            ProcessorContext before = *_machine.Context;
            bool delivered = Events.TryDeliver(_machine.Context, 0x40, EventKind.Exception, true, 0x1234, _machine.Context->Rip);
            Judge(there == 4, delivered, Write, before);
        }
    }

    // GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP.
    [Fact]
    public void DeliveryFromVirtual8086Mode()
    {
        for (int there = 0; there <= 9; there++)
        {
            _machine.EnterVirtual8086(3);
            EnablePages();
            _machine.SetGate(0x40, Descriptors.Gate(DescriptorType.InterruptGate, 3, Layout.KernelCode, Layout.Handler));
            _machine.Write(Layout.Task + 4, (uint)(Above + (there * sizeof(uint))));
            Deliver(there == 9, Write);
        }
    }

    // SS, ESP, the parameters, CS, EIP.
    [Theory]
    [InlineData(DescriptorType.CallGate, 4, 0)]
    [InlineData(DescriptorType.CallGate, 4, 3)]
    [InlineData(DescriptorType.CallGate16, 2, 2)]
    public void CallsThroughGates(uint type, int size, int parameters)
    {
        for (int there = 0; there <= parameters + 4; there++)
        {
            EnterPaged(3);
            _machine.SetDescriptor(Layout.Free, Descriptors.Gate(type, 3, Layout.KernelCode, Layout.Handler, parameters));
            _machine.Write(Layout.Task + 4, (uint)(Above + (there * size)));
            Expect(there == parameters + 4, Write, "9a00000000" + Selector(Layout.Free));
        }

        for (int there = 0; there < parameters; there++)
        {
            EnterPaged(3);
            _machine.Write(Layout.Task + 4, Layout.KernelStack);
            _machine.Rsp = (uint)(Absent - (there * size));
            Expect(false, User, "9a00000000" + Selector(Layout.Free));
        }
    }

    [Theory]
    [InlineData(0, Layout.LongCode, 2)]
    [InlineData(3, Layout.LongCode, 4)]
    public void CallsThrough64BitGates(byte cpl, ushort target, int words)
    {
        for (int there = 0; there <= words; there++)
        {
            EnterLong(cpl);
            _machine.SetDescriptor(Layout.Free, Descriptors.Gate(DescriptorType.CallGate, 3, target, Layout.Handler));
            _machine.SetDescriptor(Layout.Free + 8, 0);
            _machine.Write(Layout.Data + 0x2000, (ulong)Layout.Free << 32);
            _machine.Context->Registers[3] = Layout.Data + 0x2000;
            uint stack = (uint)(Above + (there * sizeof(ulong)));
            _machine.Write(Layout.Task + 4, (ulong)stack);
            _machine.Rsp = cpl == 0 ? stack : _machine.Rsp;
            Expect(there == words, Write, "ff1b");
        }
    }

    [Theory]
    [InlineData(0, Layout.KernelCode)]
    [InlineData(3, Layout.UserCode)]
    public void FarCalls(byte cpl, ushort target)
    {
        for (int there = 0; there <= 2; there++)
        {
            EnterPaged(cpl);
            _machine.Rsp = (uint)(Above + (there * sizeof(uint)));
            Expect(there == 2, Write | (cpl == 3 ? User : 0), "9a00800100" + Selector(target));
        }
    }

    // Words at the end of the page that is there, those beyond it in the one that is not.
    private void Fill(ulong[] words, int there, int size)
    {
        for (int n = 0; n < there; n++)
        {
            uint place = (uint)(Frame + 0x1000 - ((there - n) * size));
            switch (size)
            {
                case 2: _machine.Write(place, (ushort)words[n]); break;
                case 4: _machine.Write(place, (uint)words[n]); break;
                default: _machine.Write(place, words[n]); break;
            }
        }

        _machine.Rsp = (uint)(Absent - (there * size));
    }

    private void Deliver(bool passes, uint errorCode)
    {
        ProcessorContext before = *_machine.Context;
        Judge(passes, Events.TryDeliver(_machine.Context, 0x40, EventKind.ExternalInterrupt, false, 0, _machine.Context->Rip), errorCode, before);
    }

    private void Judge(bool passes, bool passed, uint errorCode, in ProcessorContext before)
    {
        Assert.Equal(passes, passed);
        if (!passes)
        {
            _machine.AssertFault(PageFault, errorCode);
            _machine.AssertSame(before);
            Assert.InRange(_machine.Context->Cr2, Absent, Above - 1);
        }
    }

    private void Expect(bool passes, uint errorCode, string code)
    {
        byte[] bytes = Convert.FromHexString(code);
        if (passes)
        {
            Assert.True(_machine.Execute(bytes));
            return;
        }

        _machine.ExpectFault(PageFault, errorCode, bytes);
        Assert.InRange(_machine.Context->Cr2, Absent, Above - 1);
    }

    private void EnterLong(byte cpl)
    {
        const uint table = Layout.PageTables + 0x3000;
        _machine.EnterLong(cpl);
        _machine.Write(Layout.PageTables + 0x2010, table | 7UL);
        _machine.Write(table, Frame | 7UL);
        _machine.Write(table + 8, 0UL);
        _machine.Write(table + 16, (Frame + 0x1000) | 7UL);
        MemoryUnit.FlushTlb(_machine.Context);
    }

    private void EnterPaged(byte cpl)
    {
        _machine.EnterProtected(cpl);
        EnablePages();
    }

    // 4 MiB one to one, and the three pages.
    private void EnablePages()
    {
        const uint directory = Layout.PageTables + 0x4000;
        const uint table = Layout.PageTables + 0x5000;
        const uint pageSizes = 0x10;
        _machine.Write(directory, 0x87u);
        _machine.Write(directory + 4, table | 7);
        _machine.Write(table, Frame | 7);
        _machine.Write(table + 4, 0u);
        _machine.Write(table + 8, (Frame + 0x1000) | 7);
        ProcessorContext* c = _machine.Context;
        c->Cr3 = directory;
        c->Cr4 |= pageSizes;
        c->Cr0 |= 0x8000_0000;
        ProcessorMode.Update(c);
        MemoryUnit.FlushTlb(c);
    }

    private static string Selector(ushort selector) => Convert.ToHexString([(byte)selector, (byte)(selector >> 8)]);
}
