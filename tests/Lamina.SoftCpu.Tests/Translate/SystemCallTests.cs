using Iced.Intel;
using Lamina.SoftCpu.Execute;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>SYSCALL and SYSRET in emitted code, against the interpreter's.</summary>
public sealed class SystemCallTests
{
    private const ulong User = Map.Code;
    private const ulong Kernel = Map.Code + 0x1100;
    private const int Rounds = 50;

    [Theory]
    [InlineData(0u, 0UL)]
    [InlineData(Flags.Interrupt | Flags.Direction | Flags.AlignmentCheck, 0UL)]
    [InlineData(Flags.Status | 0x4_7700, Map.High)]
    public void ThereAndBack(uint mask, ulong alias)
    {
        using Comparison machines = new();
        byte[] user = Assemble(User, a =>
        {
            a.add(rax, rbx);
            a.syscall();
            a.jmp(User);
        });
        byte[] kernel = Assemble(alias + Kernel, a =>
        {
            a.pushfq();
            a.pop(rdx);
            a.imul(rsi, rsi, 31);
            a.xor(rsi, rdx);
            a.imul(rsi, rsi, 31);
            a.add(rsi, r11);
            a.mov(ebp, cs);
            a.imul(rsi, rsi, 31);
            a.add(rsi, rbp);
            a.mov(ebp, ss);
            a.imul(rsi, rsi, 31);
            a.add(rsi, rbp);
            a.swapgs();
            a.add(rsi, __qword_ptr.gs[0x100]);
            a.swapgs();

            // Flags for the way back that change from round to round.
            a.mov(r11, rsi);
            a.and(r11, 0x8d5);
            a.dec(edi);
            Label done = a.CreateLabel();
            a.je(done);
            a.sysretq();
            a.Label(ref done);
            a.hlt();
        });
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.Write(User, user);
            machine.Write(Kernel, kernel);
            machine.Write(Map.Data + 0x100, 0x1234_5678_9abc_def0UL);
            StartState start = new() { Rip = alias + Kernel, Flags = Flags.Carry };
            start.Registers[1] = User;
            start.Registers[3] = 0x1234_5678_9abc_def1;
            start.Registers[4] = Map.Stack;
            start.Registers[7] = Rounds;
            start.EnableSystemCalls(alias + Kernel);
            start.Msrs[0xc000_0084] = mask;
            start.Msrs[0xc000_0102] = Map.Data;
            machine.Start(start);
            Assert.Equal(Machine.Processors.ProcessorExitReason.Halted, machine.Run());
        }

        Assert.Null(machines.Difference(0));
        Assert.True(machines.Translator.Processors[0].Assisted < Rounds, $"{machines.Translator.Processors[0].Assisted} of {2 * Rounds} interpreted");
    }

    private static byte[] Assemble(ulong origin, Action<Assembler> write)
    {
        Assembler a = new(64);
        write(a);
        MemoryStream bytes = new();
        a.Assemble(new StreamCodeWriter(bytes), origin);
        return bytes.ToArray();
    }
}
