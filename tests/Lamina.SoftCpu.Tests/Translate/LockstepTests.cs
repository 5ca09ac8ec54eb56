using Iced.Intel;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Translate;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Lockstep finds what translated code does wrong, and leaves what it does right as it is.</summary>
public sealed unsafe class LockstepTests
{
    private const ulong Words = Map.Data + 0x1000;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Random_programs_end_as_the_interpreter_ends_them(int seed)
    {
        LockstepMonitor monitor = new() { Interval = 1 };
        using Comparison machines = new(options: new TranslatorOptions { Lockstep = monitor });
        string? report = machines.Run(new RandomProgram(seed, faults: seed % 2 == 0));
        Assert.Null(monitor.Difference?.Summary);
        Assert.Null(report);
        Assert.True(monitor.Compared > 5, $"{monitor.Compared} pieces compared");
    }

    [Fact]
    public void Devices_are_accessed_once()
    {
        LockstepMonitor monitor = new() { Interval = 1 };
        using Comparison machines = new(options: new TranslatorOptions { Lockstep = monitor });
        Programs.RunBoth(machines, 0, (Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, 20);
            a.mov(esi, (uint)Map.Device);
            a.mov(edi, (uint)Words);
            a.Label(ref head);
            a.mov(__dword_ptr[rdi], ecx);
            a.mov(eax, __dword_ptr[rsi + 8]);
            a.mov(__dword_ptr[rdi + 4], eax);
            a.mov(__dword_ptr[rsi + 4], ecx);
            a.add(rdi, 8);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        }
        ));
        Assert.Null(monitor.Difference?.Summary);
        Assert.True(monitor.Compared > 5, $"{monitor.Compared} pieces compared");
    }

    [Fact]
    public void Code_that_overwrites_itself_goes_on()
    {
        LockstepMonitor monitor = new() { Interval = 1 };
        using Comparison machines = new(options: new TranslatorOptions { Lockstep = monitor });
        ulong[] registers = Programs.RunBoth(machines, 0, (Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, 30);
            a.mov(r8, Map.Code + 0x13);
            a.Label(ref head);
            a.mov(__byte_ptr[r8], cl);

            // ADD EAX, 0, whose immediate is what was just written.
            a.db(0x05, 0, 0, 0, 0);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        }
        ));
        Assert.Equal(30UL * 31 / 2, registers[0]);
        Assert.Null(monitor.Difference?.Summary);
        Assert.True(monitor.Skipped > 0, "nothing was skipped");
    }

    [Theory]
    [InlineData("register", "rax: interpreter 3, translator 4")]
    [InlineData("memory", "memory at physical 21000: interpreter 0000000000000005, translator 0000000000000006")]
    public void A_wrong_translation_is_found(string what, string difference)
    {
        LockstepMonitor monitor = new() { Interval = 1 };
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { Lockstep = monitor });
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, 3);
            a.jmp(head);
            a.Label(ref head);
            if (what == "register")
            {
                a.mov(eax, 0x1234_5603);
                a.and(eax, 0xff);
            }
            else
            {
                a.mov(__dword_ptr[Words], 0x1234_5605);
                a.and(__dword_ptr[Words], 0xff);
            }

            a.dec(ecx);
            a.jne(head);
            a.hlt();
        });

        // One round to have it translated; then the translation is damaged as a wrong translator would have written it.
        machine.Start(Programs.At(Map.Code));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        Assert.Null(monitor.Difference);
        Damage(machine.Partition.Code!, what == "register" ? (byte)3 : (byte)5);
        machine.Start(Programs.At(Map.Code));
        Assert.Equal(ProcessorExitReason.Failed, machine.Run());
        Assert.Equal(difference, monitor.Difference!.Details[0]);
        Assert.EndsWith(difference, monitor.Difference.Summary, StringComparison.Ordinal);
        Assert.Equal(Map.Code + 7, monitor.Difference.Rip);
        Assert.NotEmpty(monitor.Difference.HostCode);
        Assert.Contains(monitor.Difference.Details, line => line.StartsWith("rip 0000000000040007", StringComparison.Ordinal));

        // What the translation did has been taken back.
        Assert.Equal(what == "memory" ? 5u : 0u, machine.Read<uint>(Words));
    }

    [Fact]
    public void Two_processors_are_refused()
    {
        TranslatorOptions options = new() { Lockstep = new LockstepMonitor() };
        Assert.Throws<InvalidOperationException>(() => new ConformanceMachine(translates: true, processors: 2, options: options));
    }

    // Changes the lowest byte of the immediate 12 34 56 xx.
    private static void Damage(CodeCache cache, byte low)
    {
        int found = 0;
        foreach (nint address in cache.Translations)
        {
            Translation* t = (Translation*)address;
            Span<byte> code = new(t->NativeEntry, (int)(t->End - t->NativeEntry));
            int at = code.IndexOf((ReadOnlySpan<byte>)[low, 0x56, 0x34, 0x12]);
            if (at >= 0)
            {
                code[at]++;
                found++;
            }
        }

        Assert.Equal(1, found);
    }
}
