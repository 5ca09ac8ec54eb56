using Iced.Intel;
using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Code that is executed at several linear addresses, as libraries are by programs that each have them elsewhere.</summary>
public sealed unsafe class SharedTranslationTests
{
    private const int Rounds = 40;
    private const ulong Function = Map.Code + 0x1200;
    private const ulong NextPage = Map.Code + 0x2000;
    private const ulong Caller = Map.Code + 0x100;
    private static readonly ulong[] Aliases = [0, 0x10_0000, Map.High];

    [Theory]
    [InlineData(1)]
    [InlineData(1 << 20)]
    public void AddressesRelativeToRipAreThoseOfThePlaceWhereItRuns(int threshold)
    {
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold });
        ulong[] registers = CallEverywhere(machines, a =>
        {
            // The two stores share a look-up. Were it made from a wrong register, it would find this page.
            a.mov(__qword_ptr[Map.Data + 0x1f00], rdi);
            foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rax, rcx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15])
            {
                a.mov(register, (Function & ~0xfffUL) + 0x1000);
            }

            a.AddInstruction(Instruction.Create(Code.Mov_rm64_r64, AtRip(Map.Data + 0x100), Register.RBX));
            a.AddInstruction(Instruction.Create(Code.Mov_rm64_r64, AtRip(Map.Data + 0x110), Register.RDI));
            a.AddInstruction(Instruction.Create(Code.Add_r64_rm64, Register.RBX, AtRip(Map.Data + 0x100)));
            a.AddInstruction(Instruction.Create(Code.Lea_r64_m, Register.RDX, AtRip(Map.Data)));
            a.add(rbx, rdx);
            a.ret();
        });
        Assert.NotEqual(0UL, registers[3]);
    }

    // The translations for the first address stay; however many others there are, they have the same ones.
    [Fact]
    public void OneTranslationServesAllAddressesButTheFirst()
    {
        using Comparison machines = new();
        CallEverywhere(machines, a =>
        {
            a.inc(rbx);
            a.ret();
        });
        List<(ulong Rip, bool Shared, bool Compact)> made = [];
        foreach (nint address in machines.Translator.Partition.Code!.Translations)
        {
            Translation* t = (Translation*)address;
            if (t->Block->Physical == Function)
            {
                made.Add((t->Rip, t->IsShared, t->IsCompact));
            }
        }

        Assert.Single(made.Where(t => !t.Shared).Select(t => t.Rip).Distinct());
        Assert.Equal([(Function & 0xfff, true, false), (Function & 0xfff, true, true)], made.Where(t => t.Shared).Order());
    }

    // Behind it a return goes on in the page after the one that has called.
    [Theory]
    [InlineData(1)]
    [InlineData(1 << 20)]
    public void ACallMayEndItsPage(int threshold)
    {
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold });
        ulong[] registers = CallEverywhere(
            machines,
            a => a.jmp(NextPage - 5),
            (NextPage - 5, a => a.call(Map.Code + 0x3100)),
            (NextPage, a =>
            {
                a.add(rbx, rdx);
                a.ret();
            }
        ),
            (Map.Code + 0x3100, a =>
            {
                a.AddInstruction(Instruction.Create(Code.Lea_r64_m, Register.RDX, AtRip(Map.Code)));
                a.ret();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
    }

    // A direct jump to another page goes where that page is now.
    [Theory]
    [InlineData(1)]
    [InlineData(1 << 20)]
    public void WhatIsMappedElsewhereIsNotExecutedAnyMore(int threshold)
    {
        const ulong other = Map.Data + 0x5000;
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold });
        foreach (ConformanceMachine machine in machines.Both)
        {
            Programs.Write(machine, other, a =>
            {
                a.add(rbx, 7);
                a.ret();
            });
        }

        ulong[] registers = CallEverywhere(
            machines,
            a =>
            {
                // Every eighth round exchanges the pages of all aliases.
                Label jump = a.CreateLabel();
                a.inc(r9);
                a.test(r9d, 7);
                a.jne(jump);
                foreach (ulong alias in (ulong[])[0, 0x10_0000])
                {
                    a.xor(__qword_ptr[Map.PageTable + (((NextPage + alias) >> 12) * 8)], (int)(NextPage ^ other));
                }

                foreach (ulong alias in Aliases)
                {
                    a.mov(rax, alias + NextPage);
                    a.invlpg(__[rax]);
                }

                a.Label(ref jump);
                a.jmp(NextPage);
            },
            (NextPage, a =>
            {
                a.add(rbx, 1);
                a.ret();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
    }

    private static MemoryOperand AtRip(ulong address) => new(Register.RIP, (long)address, 8);

    // Calls a function by each of its addresses in turn, often.
    private static ulong[] CallEverywhere(Comparison machines, Action<Assembler> function, params ReadOnlySpan<(ulong Address, Action<Assembler> Write)> more)
    {
        List<(ulong, Action<Assembler>)> pieces =
        [
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Caller);
            }
        ),
            (Caller, a =>
            {
                foreach (ulong alias in Aliases)
                {
                    Label loop = a.CreateLabel();
                    a.mov(esi, 3);
                    a.Label(ref loop);
                    a.mov(rax, alias + Function);
                    a.call(rax);
                    a.dec(esi);
                    a.jne(loop);
                }

                a.dec(edi);
                a.jne(Caller);
                a.hlt();
            }
        ),
            (Function, function),
            .. more,
        ];
        return Programs.RunBoth(machines, Map.Code, [.. pieces]);
    }
}
