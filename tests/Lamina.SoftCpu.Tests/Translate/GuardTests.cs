using Lamina.Machine.Processors;
using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Direct jumps between pages, which find their target's page by a number.</summary>
public sealed unsafe class GuardTests
{
    private const int Rounds = 2000;
    private const ulong FirstPage = Map.Code + 0x100;
    private const ulong SecondPage = Map.Code + 0x1100;

    // Whoever finds the code by its address in the jump cache would not notice that the numbers are gone.
    [Fact]
    public void NumbersThatAreForgottenAreSetAgain()
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 });
        ProcessorContext* context = machine.Processors[0].Context;
        machine.Device.Written = () =>
        {
            new Span<uint>(context->Mappings, ProcessorContext.MappingCount).Clear();
            new Span<ulong>(context->Places, ProcessorContext.PlaceCount).Clear();
        };
        Programs.Write(machine, FirstPage, a =>
        {
            a.inc(rbx);
            a.jmp(SecondPage);
        });
        Programs.Write(machine, SecondPage, a =>
        {
            Iced.Intel.Label forgets = a.CreateLabel();
            Iced.Intel.Label end = a.CreateLabel();
            a.dec(ecx);
            a.je(end);
            a.cmp(ecx, Rounds / 2);
            a.je(forgets);
            a.jmp(FirstPage);
            a.Label(ref forgets);
            a.mov(__dword_ptr[Map.Device], ecx);
            a.jmp(FirstPage);
            a.Label(ref end);
            a.hlt();
        });
        StartState start = Programs.At(FirstPage);
        start.Registers[1] = Rounds;
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        Assert.Equal((ulong)Rounds, machine.Save().GeneralRegisters[3]);
        foreach (ulong page in (ulong[])[FirstPage, SecondPage])
        {
            Assert.True(context->Mappings[ContextLayout.MappingSlot(page)] != 0, $"jumps to page 0x{page & ~0xfffUL:x} are looked up to the end");
        }
    }
}
