using Iced.Intel;
using Lamina.Boot;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Tests.Fakes;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Vmm.Tests.Interrupts;

/// <summary>Timers, lines, messages between processors and the 8259, wherever the interrupt controllers are: the same guest gets the same.</summary>
public sealed class HostedInterruptTests
{
    public static TheoryData<string> Places => ["interpreter", "translator", "kvm off", "kvm split", "kvm on"];

    public static TheoryData<string, string> Pairs
    {
        get
        {
            TheoryData<string, string> pairs = [];
            foreach (TheoryDataRow<string> from in Places)
            {
                foreach (TheoryDataRow<string> to in Places)
                {
                    pairs.Add(from.Data, to.Data);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ALocalTimerShootsOnce(string place)
    {
        BootImage image = InterruptProgram.Create(static p =>
        {
            // Where the handler takes longer than the timer, nothing else would ever run if it were started again for good.
            p.SetGate(InterruptProgram.TimerVector, _ =>
            {
                Label enough = p.Code.CreateLabel();
                p.Code.inc(ebx);
                p.EndOfInterrupt();
                p.Code.cmp(ebx, 10);
                p.Code.jae(enough);
                p.WriteLocal(0x380, 100_000);
                p.Code.Label(ref enough);
            });
            EnableLocal(p);
            p.WriteLocal(0x320, InterruptProgram.TimerVector);
            p.WriteLocal(0x380, 100_000);
            p.HaltUntil(10);
        });
        RunToEnd(place, image, 10);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ALocalTimerGoesByTheTimeStampCounter(string place)
    {
        const int Deadline = 0x6e0;
        BootImage image = InterruptProgram.Create(static p =>
        {
            void Arm()
            {
                p.Code.rdtsc();
                p.Code.add(eax, 200_000);
                p.Code.adc(edx, 0);
                p.Code.mov(ecx, Deadline);
                p.Code.wrmsr();
            }

            // As above.
            p.SetGate(InterruptProgram.TimerVector, _ =>
            {
                Label enough = p.Code.CreateLabel();
                p.Code.inc(ebx);
                p.Code.cmp(ebx, 10);
                p.Code.jae(enough);
                Arm();
                p.Code.Label(ref enough);
                p.EndOfInterrupt();
            });
            EnableLocal(p);
            p.WriteLocal(0x320, 0x4_0000 | InterruptProgram.TimerVector);
            p.Code.mfence();
            Arm();
            p.HaltUntil(10);
        });
        RunToEnd(place, image, 10);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ALevelOnALineComesUntilTheDeviceIsServed(string place)
    {
        BootImage image = InterruptProgram.Create(static p =>
        {
            p.SetGate(InterruptProgram.LineVector, c =>
            {
                // The first two times, the transmitter's interrupt is left standing; at the end there is nothing more to send.
                Label served = c.CreateLabel();
                c.inc(ebx);
                c.cmp(ebx, 3);
                c.jb(served);
                c.mov(dx, 0x3fa);
                c.@in(al, dx);
                c.cmp(ebx, 6);
                c.jae(served);
                c.mov(dx, 0x3f8);
                c.mov(al, (byte)'x');
                c.@out(dx, al);
                c.Label(ref served);
                p.EndOfInterrupt();
            });
            EnableLocal(p);
            p.WriteRedirection(4, 0x8000 | InterruptProgram.LineVector);
            p.Out(0x3f9, 2);
            p.HaltUntil(6);
        });
        Assert.Equal("xxx", RunToEnd(place, image, 6));
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ThePairOfOldControllersInterruptsThroughTheLocalApic(string place)
    {
        BootImage image = InterruptProgram.Create(static p =>
        {
            p.SetGate(InterruptProgram.LegacyVector, c =>
            {
                c.inc(ebx);
                c.mov(al, 0x20);
                c.@out(0x20, al);
            });
            EnableLocal(p);
            p.WriteLocal(0x350, 0x700);
            foreach ((ushort port, byte value) in new (ushort, byte)[] { (0x20, 0x11), (0x21, InterruptProgram.LegacyVector), (0x21, 4), (0x21, 1), (0x21, 0xfe) })
            {
                p.Out(port, value);
            }

            // The interval timer, about 1 kHz.
            p.Out(0x43, 0x34);
            p.Out(0x40, 0xa9);
            p.Out(0x40, 0x04);
            p.HaltUntil(10);
        });
        RunToEnd(place, image, 10);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ProcessorsStartAndInterruptEachOther(string place)
    {
        const uint StartAddress = 0x8000;
        const uint Counted = 0x8800;

        // Real mode reaches no local APIC: it goes on in protected mode with the first one's descriptors.
        byte[] second =
        [
            0xfa, 0x66, 0x0f, 0x01, 0x16, 0x00, 0x89, // cli; lgdt [8900h]
            0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1; mov cr0, eax
            0x66, 0xea, 0x20, 0x80, 0, 0, 0x08, 0, // jmp 8:8020h
        ];
        byte[] secondProtected = InterruptProgram.Assemble(StartAddress + 0x20, static c =>
        {
            c.mov(eax, 0x10);
            c.mov(ds, eax);
            c.mov(__dword_ptr[InterruptProgram.LocalApic + 0xf0], 0x1ff);
            c.xor(ecx, ecx);
            Label again = c.CreateLabel();
            c.Label(ref again);
            c.cmp(__dword_ptr[Counted], ecx);
            c.jne(again);
            c.mov(__dword_ptr[InterruptProgram.LocalApic + 0x310], 0);
            c.mov(__dword_ptr[InterruptProgram.LocalApic + 0x300], 0x4000 | InterruptProgram.OtherVector);
            c.inc(ecx);
            c.cmp(ecx, 5);
            c.jb(again);
            c.cli();
            c.hlt();
        });
        BootImage image = InterruptProgram.Create(p =>
        {
            p.SetGate(InterruptProgram.OtherVector, c =>
            {
                c.inc(ebx);
                p.EndOfInterrupt();
                c.inc(__dword_ptr[Counted]);
            });
            Copy(p.Code, StartAddress, second);
            Copy(p.Code, StartAddress + 0x20, secondProtected);
            p.Code.mov(__dword_ptr[Counted], 0);
            p.Code.mov(__dword_ptr[0x8900], 23);
            p.Code.mov(__dword_ptr[0x8902], 0x22_0000);
            EnableLocal(p);
            p.WriteLocal(0x310, 1 << 24);
            p.WriteLocal(0x300, 0x4500);
            p.WriteLocal(0x310, 1 << 24);
            p.WriteLocal(0x300, 0x4600 | (StartAddress >> 12));
            p.HaltUntil(5);
        });
        RunToEnd(place, image, 5, processors: 2);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void ATickingMachineGoesOnElsewhere(string from, string to)
    {
        // Periodic and of level: a timer of the local APIC, and the transmitter, which writes a dot at each tenth tick.
        BootImage image = InterruptProgram.Create(static p =>
        {
            p.SetGate(InterruptProgram.TimerVector, c =>
            {
                Label quiet = c.CreateLabel();
                c.inc(ebx);
                p.EndOfInterrupt();
                c.inc(esi);
                c.cmp(esi, 5);
                c.jb(quiet);
                c.xor(esi, esi);
                c.mov(dx, 0x3f8);
                c.mov(al, (byte)'.');
                c.@out(dx, al);
                c.Label(ref quiet);
            });
            p.SetGate(InterruptProgram.LineVector, c =>
            {
                c.mov(dx, 0x3fa);
                c.@in(al, dx);
                p.EndOfInterrupt();
            });
            EnableLocal(p);
            p.WriteRedirection(4, 0x8000 | InterruptProgram.LineVector);
            p.Out(0x3f9, 2);
            p.Code.xor(esi, esi);
            p.WriteLocal(0x320, 0x2_0000 | InterruptProgram.TimerVector);
            p.WriteLocal(0x380, 1_000_000);
            p.HaltUntil(int.MaxValue);
        });
        IAccelerator first = Create(from);
        IAccelerator second = Create(to);
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(TestMachine.Settings(first) with
        {
            Boot = new BootSource { Kernel = image },
            Serial0 = output,
            CompatibleWith = [second],
        });
        machine.Start();
        WaitForDots(output, written, 2);

        // There while it runs, and back while it is paused.
        machine.MoveTo(second);
        WaitForDots(output, written, 2);
        machine.Pause();
        machine.MoveTo(Create(from));
        int before = output.Text.Length;
        machine.Resume();
        WaitForDots(output, written, 2);
        Assert.Equal(new string('.', output.Text.Length), output.Text);
        Assert.True(output.Text.Length >= before + 2);
        machine.Quit();
        Assert.Equal(MachineOutcome.Quit, machine.WaitForEndSoon().Outcome);
    }

    private static void EnableLocal(InterruptProgram p)
    {
        p.Code.xor(ebx, ebx);
        p.WriteLocal(0xf0, 0x1ff);
        p.WriteLocal(0x3e0, 0xb);

        // All inputs of the old pair are masked.
        p.Out(0x21, 0xff);
        p.Out(0xa1, 0xff);
    }

    private static void Copy(Assembler c, uint address, byte[] bytes)
    {
        for (int n = 0; n < bytes.Length; n++)
        {
            c.mov(__byte_ptr[address + (uint)n], bytes[n]);
        }
    }

    private static void WaitForDots(MemoryCharacterOutput output, ManualResetEventSlim written, int more)
    {
        int wanted = output.Text.Length + more;
        while (output.Text.Length < wanted)
        {
            Assert.True(written.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken), $"after {output.Text.Length} dots no more came, of {wanted}");
            written.Reset();
        }
    }

    private static string RunToEnd(string place, BootImage image, int status, int processors = 1)
    {
        MemoryCharacterOutput output = new();
        using VirtualMachine machine = new(TestMachine.Settings(Create(place)) with
        {
            Boot = new BootSource { Kernel = image },
            Serial0 = output,
            ProcessorCount = processors,
        });
        machine.Start();
        MachineResult result = machine.WaitForEndSoon();
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, status), result);
        return output.Text;
    }

    private static IAccelerator Create(string place) => place switch
    {
        "interpreter" => new InterpreterAccelerator(),
        "translator" => new TranslatorAccelerator(),
        "kvm off" => TestKvm.Create(KvmControllers.Off),
        "kvm split" => TestKvm.Create(KvmControllers.Split),
        _ => TestKvm.Create(KvmControllers.On),
    };
}
