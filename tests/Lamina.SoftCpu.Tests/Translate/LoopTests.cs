using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Short loops, whose bodies translated code writes several times behind each other.</summary>
public sealed class LoopTests
{
    private const ulong Low = Map.Data + 0x2000;
    private const ulong High = Map.Data + 0x3000;
    private const ulong Apart = Map.Data + 0x5000;
    private const ulong Loop = Map.Code + 0x100;
    private const ulong Outer = Map.Code + 0x200;
    private const int Repetitions = 40;

    // The loop is left from each of its copies, and what follows sees the registers and flags of that round.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ALoopEndsInTheRoundThatIsItsLast(bool whileEqual)
    {
        using Comparison machines = Prepare(Apart | 7);
        ulong[] registers = Run(
            machines,
            a => a.mov(esi, (int)Low),
            a =>
            {
                a.add(rbx, __qword_ptr[rsi]);
                a.mov(__qword_ptr[rsi + 8], rbx);
                a.add(rsi, 8);
                a.sub(ecx, 1);
                if (whileEqual)
                {
                    // Taken while ECX is not zero, by another condition.
                    a.cmp(ecx, 1);
                    a.cmc();
                    a.jb(Loop);
                }
                else
                {
                    a.jne(Loop);
                }
            },
            rounds: 9);
        Assert.NotEqual(0UL, registers[3]);
    }

    // Two arrays by one index go through two pages whose frames are apart, with accesses that lie in both.
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void AnIndexMovesWindowsOverTwoPages(int skew)
    {
        using Comparison machines = Prepare(Apart | 7);
        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)Low + skew);
                a.mov(edi, (int)Low + 0x800 + skew);
                a.mov(edx, 0xc0);
            },
            a =>
            {
                a.mov(rax, __qword_ptr[rsi + (rdx * 8)]);
                a.add(rax, __qword_ptr[rdi + (rdx * 8) + 0x10]);
                a.inc(rdx);
                a.mov(__qword_ptr[rsi + (rdx * 8) - 8], rax);
                a.add(rbx, rax);
                a.dec(ecx);
                a.jne(Loop);
            },
            rounds: 100);
        Assert.NotEqual(0UL, registers[3]);
    }

    // An index that becomes something else is not the one that was looked up.
    [Fact]
    public void AnIndexThatIsSetHasAWindowOfItsOwn()
    {
        using Comparison machines = Prepare(Apart | 7);
        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)Low);
                a.mov(edx, 0x1f0);
            },
            a =>
            {
                a.add(rbx, __qword_ptr[rsi + (rdx * 8)]);
                a.add(rdx, 3);
                a.and(edx, 0x1ff);
                a.xor(__qword_ptr[rsi + (rdx * 8)], rbx);
                a.add(rbx, __qword_ptr[rsi + (rdx * 8) + 8]);
                a.dec(ecx);
                a.jne(Loop);
            },
            rounds: 300);
        Assert.NotEqual(0UL, registers[3]);
    }

    // The loop writes into a page that may only be read until the fault's handler has seen to it. What the handler writes down is compared.
    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(24)]
    public void AFaultIsThatOfItsRound(int before)
    {
        using Comparison machines = Prepare(Apart | 5);
        Run(
            machines,
            a =>
            {
                a.mov(__qword_ptr[Map.PageTable + ((High >> 12) * 8)], (int)Apart | 5);
                a.invlpg(__[High]);
                a.mov(esi, (int)High - (8 * 32) - before);
            },
            a =>
            {
                a.add(rbx, __qword_ptr[rsi - 8]);
                a.inc(rdx);
                a.mov(__qword_ptr[rsi], rbx);
                a.add(rsi, 8);
                a.dec(ecx);
                a.jne(Loop);
            },
            rounds: 100);
        Assert.Equal((ulong)Repetitions, machines.Translator.Read<ulong>(FaultHandlers.Count));
    }

    private static Comparison Prepare(ulong high)
    {
        Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.SetPage(High, high);
            for (ulong at = Low; at < Apart + 0x1000; at += 8)
            {
                if (at is < High or >= High + 0x1000)
                {
                    machine.Write(at, at * 0x0101_0101_0101_0101);
                }
            }
        }

        return machines;
    }

    // Runs the loop again and again, with one round fewer each time.
    private static ulong[] Run(Comparison machines, Action<Assembler> start, Action<Assembler> loop, int rounds)
    {
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(r8d, Repetitions);
                a.mov(r9d, rounds);
                a.xor(ebx, ebx);
                a.xor(edx, edx);
                a.jmp(Outer);
            }
        ),
            (Loop, a =>
            {
                loop(a);
                a.adc(rbx, 0);
                a.sete(al);
                a.setp(ah);
                a.add(rbx, rax);
                a.jmp(Outer + 0x80);
            }
        ),
            (Outer, a =>
            {
                start(a);
                a.mov(ecx, r9d);
                a.jmp(Loop);
            }
        ),
            (Outer + 0x80, a =>
            {
                Label keep = a.CreateLabel();
                a.dec(r9d);
                a.jne(keep);
                a.mov(r9d, rounds);
                a.Label(ref keep);
                a.dec(r8d);
                a.jne(Outer);
                a.hlt();
            }
        ));
        Assert.True(machines.Interpreter.Ram.SequenceEqual(machines.Translator.Ram), "memory differs");
        return registers;
    }
}
