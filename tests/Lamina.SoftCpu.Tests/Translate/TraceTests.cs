using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Translations of several blocks that follow each other.</summary>
public sealed unsafe class TraceTests
{
    private const ulong Loop = Map.Code + 0x100;
    private const ulong Changed = Map.Code + 0x180;
    private const ulong Other = Map.Code + 0x1c0;
    private const ulong Aside = Map.Data + 0x2000;
    private const int Rounds = 400;

    // Two ways through a loop, now the one, now the other, over a jump and branches that are taken and are not.
    [Fact]
    public void ATraceIsLeftWhereTheProgramTurnsElsewhere()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(esi, (int)Aside);
                a.mov(r8d, 0x1234567);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.imul(r8d, r8d, 0x41c6_4e6d);
                a.add(r8d, 0x3039);
                a.add(__qword_ptr[rsi], r8);
                a.bt(r8d, 20);
                a.jb(Other);
                a.adc(rbx, __qword_ptr[rsi + 8]);
                a.jmp(Changed);
            }
        ),
            (Changed, a =>
            {
                a.mov(__qword_ptr[rsi + 8], rbx);
                a.test(r8d, 0x7000_0000);
                a.je(Changed + 0x20);
                a.rcl(rbx, 1);
                a.dec(ecx);
                a.jne(Loop);
                a.hlt();
            }
        ),
            (Changed + 0x20, a =>
            {
                a.setp(al);
                a.dec(ecx);
                a.jne(Loop);
                a.hlt();
            }
        ),
            (Other, a =>
            {
                a.adc(rdx, __qword_ptr[rsi + 16]);
                a.lea(rbx, __[rbx + rdx]);
                a.jno(Changed);
                a.inc(rdi);
                a.jmp(Changed);
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
        Assert.True(LongestTrace(machines.Translator) > 2, "no translation has three blocks");
    }

    // An instruction that is interpreted in the middle of a trace changes a block further on in it.
    [Fact]
    public void ATraceIsLeftWhereItsOwnCodeChanges()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(r9d, (int)Aside);
                a.mov(r10d, (int)Changed + 1);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                // CR0.TS is bit 4 of the count, so that each write changes something.
                a.smsw(eax);
                a.and(eax, ~8);
                a.mov(edx, ecx);
                a.shr(edx, 1);
                a.and(edx, 8);
                a.or(eax, edx);
                a.lmsw(ax);
                a.mov(rdi, r9);
                a.test(cl, 15);
                a.cmove(rdi, r10);
                a.smsw(__word_ptr[rdi]);
                a.test(ecx, ecx);
                a.jne(Changed);
                a.hlt();
            }
        ),
            (Changed, a =>
            {
                a.mov(eax, 0x33);
                a.lea(rbx, __[rax + (rbx * 2)]);
                a.dec(ecx);
                a.jne(Loop);
                a.hlt();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
        Assert.True(LongestTrace(machines.Translator) > 1, "no translation has both blocks");
    }

    private static int LongestTrace(ConformanceMachine machine)
    {
        int longest = 0;
        foreach (nint t in machine.Partition.Code!.Translations)
        {
            longest = Math.Max(longest, ((Translation*)t)->PartCount);
        }

        return longest;
    }
}
