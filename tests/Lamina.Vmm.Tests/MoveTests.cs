using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Kvm;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests;

/// <summary>A whole machine begins under one accelerator and goes on under each other.</summary>
public sealed class MoveTests
{
    // Counts typed bytes in EBX and echoes each with the count added; 'q' ends with the count as status.
    private static readonly byte[] Echo =
    [
        0x66, 0xba, 0xf9, 0x03,        // mov dx, 0x3f9
        0xb0, 0x01, 0xee,              // mov al, 1; out dx, al: interrupts of the receiver, which also opens it
        0x31, 0xdb,                    // xor ebx, ebx
        0x66, 0xba, 0xfd, 0x03,        // wait: mov dx, 0x3fd
        0xec, 0xa8, 0x01, 0x74, 0xf7,  // in al, dx; test al, 1; jz wait
        0x31, 0xc0,                    // xor eax, eax
        0x66, 0xba, 0xf8, 0x03, 0xec,  // mov dx, 0x3f8; in al, dx
        0xff, 0xc3,                    // inc ebx
        0x3c, (byte)'q', 0x74, 0x05,   // cmp al, 'q'; je end
        0x00, 0xd8, 0xee,              // add al, bl; out dx, al
        0xeb, 0xe5,                    // jmp wait
        0x89, 0xd8,                    // end: mov eax, ebx
        0xe7, 0xf4,                    // out 0xf4, eax
        0xf4,                          // hlt
    ];

    // The same, with a hypercall of Hyper-V for each byte, through the page at 300000h: what it answers, 0 for success, is added too.
    private static readonly byte[] EchoByHypercall =
    [
        0x66, 0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,
        0xb9, 0, 0, 0, 0x40, 0xb8, 1, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30,     // mov ecx, 40000000h; mov eax, 1; xor edx, edx; wrmsr: the system's name
        0xb9, 1, 0, 0, 0x40, 0xb8, 1, 0, 0x30, 0, 0x31, 0xd2, 0x0f, 0x30,  // mov ecx, 40000001h; mov eax, 300001h; xor edx, edx; wrmsr: the page
        0xbc, 0, 0, 0x31, 0,           // mov esp, 310000h
        0x31, 0xed,                    // xor ebp, ebp
        0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7,
        0x31, 0xc0, 0x66, 0xba, 0xf8, 0x03, 0xec, 0x45,
        0x3c, (byte)'q', 0x74, 0x1b,   // cmp al, 'q'; je end
        0x89, 0xc7,                    // mov edi, eax
        0xb8, 8, 0, 0, 0, 0x31, 0xd2,  // mov eax, 8; xor edx, edx: HvCallNotifyLongSpinWait
        0xb9, 0, 0, 0x30, 0, 0xff, 0xd1, // mov ecx, 300000h; call ecx
        0x01, 0xf8, 0x01, 0xe8,        // add eax, edi; add eax, ebp
        0x66, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xd0,
        0x89, 0xe8, 0xe7, 0xf4, 0xf4,  // end: mov eax, ebp; out 0xf4, eax; hlt
    ];

    public static TheoryData<string> Names => ["interpreter", "translator", "kvm"];

    [Theory]
    [MemberData(nameof(Names))]
    public void AMachineGoesOnUnderEachOther(string first) => GoOnUnderEachOther(first, PersonalityKind.Kvm, Echo);

    [Theory]
    [MemberData(nameof(Names))]
    public void AGuestThatCallsItsHypervisorGoesOnUnderEachOther(string first) => GoOnUnderEachOther(first, PersonalityKind.HyperV, EchoByHypercall);

    [Fact]
    public void KvmIsRefusedWhereItsControllersStandAgainstTheHypervisor()
    {
        if (KvmHost.FindProblem() is { } problem)
        {
            Assert.Skip(problem);
        }

        using KvmAccelerator split = new(new KvmOptions { Controllers = KvmControllers.Split });
        string message = Assert.Throws<MachineConfigurationException>(() => new VirtualMachine(TestMachine.Settings(split) with { Personality = PersonalityKind.HyperV })).Message;
        Assert.Equal("The accelerator 'kvm' cannot show guests the hypervisor 'hyperv': it has local APICs of its own, and the hypervisor 'hyperv' that the guest sees needs the machine's.", message);
    }

    [Fact]
    public void AGuestThatCallsItsHypervisorIsSavedUnderKvmAndRestoredUnderEachOther()
    {
        string directory = Directory.CreateTempSubdirectory("lamina-personality").FullName;
        try
        {
            string path = Path.Combine(directory, "snapshot");
            MemoryCharacterOutput output = new();
            using ManualResetEventSlim written = new();
            output.Written += written.Set;
            using (VirtualMachine machine = new(TestMachine.Settings(Create("kvm")) with
            {
                Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(EchoByHypercall, 0x20_0000), "program") },
                Personality = PersonalityKind.HyperV,
                Serial0 = output,
            }))
            {
                machine.Start();
                Type(machine, output, written, "a", "b");
                machine.Snapshot(path);
            }

            foreach (string name in Names.Select(static n => n.Data))
            {
                using MachineSnapshot snapshot = MachineSnapshot.Open(path);
                MemoryCharacterOutput next = new();
                written.Reset();
                next.Written += written.Set;
                using VirtualMachine restored = new(SnapshotSettings.Create(snapshot, Create(name)) with { Serial0 = next });
                restored.Start();
                Type(restored, next, written, "a", "c");
                restored.Serial0.Write("q"u8);
                Assert.Equal(new MachineResult(MachineOutcome.TestExit, 3), restored.WaitForEndSoon());
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void GoOnUnderEachOther(string first, PersonalityKind personality, byte[] program)
    {
        string[] others = [.. Names.Select(n => n.Data).Where(n => n != first && (n != "kvm" || KvmHost.FindProblem() == null))];
        IAccelerator start = Create(first);
        IAccelerator[] targets = [.. others.Select(Create)];
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(TestMachine.Settings(start) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(program, 0x20_0000), "program") },
            Personality = personality,
            Serial0 = output,
            CompatibleWith = targets,
        });
        machine.Start();
        Type(machine, output, written, "a", "b");
        string expected = "b";
        foreach (IAccelerator target in targets)
        {
            machine.Pause();
            machine.MoveTo(target);
            Assert.True(machine.IsPaused);
            Assert.Equal(target.Name, machine.AcceleratorName);
            machine.Resume();
            expected += (char)('a' + expected.Length + 1);
            Type(machine, output, written, "a", expected);
        }

        // And while it runs.
        machine.MoveTo(Create(first));
        Assert.Equal(first, machine.AcceleratorName);
        machine.Serial0.Write("q"u8);
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, targets.Length + 2), machine.WaitForEndSoon());
    }

    [Fact]
    public void AnAcceleratorThatLacksSomethingIsRefusedAndTheMachineGoesOn()
    {
        using VirtualMachine machine = new(TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(Echo, 0x20_0000), "program") },
        });
        machine.Start();
        string message = Assert.Throws<MachineConfigurationException>(() => machine.MoveTo(new LimitedAccelerator())).Message;
        Assert.Equal("The machine cannot go on under the accelerator 'limited': its time-stamp counters run at 123 MHz alone, and the guest knows them at 1000 MHz.", message);
        Assert.Equal("interpreter", machine.AcceleratorName);
        machine.Serial0.Write("q"u8);
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 1), machine.WaitForEndSoon());
    }

    [Fact]
    public void AnUnsuitedAcceleratorIsLeftForTheTranslator()
    {
        int runs = 0;
        FakeAccelerator accelerator = new(p => Interlocked.Increment(ref runs) == 1 ? new ProcessorExit(ProcessorExitReason.Unsuited, "it is of no use") : p.Spin());
        using VirtualMachine machine = new(TestMachine.Settings(accelerator));
        using ManualResetEventSlim noticed = new();
        string? notice = null;
        machine.Noticed += text =>
        {
            notice = text;
            noticed.Set();
        };
        machine.Start();
        Assert.True(noticed.Wait(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        Assert.Equal("it is of no use; the machine goes on under the translator", notice);
        Assert.Equal("translator", machine.AcceleratorName);
        Assert.True(accelerator.IsDisposed);
    }

    private static IAccelerator Create(string name)
    {
        return name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(),
            _ => TestKvm.Create(KvmControllers.Auto),
        };
    }

    private static void Type(VirtualMachine machine, MemoryCharacterOutput output, ManualResetEventSlim written, string text, string expected)
    {
        machine.Serial0.Write(System.Text.Encoding.ASCII.GetBytes(text));
        while (output.Text != expected)
        {
            Assert.True(written.Wait(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken), $"'{expected}' did not come, but '{output.Text}'");
            written.Reset();
        }
    }

    private sealed class LimitedAccelerator : IAccelerator
    {
        public string Name => "limited";

        public ulong? TscFrequency => 123_000_000;

        public int PhysicalAddressBits => 52;

        public IReadOnlyList<CpuidEntry> Extras => [];

        public bool AnswersForKvm => false;

        public string? FindObstacle(IPersonality personality) => null;

        public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid) => cpuid;

        public IPartition CreatePartition(PartitionSettings settings) => throw new NotSupportedException();
    }
}
