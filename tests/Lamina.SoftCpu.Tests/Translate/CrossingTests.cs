using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Loops through an instruction that lies in two pages.</summary>
public sealed class CrossingTests
{
    private const int Rounds = 60;

    // MOV EDX, imm32 of which two bytes lie in the first page.
    private const ulong Crossing = Map.Code + 0x1000 - 3;
    private const ulong Second = Map.Code + 0x1000;
    private const ulong Other = Map.Data + 0x4000;
    private const ulong Entry = Map.PageTable + ((Second >> 12) * 8);

    [Theory]
    [InlineData("same")]
    [InlineData("written")]
    [InlineData("mapped")]
    [InlineData("absent")]
    public void TheLoopExecutesWhatIsThereNow(string change)
    {
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            // What the second page is replaced by, with another immediate.
            Programs.Write(machine, Other - 3, WriteCrossing(0x77777777));
        }

        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Crossing);
            }
        ),
            (Crossing, WriteCrossing(0x12345678)),
            (Map.Code + 0x100, a => WriteTail(a, change)));
        Assert.NotEqual(0UL, registers[3]);
        ulong assisted = machines.Translator.Processors[0].Assisted;
        Assert.True(change != "same" || assisted > Rounds / 2, $"only {assisted} of {Rounds} were found without the run loop");
    }

    // Another address that is remembered in the same place, with bytes that are no instruction: 66 66 66 66 06.
    [Fact]
    public void WhatCannotBeDecodedIsNotTakenForAnother()
    {
        const ulong rival = 0x5_0ffc;
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.Write(rival, [0x66, 0x66, 0x66, 0x66, 0x06]);
        }

        Programs.RunBoth(
            machines,
            Map.Code + 0x200,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Crossing);
            }
        ),
            (Crossing, WriteCrossing(0x12345678)),
            (Map.Code + 0x100, a => a.jmp(rival)),
            (Map.Code + 0x200, a =>
            {
                a.dec(edi);
                a.jne(Crossing);
                a.hlt();
            }
        ));
        Assert.Equal((ulong)Rounds, machines.Translator.Read<ulong>(FaultHandlers.Count));
    }

    private static Action<Assembler> WriteCrossing(uint value) => a =>
    {
        a.mov(edx, value);
        a.add(rbx, rdx);
        a.mov(esi, (int)Map.Code + 0x100);
        a.jmp(rsi);
    };

    private static void WriteTail(Assembler a, string change)
    {
        a.imul(rbx, rbx, 3);
        switch (change)
        {
            case "written":
                // The immediate's last byte, every fourth time.
                Label keep = a.CreateLabel();
                a.test(edi, 3);
                a.jne(keep);
                a.inc(__byte_ptr[Second + 1]);
                a.Label(ref keep);
                break;
            case "mapped":
                Label stay = a.CreateLabel();
                a.test(edi, 7);
                a.jne(stay);
                a.mov(rax, __qword_ptr[Entry]);
                a.xor(rax, (int)(Second ^ Other));
                a.mov(__qword_ptr[Entry], rax);
                a.invlpg(__[Second]);
                a.Label(ref stay);
                break;
        }

        if (change == "absent")
        {
            // The page fault's handler maps it again.
            a.and(__qword_ptr[Entry], ~1);
            a.invlpg(__[Second]);
        }

        a.dec(edi);
        a.jne(Crossing);
        a.hlt();
    }
}
