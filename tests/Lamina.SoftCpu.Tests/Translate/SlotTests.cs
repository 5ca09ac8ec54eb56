using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>What translated code remembers of the pages of its stack and its loops, and that it forgets in time.</summary>
public sealed class SlotTests
{
    private const ulong Page = Map.Data + 0x2000;
    private const ulong Other = Map.Data + 0x4000;
    private const ulong Entry = Map.PageTable + ((Page >> 12) * 8);
    private const ulong Loop = Map.Code + 0x100;
    private const ulong Tail = Map.Code + 0x200;
    private const int Rounds = 40;

    // A loop goes down through two pages, whose frames are apart, in steps that let accesses begin in the one and end in the other. The slot holds the upper page then.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AnAccessThatBeginsInThePageBeforeIsNotOfTheSlotsPage(bool stack)
    {
        const int step = 5;
        const ulong upper = Map.Data + 0x3000;
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.SetPage(upper, Other | 7);
            for (ulong at = upper - 0x1000; at < Other + 0x1000; at += 8)
            {
                machine.Write(at, at * 0x0101_0101_0101_0101);
            }
        }

        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(esi, (int)upper + (20 * step) + 1);
                a.mov(edi, (int)upper + (20 * step) + 2);
                a.mov(r12, rsp);
                a.mov(ecx, Rounds);
                a.xor(ebx, ebx);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                if (stack)
                {
                    a.mov(rsp, rsi);
                    a.add(rbx, __qword_ptr[rsp]);
                    a.mov(__dword_ptr[rsp + 2], ebx);
                }
                else
                {
                    a.add(rbx, __qword_ptr[rsi]);
                    a.mov(__dword_ptr[rdi], ebx);
                }

                a.sub(rsi, step);
                a.sub(rdi, step);
                a.dec(ecx);
                a.jne(Loop);
                a.mov(rsp, r12);
                a.hlt();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
        Assert.True(machines.Interpreter.Ram.SequenceEqual(machines.Translator.Ram), "memory differs");
    }

    // A loop sums a page through a slot; between the rounds the page becomes another one, and the flush says so.
    [Theory]
    [InlineData("invlpg")]
    [InlineData("cr3")]
    [InlineData("cr4")]
    public void ALoopSeesThePageThatIsMappedNow(string flush)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.xor(ebx, ebx);
                a.jmp(Loop - 0x10);
            }
        ),
            (Loop - 0x10, a =>
            {
                a.mov(esi, (int)Page);
                a.mov(ecx, 64);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.add(rbx, __qword_ptr[rsi]);
                a.lea(rbx, __[rbx + rdi + 1]);
                a.mov(__qword_ptr[rsi + 0x400], rbx);
                a.add(rsi, 8);
                a.dec(ecx);
                a.jne(Loop);
                a.jmp(Tail);
            }
        ),
            (Tail, a =>
            {
                a.mov(rax, __qword_ptr[Entry]);
                a.xor(rax, (int)(Page ^ Other));
                a.mov(__qword_ptr[Entry], rax);
                switch (flush)
                {
                    case "invlpg":
                        a.invlpg(__[Page]);
                        break;
                    case "cr3":
                        a.mov(rax, cr3);
                        a.mov(cr3, rax);
                        break;
                    default:
                        a.mov(rax, cr4);
                        a.xor(rax, 0x80);
                        a.mov(cr4, rax);
                        a.xor(rax, 0x80);
                        a.mov(cr4, rax);
                        break;
                }

                a.dec(edi);
                a.jne(Loop - 0x10);
                a.hlt();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
    }

    // The same of a stack that another page is put under.
    [Fact]
    public void APushGoesToThePageThatIsMappedNow()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.mov(r8, rsp);
                a.mov(esp, (int)(Page + 0x800));
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.mov(rdx, __[rsp + 8]);
                a.lea(rbx, __[rbx + rdx * 2 + 3]);
                a.push(rbx);
                a.push(rdi);
                a.call(Tail);
                a.pop(rdi);
                a.pop(rbx);
                a.mov(__[rsp + 8], rbx);
                a.dec(edi);
                a.jne(Loop);
                a.mov(rsp, r8);
                a.hlt();
            }
        ),
            (Tail, a =>
            {
                // Both pages get the frame, so that the way back is the same.
                a.mov(rcx, __[rsp]);
                a.mov(rbp, __[rsp + 8]);
                a.mov(rax, __qword_ptr[Entry]);
                a.xor(rax, (int)(Page ^ Other));
                a.mov(__qword_ptr[Entry], rax);
                a.invlpg(__[Page]);
                a.mov(__[rsp], rcx);
                a.mov(__[rsp + 8], rbp);
                a.ret();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
        Assert.NotEqual(machines.Translator.Read<ulong>(Page + 0x808), machines.Translator.Read<ulong>(Other + 0x808));
    }

    // A loop that writes code which another loop executes: the write slot must not outlive the translation.
    [Fact]
    public void ALoopThatWritesCodeIsNoticed()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Loop - 0x20);
            }
        ),
            (Loop - 0x20, a =>
            {
                a.mov(esi, (int)Other);
                a.mov(ecx, 8);
                a.mov(eax, edi);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                // MOV EBX, imm32 (the round's number); RET
                a.mov(__byte_ptr[rsi], 0xbb);
                a.mov(__dword_ptr[rsi + 1], eax);
                a.mov(__byte_ptr[rsi + 5], 0xc3);
                a.add(rsi, 16);
                a.dec(ecx);
                a.jne(Loop);
                a.jmp(Tail);
            }
        ),
            (Tail, a =>
            {
                a.mov(esi, (int)Other);
                a.call(rsi);
                a.add(rdx, rbx);
                a.add(rsi, 16);
                a.call(rsi);
                a.imul(rdx, rdx, 3);
                a.add(rdx, rbx);
                a.dec(edi);
                a.jne(Loop - 0x20);
                a.hlt();
            }
        ));
        Assert.NotEqual(0UL, registers[2]);
    }
}
