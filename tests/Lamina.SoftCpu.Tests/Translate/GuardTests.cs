using Lamina.Machine.Processors;
using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Direct jumps between pages, which find their target's page by a number.</summary>
public sealed unsafe class GuardTests
{
    private const int Rounds = 2000;
    private const ulong FirstPage = Map.Code + 0x100;
    private const ulong SecondPage = Map.Code + 0x1100;

    // Whoever finds the code by its address in the jump cache would not notice that the numbers are gone.
    [Fact]
    public void NumbersThatAreForgottenAreSetAgain()
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 });
        ProcessorContext* context = machine.Processors[0].Context;
        machine.Device.Written = () =>
        {
            new Span<uint>(context->Mappings, ProcessorContext.MappingCount).Clear();
            new Span<ulong>(context->Places, ProcessorContext.PlaceCount).Clear();
        };
        Programs.Write(machine, FirstPage, a =>
        {
            a.inc(rbx);
            a.jmp(SecondPage);
        });
        Programs.Write(machine, SecondPage, a =>
        {
            Iced.Intel.Label forgets = a.CreateLabel();
            Iced.Intel.Label end = a.CreateLabel();
            a.dec(ecx);
            a.je(end);
            a.cmp(ecx, Rounds / 2);
            a.je(forgets);
            a.jmp(FirstPage);
            a.Label(ref forgets);
            a.mov(__dword_ptr[Map.Device], ecx);
            a.jmp(FirstPage);
            a.Label(ref end);
            a.hlt();
        });
        StartState start = Programs.At(FirstPage);
        start.Registers[1] = Rounds;
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        Assert.Equal((ulong)Rounds, machine.Save().GeneralRegisters[3]);
        foreach (ulong page in (ulong[])[FirstPage, SecondPage])
        {
            Assert.True(context->Mappings[ContextLayout.MappingSlot(page)] != 0, $"jumps to page 0x{page & ~0xfffUL:x} are looked up to the end");
        }
    }

    // Until a page that has got another frame is invalidated, a jump may go to either. What is remembered of it must not take the code of the one for the other's afterwards.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatAJumpFindsBeforeAnInvalidationIsNotTakenForWhatIsThereAfterwards(bool shared)
    {
        const ulong page = 0x1a_0000;
        const ulong target = page + 0x100;
        const ulong caller = Map.Code + 0x1100;
        const ulong first = Map.Code + 0x4000;
        const ulong second = Map.Code + 0x5000;
        const int others = 8;
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 1 << 20, SharesAll = shared });
        machine.SetPage(page, first | 7);
        for (int other = 1; other <= others; other++)
        {
            // The same once more, at addresses that displace each other where pages that were fetched from are remembered.
            machine.Write(Map.Tables + 0x1000 + (ulong)(8 * other), (Map.Tables + 0x2000) | 7);
            machine.Write(second + 0x200 + (ulong)(16 * other), (byte)0xc3);
        }

        Programs.Write(machine, first + 0x100, a =>
        {
            a.inc(rbx);
            a.ret();
        });
        Programs.Write(machine, second + 0x100, a =>
        {
            a.add(rbx, 0x100);
            a.ret();
        });
        Programs.Write(machine, caller, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            a.mov(ecx, 8);
            a.Label(ref again);
            a.call(target);
            a.dec(ecx);
            a.jne(again);
            a.ret();
        });
        Programs.Write(machine, FirstPage, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            a.mov(ecx, 8);
            a.mov(eax, (int)target);
            a.Label(ref again);
            a.call(rax);
            a.dec(ecx);
            a.jne(again);
            a.mov(eax, (int)(second | 7));
            a.mov(__qword_ptr[Map.PageTable + ((page >> 12) * 8)], rax);
            for (int other = 1; other <= others; other++)
            {
                a.mov(rax, page + ((ulong)other << 30) + 0x200 + (ulong)(16 * other));
                a.call(rax);
            }

            a.call(caller);
            a.invlpg(__byte_ptr[page]);
            a.xor(ebx, ebx);
            a.call(caller);
            a.hlt();
        });
        machine.Start(Programs.At(FirstPage));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        Assert.Equal(8UL * 0x100, machine.Save().GeneralRegisters[3]);
    }

    // A page that both privileges may execute jumps to one of the kernel's: when the kernel has done that, the program must fault as if it had not.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AProgramDoesNotFollowTheKernelsJump(bool shared)
    {
        const ulong common = 0x1a_0000;
        const ulong kernels = 0x1a_1000;
        const ulong handler = Map.Handlers + 0x700;
        const ulong leave = Map.Code + 0x300;
        const int page = 14;
        const ulong fetchByProgram = 0x15;
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 1 << 20, SharesAll = shared });
        FaultHandlers.Install(machine);
        machine.Write(Map.Idt + (16 * page), (handler & 0xffff) | ((ulong)Map.CodeSelector << 16) | (1UL << 32) | (0x8eUL << 40));
        machine.SetPage(common, (Map.Code + 0x4000) | 7);
        machine.SetPage(kernels, (Map.Code + 0x5000) | 3);
        Programs.Write(machine, handler, a =>
        {
            a.mov(rax, __[rsp]);
            a.hlt();
        });
        Programs.Write(machine, FirstPage, a =>
        {
            a.mov(r12d, 8);
            a.jmp(common + 0x100);
        });
        machine.Write(Map.Code + 0x4100, Programs.Assemble(Piece(a =>
        {
            a.inc(rbx);
            a.jmp(kernels + 0x100);
        }), common + 0x100));
        machine.Write(Map.Code + 0x5100, Programs.Assemble(Piece(a =>
        {
            a.dec(r12d);
            a.jne(common + 0x100);
            a.jmp(leave);
        }), kernels + 0x100));
        Programs.Write(machine, leave, a =>
        {
            a.mov(ecx, (int)common + 0x100);
            a.mov(r11d, 2);
            a.mov(r12d, 8);
            a.sysretq();
        });
        StartState start = Programs.At(FirstPage);
        start.EnableSystemCalls(leave);
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(seconds: 5));
        ProcessorState end = machine.Save();
        Assert.Equal(fetchByProgram, end.GeneralRegisters[0]);
        Assert.Equal(kernels + 0x100, end.Cr2);
        Assert.Equal(9UL, end.GeneralRegisters[3]);

        static Iced.Intel.Assembler Piece(Action<Iced.Intel.Assembler> write)
        {
            Iced.Intel.Assembler a = new(64);
            write(a);
            return a;
        }
    }
}
