using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Faults in the middle of translated blocks.</summary>
public sealed class FaultTests
{
    private const ulong After = Map.Code + 0x200;
    private const ulong Head = Map.Code + 0x80;
    private const int Rounds = 12;

    [Theory]
    [InlineData("load")]
    [InlineData("store")]
    [InlineData("push")]
    [InlineData("call")]
    [InlineData("jump")]
    [InlineData("return")]
    [InlineData("divide")]
    [InlineData("undefined")]
    [InlineData("breakpoint")]
    [InlineData("add")]
    public void EveryRoundFaultsAlike(string kind)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(machines, After, (Map.Code, Prepare), (Head, a => Write(a, kind)), (After, Finish));
        Assert.Equal((ulong)Rounds, machines.Translator.Read<ulong>(FaultHandlers.Count));
        Assert.Equal((ulong)Rounds * 3, registers[3]);
        Assert.True(machines.Translator.Partition.Code!.Count > 0);
    }

    private static void Prepare(Assembler a)
    {
        a.mov(ecx, Rounds);
        a.mov(r8, 0x8000_1234_5678_0000);
        a.mov(r14, rsp);
        a.jmp(Head);
    }

    private static void Write(Assembler a, string kind)
    {
        a.inc(rbx);
        a.lea(r10, __[rbx + rcx * 4]);
        a.mov(r11d, ebx);
        a.mov(__[Map.Data], r11);
        switch (kind)
        {
            case "load":
                a.mov(rax, __[r8 + rcx]);
                break;
            case "store":
                a.mov(__[r8], r10);
                break;
            case "add":
                a.add(__[r8], r10);
                break;
            case "push":
                a.mov(rsp, r8);
                a.push(r10);
                break;
            case "call":
                a.call(r8);
                break;
            case "jump":
                a.mov(__[Map.Data + 8], r8);
                a.jmp(__qword_ptr[Map.Data + 8]);
                break;
            case "return":
                a.push(r8);
                a.ret();
                break;
            case "divide":
                a.xor(edx, edx);
                a.mov(r15d, 0);
                a.div(r15);
                break;
            case "breakpoint":
                a.int3();
                break;
            default:
                a.ud2();
                break;
        }

        a.jmp(After);
    }

    // Where the handler goes on.
    private static void Finish(Assembler a)
    {
        a.mov(rsp, r14);
        a.add(rbx, 2);
        a.dec(ecx);
        a.jne(Head);
        a.hlt();
    }
}
