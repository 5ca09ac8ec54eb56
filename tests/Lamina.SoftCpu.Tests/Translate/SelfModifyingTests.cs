using Iced.Intel;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Code that changes while it is translated.</summary>
public sealed class SelfModifyingTests
{
    private const int Rounds = 40;
    private const ulong Head = Map.Code + 0x80;
    private const ulong Patched = Map.Code + 0x100;
    private const ulong Back = Map.Code + 0x180;

    // A write to another part of the callee's page drops the callee. The caller, in a page of its own, is still linked to what was dropped.
    [Fact]
    public unsafe void WhatWasDroppedLeadsToWhatReplacesIt()
    {
        const int jump = 0xe9;
        const ulong callee = Map.Code + 0x1000;
        using ConformanceMachine machine = new(translates: true);
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, Rounds);
            a.Label(ref head);
            a.call(callee);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        });
        Programs.Write(machine, callee, a =>
        {
            a.inc(eax);
            a.ret();
        });
        for (int run = 0; run < 2; run++)
        {
            machine.Write(callee + 0x800, (byte)run);
            machine.Start(Programs.At(Map.Code));
            Assert.Equal(ProcessorExitReason.Halted, machine.Run());
            Assert.Equal((ulong)Rounds, machine.Save().GeneralRegisters[0]);
        }

        nint[] callees = [.. machine.Partition.Code!.Translations.ToArray().Where(t => ((Translation*)t)->Rip == callee)];
        Assert.Equal(2, callees.Length);
        byte* dropped = ((Translation*)callees[0])->Entry;
        Assert.Equal(jump, *dropped);
        Assert.Equal((nint)((Translation*)callees[1])->Entry, (nint)(dropped + 5 + *(int*)(dropped + 1)));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x10_0000UL)]
    [InlineData(Map.High)]
    public void TheNextInstruction(ulong alias)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            0,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(r8, alias + Patched + 1);
                a.jmp(Patched - 3);
            }
        ),
            (Patched - 3, a =>
            {
                a.mov(__byte_ptr[r8], cl);

                // ADD EAX, 0, whose immediate is what was just written.
                a.db(0x05, 0, 0, 0, 0);
                a.dec(ecx);
                a.jne(Patched - 3);
                a.hlt();
            }
        ));
        Assert.Equal((ulong)(Rounds * (Rounds + 1) / 2), registers[0]);
    }

    [Theory]
    [InlineData(0UL, false)]
    [InlineData(0x10_0000UL, false)]
    [InlineData(0UL, true)]
    public void BehindADirectJump(ulong alias, bool call)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            0,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(r8, alias + Patched + 1);
                a.jmp(Head);
            }
        ),
            (Head, a =>
            {
                Label skip = a.CreateLabel();
                a.test(cl, 7);
                a.jne(skip);
                a.mov(__byte_ptr[r8], cl);
                a.Label(ref skip);
                if (call)
                {
                    a.call(Patched);
                    a.jmp(Back);
                }
                else
                {
                    a.jmp(Patched);
                }
            }
        ),
            (Back, a =>
            {
                a.dec(ecx);
                a.jne(Head);
                a.hlt();
            }
        ),
            (Patched, a =>
            {
                a.db(0x05, 0, 0, 0, 0);
                if (call)
                {
                    a.ret();
                }
                else
                {
                    a.jmp(Back);
                }
            }
        ));
        Assert.NotEqual(0UL, registers[0]);
    }

    [Fact]
    public void ATargetThatBeginsToReadFlags()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            0,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(ebx, -1);
                a.jmp(Head);
            }
        ),
            (Head, a =>
            {
                Label skip = a.CreateLabel();
                a.cmp(ecx, Rounds / 2);
                a.jne(skip);

                // XOR EDX, EDX becomes ADC EDX, EDX.
                a.mov(__byte_ptr[Patched], 0x11);
                a.Label(ref skip);
                a.add(ebx, ebx);
                a.jmp(Patched);
            }
        ),
            (Back, a =>
            {
                a.mov(ebx, -1);
                a.dec(ecx);
                a.jne(Head);
                a.hlt();
            }
        ),
            (Patched, a =>
            {
                a.db(0x31, 0xd2);
                a.add(eax, edx);
                a.jmp(Back);
            }
        ));
        Assert.NotEqual(0UL, registers[0]);
    }

    [Fact]
    public void ADeviceWritesCode()
    {
        using Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            Programs.Write(machine, Map.Code, a =>
            {
                Label head = a.CreateLabel();
                Label next = a.CreateLabel();
                a.mov(ecx, 10);
                a.Label(ref head);
                a.jmp(next);
                a.Label(ref next);
                a.add(eax, 0x1111_1111);
                a.dec(ecx);
                a.jne(head);
                a.hlt();
            });
            for (uint n = 0; n < 20; n++)
            {
                // The immediate stands behind MOV, JMP and the opcode.
                machine.Write(Map.Code + 8, n);
                machine.Start(Programs.At(Map.Code));
                Assert.Equal(ProcessorExitReason.Halted, machine.Run());
                Assert.Equal(n * 10, (uint)machine.Save().GeneralRegisters[0]);
            }
        }
    }
}
