using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Instructions of operating systems in emitted code, against the interpreter's.</summary>
public sealed class SystemInstructionTests
{
    private const ulong Loop = Map.Code + 0x100;
    private const ulong UserPage = Map.Data + 0x1000;

    // SMAP, OSXSAVE, FSGSBASE, OSXMMEXCPT, OSFXSR, PGE, PAE
    private const int Cr4 = 0x25_06a0;
    private const int Rounds = 30;

    [Fact]
    public void RegistersAndBases()
    {
        ulong assisted = Run(a =>
        {
            a.cmp(rax, rbx);
            a.mov(r8, cr0);
            a.mov(r10, cr2);
            a.mov(r9, cr3);
            a.mov(r11, cr4);
            a.adc(r8, r10);
            a.adc(r9, r11);
            a.add(rbx, r8);
            a.imul(rbx, rbx, 31);
            a.sar(rbx, 17);
            a.wrgsbase(rbx);
            a.wrfsbase(ebx);
            a.rdgsbase(r14);
            a.rdfsbase(r15);
            a.rdgsbase(esi);
            a.add(rbx, r14);
            a.add(rbx, r15);
            a.add(rbx, rsi);
            a.mov(ax, ds);
            a.mov(r10w, cs);
            a.mov(r9, ss);
            a.add(rbx, rax);
            a.add(rbx, r10);
            a.add(rbx, r9);
            a.std();
            a.pushfq();
            a.cld();
            a.pop(rdx);
            a.add(rbx, rdx);
            a.lfence();
            a.mfence();
            a.sfence();
            a.stc();
            a.shld(rbx, rdx, 5);
            a.adc(rbx, 0);
            a.mov(ecx, edi);
            a.shrd(rbx, rdx, cl);
            a.shld(r10d, ebx, cl);
            a.adc(rbx, r10);
            a.shrd(__qword_ptr[Map.Data], rbx, 3);
        });
        Assert.True(assisted < Rounds / 2, $"{assisted} interpreted in {Rounds} rounds");
    }

    // Bits 63:47 that differ: the base stays, and #GP leads on.
    [Fact]
    public void ABaseThatIsNotCanonicalFaults()
    {
        ulong faults = 0;
        Run(
            a =>
            {
                a.mov(r8, 0x0123_4567_89ab_cdef);
                a.wrgsbase(r8);
                a.inc(rbx);
            },
            ref faults);
        Assert.Equal((ulong)Rounds, faults);
    }

    // With SMAP a user page is open only between STAC and CLAC, also where it was just in reach.
    [Fact]
    public void UserPagesCloseAgain()
    {
        ulong faults = 0;
        ulong assisted = Run(
            a =>
            {
                a.mov(rsi, UserPage);
                a.stac();
                a.add(rbx, __qword_ptr[rsi]);
                a.mov(__qword_ptr[rsi + 8], rbx);
                a.clac();
                a.add(rbx, 7);
                a.mov(rax, __qword_ptr[rsi]);
                a.add(rbx, 1000);
            },
            ref faults);
        Assert.Equal((ulong)Rounds, faults);

        // The load that faults, and two of the handler's.
        Assert.True(assisted < Rounds * 7 / 2, $"{assisted} interpreted in {Rounds} rounds");
    }

    private static ulong Run(Action<Assembler> body)
    {
        ulong faults = 0;
        return Run(body, ref faults);
    }

    private static ulong Run(Action<Assembler> body, ref ulong faults)
    {
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            for (ulong page = 1; page < 256; page++)
            {
                machine.SetPage(page << 12, (page << 12) | (page == UserPage >> 12 ? 7UL : 3));
            }
        }

        Programs.RunBoth(
            machines,
            Loop + 0x100,
            (Map.Code, a =>
            {
                a.mov(eax, Cr4);
                a.mov(cr4, rax);
                a.mov(edi, Rounds);
                a.mov(r12, rsp);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                body(a);
                a.jmp(Loop + 0x100);
            }
        ),
            (Loop + 0x100, a =>
            {
                a.mov(rsp, r12);
                a.dec(edi);
                a.jne(Loop);
                a.hlt();
            }
        ));
        faults = machines.Translator.Read<ulong>(FaultHandlers.Count);
        return machines.Translator.Processors[0].Assisted;
    }
}
