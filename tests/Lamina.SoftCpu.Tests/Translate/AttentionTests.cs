using Iced.Intel;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Tests.Execute;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>A request to leave stops every kind of loop.</summary>
public sealed class AttentionTests
{
    [Theory]
    [InlineData("self")]
    [InlineData("flags")]
    [InlineData("two")]
    [InlineData("conditional")]
    [InlineData("pages")]
    [InlineData("call")]
    [InlineData("register")]
    [InlineData("memory")]
    public void ALoopStops(string kind)
    {
        using ConformanceMachine machine = new(translates: true);
        Programs.Write(machine, Map.Code, a => Loop(a, kind));
        Programs.Write(machine, Map.Code + 0x1000, a =>
        {
            if (kind == "call")
            {
                a.ret();
            }
            else
            {
                a.jmp(Map.Code);
            }
        });
        machine.Write(Map.Data, Map.Code);
        machine.Start(Programs.At(Map.Code));
        SoftwareProcessor processor = machine.Processors[0];
        using SemaphoreSlim ended = new(0);
        ProcessorExitReason reason = ProcessorExitReason.Failed;
        for (int n = 0; n < 20; n++)
        {
            Thread thread = new(() =>
            {
                reason = processor.Run().Reason;
                ended.Release();
            });
            thread.Start();
            SpinWait spin = default;
            while (!processor.InGuest || machine.Partition.Code!.Count == 0)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }

            processor.RequestExit();
            Assert.True(ended.Wait(TimeSpan.FromSeconds(20)), "still running");
            thread.Join();
            Assert.Equal(ProcessorExitReason.Requested, reason);
        }
    }

    // Of a handler STI and IRET and then HLT look for interrupts, or would have to be interpreted, only if there may be another one.
    [Fact]
    public void AnInterruptThatIsAloneHasNobodyLookForAnother()
    {
        const byte vector = 0x40;
        const ulong handler = Map.Code + 0x200;
        const int rounds = 100;
        FakeController controller = new();
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 });
        SoftwareProcessor processor = machine.Processors[0];
        processor.Controller = controller;
        machine.Write(Map.Idt + (vector * 16), (handler & 0xffff) | ((ulong)Map.CodeSelector << 16) | (0x8eUL << 40) | (handler >> 16 << 48));
        Programs.Write(machine, Map.Code, a =>
        {
            a.hlt();
            a.jmp(Map.Code);
        });
        Programs.Write(machine, handler, a =>
        {
            a.inc(rbx);
            a.sti();
            a.nop();
            a.dec(rdi);
            a.cli();
            a.iretq();
        });
        StartState start = Programs.At(Map.Code);
        start.Flags = 0x200;
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        ulong assisted = 0;
        for (int n = 0; n < 2 * rounds; n++)
        {
            // The first half translates.
            assisted = n == rounds ? processor.Assisted : assisted;
            controller.Vectors.Enqueue(vector);
            processor.SignalInterrupt();
            Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        }

        Assert.Equal(2UL * rounds, machine.Save().GeneralRegisters[3]);
        Assert.Equal(2UL * rounds, processor.Assisted - assisted);
    }

    [Fact]
    public async Task ABlockedNonMaskableDoesNotHoldTranslatedCodeUp()
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 0 });
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, 100_000);
            a.Label(ref head);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        });
        machine.Start(Programs.At(Map.Code));
        SoftwareProcessor processor = machine.Processors[0];
        SetBlocked(processor);
        processor.SignalNonMaskable();
        Task<ProcessorExitReason> run = Task.Run(() => processor.Run().Reason);
        if (await Task.WhenAny(run, Task.Delay(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken)) != run)
        {
            processor.RequestExit();
            Assert.Fail("The pending interrupt, which is blocked, keeps the program from going on.");
        }

        Assert.Equal(ProcessorExitReason.Halted, await run);
        Assert.True(machine.Partition.Code!.Count > 0);
    }

    private static unsafe void SetBlocked(SoftwareProcessor processor) => processor.Context->NonMaskableBlocked = true;

    private static void Loop(Assembler a, string kind)
    {
        Label head = a.CreateLabel();
        Label next = a.CreateLabel();
        a.mov(eax, (uint)Map.Code);
        a.Label(ref head);
        switch (kind)
        {
            case "self":
                a.jmp(head);
                break;
            case "flags":
                a.adc(rbx, rdx);
                a.jmp(head);
                break;
            case "two":
                a.jc(next);
                a.Label(ref next);
                a.lea(rbx, __[rbx + 1]);
                a.jmp(head);
                break;
            case "conditional":
                a.setc(cl);
                a.test(ebx, ebx);
                a.je(head);
                a.hlt();
                break;
            case "pages":
                a.jmp(Map.Code + 0x1000);
                break;
            case "call":
                a.call(Map.Code + 0x1000);
                a.jmp(head);
                break;
            case "register":
                a.jmp(rax);
                break;
            default:
                a.jmp(__qword_ptr[Map.Data]);
                break;
        }
    }
}
