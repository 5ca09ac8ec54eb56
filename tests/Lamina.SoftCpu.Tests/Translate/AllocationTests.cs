using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>What runs allocates nothing, whatever translated code leaves for.</summary>
public sealed class AllocationTests
{
    private const ulong Page = Map.Data + 0x2000;
    private const ulong Entry = Map.PageTable + ((Page >> 12) * 8);
    private const ulong Loop = Map.Code + 0x100;
    private const ulong Function = Map.Code + 0x400;
    private const int Few = 100;
    private const int Many = 10_000;

    // Page faults, breakpoints, devices, flushes, interpreted instructions, string instructions, indirect calls, code that changes to what it was before.
    [Fact]
    public void ALoopThatLeavesForEverythingAllocatesNothing()
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 });
        FaultHandlers.Install(machine);
        Programs.Write(machine, Map.Code, a =>
        {
            a.mov(r15d, (int)Function);
            a.jmp(Loop);
        });
        Programs.Write(machine, Loop, a =>
        {
            a.mov(__qword_ptr[Entry], (int)Page | 5);
            a.invlpg(__[Page]);
            a.inc(__qword_ptr[Page]);
            a.int3();
            a.mov(edx, __dword_ptr[Map.Device]);
            a.mov(__dword_ptr[Map.Device + 4], edx);
            a.mov(rax, cr3);
            a.mov(cr3, rax);
            a.xor(eax, eax);
            a.cpuid();
            a.fxsave(__[Map.Data]);
            a.mov(esi, (int)Map.Data);
            a.mov(edi, (int)Map.Data + 0x400);
            a.mov(ecx, 32);
            a.rep.movsq();
            a.mov(edi, (int)Map.Data + 0x700);
            a.mov(ecx, 7);
            a.rep.scasb();
            a.call(r15);
            a.mov(__byte_ptr[Function + 8], 0x90);
            a.dec(r8d);
            a.jne(Loop);
            a.hlt();
        });
        Programs.Write(machine, Function, a =>
        {
            a.add(rbx, 1);
            a.ret();
        });

        // The first run makes what is kept: blocks, translations, links.
        Allocated(machine, Many);
        long few = Allocated(machine, Few);
        long many = Allocated(machine, Many);
        Assert.True(many <= few, $"{many - few} bytes more for {Many - Few} rounds more");
        Assert.Equal((ulong)(Many + Few + Many), machine.Read<ulong>(Page));
    }

    private static long Allocated(ConformanceMachine machine, int rounds)
    {
        StartState start = Programs.At(Map.Code);
        start.Registers[8] = (ulong)rounds;
        machine.Start(start);
        long before = GC.GetAllocatedBytesForCurrentThread();
        ProcessorExitReason reason = machine.Run();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(ProcessorExitReason.Halted, reason);
        return allocated;
    }
}
