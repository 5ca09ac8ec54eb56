using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Loops through an instruction that lies in two pages.</summary>
public sealed class CrossingTests
{
    private const int Rounds = 60;
    private const uint First = 0x1234_5678;

    // MOV EDX, imm32 of which two bytes lie in the first page.
    private const ulong Crossing = Map.Code + 0x1000 - 3;
    private const ulong Second = Map.Code + 0x1000;
    private const ulong Other = Map.Data + 0x4000;
    private const ulong Entry = Map.PageTable + ((Second >> 12) * 8);

    [Theory]
    [InlineData("same", false)]
    [InlineData("same", true)]
    [InlineData("written", false)]
    [InlineData("written", true)]
    [InlineData("written elsewhere", false)]
    [InlineData("written elsewhere", true)]
    [InlineData("mapped", false)]
    [InlineData("mapped", true)]
    [InlineData("absent", false)]
    [InlineData("absent", true)]
    public void TheLoopExecutesWhatIsThereNow(string change, bool shared)
    {
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = 2, SharesAll = shared });
        foreach (ConformanceMachine machine in machines.Both)
        {
            // What the second page is replaced by, with another immediate.
            Programs.Write(machine, Other - 3, WriteCrossing(0x77777777));
        }

        ulong[] registers = RunLoop(machines, change, First);
        Assert.Equal(Expected(change, First), registers[3]);
        ulong interpreted = machines.Translator.Processors[0].InstructionsRetired;
        Assert.True(change != "same" || interpreted < Rounds, $"{interpreted} instructions were interpreted in {Rounds} rounds, so the one in two pages was not translated");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatADeviceWritesIntoEitherPageIsExecuted(bool shared)
    {
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = 2, SharesAll = shared });
        foreach (uint value in (ReadOnlySpan<uint>)[First, First ^ 0x8000_0000, First ^ 0x80])
        {
            Assert.Equal(Expected("same", value), RunLoop(machines, "same", value)[3]);
        }
    }

    // The same page twice, one behind the other.
    [Fact]
    public void BothPagesMayBeOne()
    {
        const ulong start = Map.Code + 0x200;
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.SetPage(Second, Map.Code | 7);
        }

        Assembler crossing = new(64);
        WriteCrossing(First)(crossing);
        byte[] code = Programs.Assemble(crossing, Crossing);
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.Write(Crossing, code.AsSpan(0, 3));
            machine.Write(Map.Code, code.AsSpan(3));
        }

        ulong[] registers = Programs.RunBoth(machines, start, (start, WriteStart), (Map.Code + 0x100, a => WriteTail(a, "written elsewhere")));
        Assert.Equal(Expected("written elsewhere", First), registers[3]);
    }

    // Two places where the first page is mapped, with different pages behind it.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void EachPlaceHasItsOwnSecondPage(bool shared)
    {
        const ulong alias = Map.Data + 0x2000;
        const ulong aliasCrossing = alias + 0x1000 - 3;
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = 2, SharesAll = shared });
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.SetPage(alias, Map.Code | 7);
            machine.SetPage(alias + 0x1000, Other | 7);
            Programs.Write(machine, Other - 3, WriteCrossing(0x77777777));
        }

        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, WriteStart),
            (Crossing, WriteCrossing(First)),
            (Map.Code + 0x100, a =>
            {
                a.mov(eax, (int)Crossing);
                a.mov(ecx, (int)aliasCrossing);
                a.test(edi, 1);
                a.cmove(eax, ecx);
                a.dec(edi);
                Label done = a.CreateLabel();
                a.je(done);
                a.jmp(rax);
                a.Label(ref done);
                a.hlt();
            }
        ));
        ulong expected = First;
        for (int n = Rounds; n > 1; n--)
        {
            expected += (n & 1) == 0 ? 0x7777_0000 | (First & 0xffff) : First;
        }

        Assert.Equal(expected, registers[3]);
    }

    // Numbers of pages are numbers for a privilege: what was translated for one must not stop the other.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BothPrivilegesExecuteIt(bool shared)
    {
        const ulong kernel = Map.Code + 0x200;
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = 2, SharesAll = shared });
        foreach (ConformanceMachine machine in machines.Both)
        {
            Programs.Write(machine, Crossing, WriteCrossing(First));
            Programs.Write(machine, kernel, a => a.jmp(Crossing));
            Programs.Write(machine, Map.Code + 0x100, a =>
            {
                Label user = a.CreateLabel();
                Label done = a.CreateLabel();
                a.mov(eax, cs);
                a.test(eax, 3);
                a.jne(user);
                a.dec(edi);
                a.je(done);
                a.mov(ecx, (int)Crossing);
                a.mov(r11d, 2);
                a.sysretq();
                a.Label(ref user);
                a.syscall();
                a.Label(ref done);
                a.hlt();
            });
            StartState start = Programs.At(kernel);
            start.Registers[7] = Rounds;
            start.EnableSystemCalls(kernel);
            machine.Start(start);
            Assert.Equal(Machine.Processors.ProcessorExitReason.Halted, machine.Run());
        }

        Assert.Null(machines.Difference(0));
        Assert.Equal(First * ((2UL * Rounds) - 1), machines.Translator.Save().GeneralRegisters[3]);
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
            (Map.Code, WriteStart),
            (Crossing, WriteCrossing(First)),
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

    private static ulong[] RunLoop(Comparison machines, string change, uint value)
    {
        return Programs.RunBoth(machines, Map.Code, (Map.Code, WriteStart), (Crossing, WriteCrossing(value)), (Map.Code + 0x100, a => WriteTail(a, change)));
    }

    // RBX at the end.
    private static ulong Expected(string change, uint value)
    {
        ulong sum = 0;
        for (int n = Rounds; n > 0; n--)
        {
            sum = (sum + value) * 3;
            if (change.StartsWith("written", StringComparison.Ordinal) && (n & 3) == 0)
            {
                value = (value & 0xff_ffff) | ((value + 0x100_0000) & 0xff00_0000);
            }
            else if (change == "mapped" && (n & 7) == 0)
            {
                value ^= (First ^ 0x7777_0000) & 0xffff_0000;
            }
        }

        return sum;
    }

    private static void WriteStart(Assembler a)
    {
        a.mov(edi, Rounds);
        a.jmp(Crossing);
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
            case "written elsewhere":
                // By another mapping.
                Label old = a.CreateLabel();
                a.test(edi, 3);
                a.jne(old);
                a.mov(r8, Map.High + Second + 1);
                a.inc(__byte_ptr[r8]);
                a.Label(ref old);
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
