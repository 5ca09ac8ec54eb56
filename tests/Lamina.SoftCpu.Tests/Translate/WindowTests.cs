using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Accesses by one base register that translated code checks together.</summary>
public sealed class WindowTests
{
    private const ulong Page = Map.Data + 0x2000;
    private const ulong Other = Map.Data + 0x4000;
    private const ulong Loop = Map.Code + 0x100;
    private const int Rounds = 40;

    // The base goes through two pages whose frames are apart, so that windows lie in one, in both, and in the other.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-8)]
    public void AWindowOverTwoPagesIsNotTakenForOne(int skew)
    {
        const int step = 24;
        using Comparison machines = Prepare(Map.Data + 0x3000, Other | 7);
        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)Map.Data + 0x3000 - (20 * step) + skew);
                a.mov(ecx, Rounds);
            },
            a =>
            {
                a.add(rbx, __qword_ptr[rsi]);
                a.mov(__qword_ptr[rsi + 16], rbx);
                a.lea(rsi, __[rsi + 4]);
                a.xor(rbx, __qword_ptr[rsi + 100]);
                a.add(__dword_ptr[rsi - 3], 7);
                a.add(rsi, step - 4);
            });
        Assert.NotEqual(0UL, registers[3]);
    }

    // Reads are followed by a write that faults: what was before it has happened, and nothing behind it.
    [Fact]
    public void AFaultIsThatOfItsInstruction()
    {
        // Present, for user and supervisor, not writable; CR0.WP is on.
        using Comparison machines = Prepare(Page, Page | 5);
        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)Page);
                a.mov(ecx, Rounds);
            },
            a =>
            {
                a.add(rbx, __qword_ptr[rsi + 8]);
                a.inc(rdx);
                a.mov(__qword_ptr[rsi + 16], rbx);
                a.add(rbx, __qword_ptr[rsi + 24]);
            },
            resume: Loop + 0x80);
        Assert.NotEqual(0UL, registers[2]);
    }

    // The second access of what would be a window reaches a device.
    [Fact]
    public void ADeviceIsReadOnceForEachRead()
    {
        using Comparison machines = Prepare(Page, Page | 7);
        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)Map.Device);
                a.mov(ecx, Rounds);
            },
            a =>
            {
                a.add(ebx, __dword_ptr[rsi]);
                a.add(ebx, __dword_ptr[rsi + 4]);
                a.mov(__dword_ptr[rsi + 8], ebx);
            });
        Assert.NotEqual(0UL, registers[3]);
    }

    // What a window covers is code by now: the write is noticed.
    [Fact]
    public void AWindowOverCodeIsWrittenBySomebodyWhoNotices()
    {
        const ulong function = Page + 0x40;
        using Comparison machines = Prepare(Page, Page | 7);
        foreach (ConformanceMachine machine in machines.Both)
        {
            // MOV EAX, imm32; RET
            machine.Write(function, [0xb8, 1, 0, 0, 0, 0xc3]);
        }

        ulong[] registers = Run(
            machines,
            a =>
            {
                a.mov(esi, (int)function);
                a.mov(ecx, Rounds);
            },
            a =>
            {
                a.mov(__dword_ptr[rsi + 1], ecx);
                a.mov(__dword_ptr[rsi + 0x20], ecx);
                a.call(function);
                a.imul(rbx, rbx, 3);
                a.add(rbx, rax);
            });
        Assert.NotEqual(0UL, registers[3]);
    }

    private static Comparison Prepare(ulong page, ulong entry)
    {
        Comparison machines = new();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.SetPage(page, entry);
            for (ulong at = Page; at < Other + 0x1000; at += 8)
            {
                machine.Write(at, at * 0x0101_0101_0101_0101);
            }
        }

        return machines;
    }

    private static ulong[] Run(Comparison machines, Action<Iced.Intel.Assembler> start, Action<Iced.Intel.Assembler> body, ulong resume = Map.Code)
    {
        ulong[] registers = Programs.RunBoth(
            machines,
            resume,
            (Map.Code, a =>
            {
                start(a);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                body(a);
                a.dec(ecx);
                a.jne(Loop);
                a.hlt();
            }
        ),
            (Loop + 0x80, a =>
            {
                a.dec(ecx);
                a.jne(Loop);
                a.hlt();
            }
        ));
        Assert.True(machines.Interpreter.Ram.SequenceEqual(machines.Translator.Ram), "memory differs");
        return registers;
    }
}
