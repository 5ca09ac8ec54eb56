using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Two translating processors on two threads.</summary>
public sealed class ParallelTests
{
    private const ulong Other = Map.Code + 0x1000;
    private const ulong Function = Map.Code + 0x2000;
    private const ulong Generation = Map.Data;
    private const ulong Answer = Map.Data + 0x80;
    private const ulong Errors = Map.Data + 0x100;

    [Fact]
    public void LockedInstructionsCount()
    {
        const int rounds = 100_000;
        using ConformanceMachine machine = new(translates: true, processors: 2);
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            Label spin = a.CreateLabel();
            Label taken = a.CreateLabel();
            a.mov(ecx, rounds);
            a.Label(ref head);
            a.@lock.inc(__qword_ptr[Map.Data]);
            a.mov(eax, 3);
            a.@lock.xadd(__[Map.Data + 8], rax);
            a.Label(ref spin);
            a.mov(eax, 1);
            a.xchg(__dword_ptr[Map.Data + 0x40], eax);
            a.test(eax, eax);
            a.je(taken);
            a.pause();
            a.jmp(spin);
            a.Label(ref taken);
            a.inc(__qword_ptr[Map.Data + 0x80]);
            a.mov(__dword_ptr[Map.Data + 0x40], 0);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        });
        RunBoth(machine, Map.Code, Map.Code);
        Assert.Equal(2UL * rounds, machine.Read<ulong>(Map.Data));
        Assert.Equal(6UL * rounds, machine.Read<ulong>(Map.Data + 8));
        Assert.Equal(2UL * rounds, machine.Read<ulong>(Map.Data + 0x80));
    }

    [Fact]
    public void CodeChangedWithAHandshakeIsSeen()
    {
        const int rounds = 1500;
        using ConformanceMachine machine = new(translates: true, processors: 2);
        Programs.Write(machine, Function, a =>
        {
            a.mov(eax, 0);
            a.ret();
        });
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            Label wait = a.CreateLabel();
            a.Label(ref head);
            a.inc(ecx);
            a.mov(__dword_ptr[Function + 1], ecx);
            a.mov(__dword_ptr[Generation], ecx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[Answer], ecx);
            a.jne(wait);
            a.cmp(ecx, rounds);
            a.jne(head);
            a.hlt();
        });
        Programs.Write(machine, Other, a =>
        {
            Label head = a.CreateLabel();
            Label wait = a.CreateLabel();
            Label good = a.CreateLabel();
            a.Label(ref head);
            a.inc(ecx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[Generation], ecx);
            a.jne(wait);
            a.call(Function);
            a.cmp(eax, ecx);
            a.je(good);
            a.inc(__dword_ptr[Errors]);
            a.Label(ref good);
            a.mov(__dword_ptr[Answer], ecx);
            a.cmp(ecx, rounds);
            a.jne(head);
            a.hlt();
        });
        RunBoth(machine, Map.Code, Other);
        Assert.Equal(0u, machine.Read<uint>(Errors));
        Assert.Equal((uint)rounds, machine.Read<uint>(Answer));
    }

    // The first store to a page of code takes its blocks away, and the rest of it is written at full speed, until the other processor executes there again.
    [Fact]
    public void CodeThatIsCopiedByARepeatedMoveIsSeen()
    {
        const int rounds = 100;
        const ulong template = 0x5_0000;
        const ulong entry = Function + 0xff0;
        const int length = 0x1800;
        using ConformanceMachine machine = new(translates: true, processors: 2);
        Programs.Write(machine, template + 0xff0, a =>
        {
            // The second immediate lies in the second page.
            a.mov(eax, 0);
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.nop();
            a.mov(edx, 0);
            a.add(eax, edx);
            a.ret();
        });
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            Label wait = a.CreateLabel();
            a.Label(ref head);
            a.inc(ebx);
            a.mov(__dword_ptr[template + 0xff1], ebx);
            a.mov(__dword_ptr[template + 0x1001], ebx);
            a.mov(edi, (int)Function);
            a.mov(ecx, length / 8);
            a.xor(eax, eax);
            a.rep.stosq();
            a.mov(esi, (int)template);
            a.mov(edi, (int)Function);
            a.mov(ecx, length / 8);
            a.rep.movsq();
            a.mov(__dword_ptr[Generation], ebx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[Answer], ebx);
            a.jne(wait);
            a.cmp(ebx, rounds);
            a.jne(head);
            a.hlt();
        });
        Programs.Write(machine, Other, a =>
        {
            Label head = a.CreateLabel();
            Label wait = a.CreateLabel();
            Label good = a.CreateLabel();
            a.Label(ref head);
            a.inc(ecx);
            a.Label(ref wait);
            a.pause();
            a.cmp(__dword_ptr[Generation], ecx);
            a.jne(wait);
            a.call(entry);
            a.lea(edx, __[rcx * 2]);
            a.cmp(eax, edx);
            a.je(good);
            a.inc(__dword_ptr[Errors]);
            a.Label(ref good);
            a.mov(__dword_ptr[Answer], ecx);
            a.cmp(ecx, rounds);
            a.jne(head);
            a.hlt();
        });
        RunBoth(machine, Map.Code, Other);
        Assert.Equal(0u, machine.Read<uint>(Errors));
        Assert.Equal((uint)rounds, machine.Read<uint>(Answer));
    }

    [Fact]
    public void CodeMayChangeUnderARunningLoop()
    {
        const int rounds = 20_000;
        using ConformanceMachine machine = new(translates: true, processors: 2);
        Programs.Write(machine, Map.Code, a =>
        {
            // ADD EDX, 1 becomes SUB EDX, -1 and back; the loop in the same page is dropped each time.
            Label head = a.CreateLabel();
            a.mov(ecx, rounds);
            a.Label(ref head);
            a.mov(__word_ptr[Function + 1], 0xffea);
            a.mov(__word_ptr[Function + 1], 0x01c2);
            a.dec(ecx);
            a.jne(head);
            a.mov(__dword_ptr[Generation], 1);
            a.hlt();
        });
        Programs.Write(machine, Function, a =>
        {
            a.add(edx, 1);
            a.ret();
        });
        Programs.Write(machine, Function + 0x40, a =>
        {
            Label head = a.CreateLabel();
            a.Label(ref head);
            a.lea(rbx, __[rbx + 1]);
            a.call(Function);
            a.cmp(__dword_ptr[Generation], 0);
            a.je(head);
            a.hlt();
        });
        RunBoth(machine, Map.Code, Function + 0x40);
        ulong[] registers = machine.Save(1).GeneralRegisters;
        Assert.NotEqual(0UL, registers[3]);
        Assert.Equal(registers[3], registers[2]);
    }

    private static void RunBoth(ConformanceMachine machine, ulong first, ulong second)
    {
        ProcessorExitReason[] reasons = new ProcessorExitReason[2];
        machine.Start(Programs.At(first), 0);
        StartState start = Programs.At(second);
        start.Registers[4] += 0x1000;
        machine.Start(start, 1);
        Thread[] threads = [.. Enumerable.Range(0, 2).Select(n => new Thread(() => reasons[n] = machine.Run(n, 60)))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        Assert.Equal([ProcessorExitReason.Halted, ProcessorExitReason.Halted], reasons);
    }
}
