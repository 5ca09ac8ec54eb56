using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>What a guest asks of its hypervisor reaches it under every accelerator: registers, ports, and hypercalls by the page's port.</summary>
public sealed class PersonalityTests
{
    private const int GeneralProtection = 13;
    private const byte Vector = 0x41;
    private const ulong Table = 0x28_0000;
    private const ulong Frames = 0x29_0000;
    private const ulong Flag = Layout.Data + 0x100;
    private const ulong Page = 0x40_0000;
    private const ulong OtherCode = Layout.Code + 0x1000;

    // out EAh, al; nop; hlt
    private static readonly byte[] CallAndHalt = [.. HypercallPort.Instruction, 0xf4];

    public static TheoryData<string> All => Accelerators.All;

    [Theory]
    [MemberData(nameof(All))]
    public void ItsRegistersAreReadAndWrittenAndOthersFault(string name)
    {
        TestPersonality personality = new();
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();

        // mov ecx, 40000000h; rdmsr; inc eax; wrmsr; hlt
        machine.Write(Layout.Code, [0xb9, 0, 0, 0, 0x40, 0x0f, 0x32, 0xff, 0xc0, 0x0f, 0x30, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(0x1122_3344_5566_7789UL, personality.Value);
        Assert.Equal((0x5566_7789UL, 0x1122_3344UL), (machine.Save().GeneralRegisters[0], machine.Save().GeneralRegisters[2]));

        // Another of the range, and one of KVM's own, which is not this hypervisor's: mov ecx, N; wrmsr
        foreach (byte[] number in (byte[][])[[0x73, 0, 0, 0x40], [1, 0x4d, 0x56, 0x4b]])
        {
            machine.Write(Layout.Code, [0xb9, .. number, 0x0f, 0x30, 0xf4]);
            machine.StartLong(Layout.Code, 0);
            Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
            Assert.Equal(Layout.Handlers + (GeneralProtection * 16) + 6, machine.Save().Rip);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallByThePortReadsAndWritesAllRegisters(string name)
    {
        ulong[] seen = [];
        bool long64 = false;
        TestPersonality personality = new();
        personality.Executes = (in call, byInstruction) =>
        {
            Assert.False(byInstruction);
            seen = call.Registers.ToArray();
            long64 = call.Is64Bit;
            for (int n = 0; n < 16; n++)
            {
                call.Registers[n] = n == 4 ? call.Registers[n] : 0x1_0000_0000UL * (uint)(n + 1);
            }

            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();
        machine.Write(Layout.Code, CallAndHalt);
        machine.StartLong(Layout.Code, 0);
        ProcessorState state = machine.Save();
        for (int n = 0; n < 16; n++)
        {
            state.GeneralRegisters[n] = n == 4 ? state.GeneralRegisters[n] : (ulong)n << 40;
        }

        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.True(long64);
        ProcessorState after = machine.Save();
        Assert.Equal(Layout.Code + 4, after.Rip);
        for (int n = 0; n < 16; n++)
        {
            Assert.Equal(n == 4 ? Layout.KernelStack : (ulong)n << 40, seen[n]);
            Assert.Equal(n == 4 ? Layout.KernelStack : 0x1_0000_0000UL * (uint)(n + 1), after.GeneralRegisters[n]);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void APageThatAHypercallPutsWhereThereIsNoRamIsMemory(string name)
    {
        const ulong Place = 0x2000_0000;
        bool placed = false;
        TestPersonality personality = new();
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        GuestMemoryOverlay overlay = machine.Memory.CreateOverlay(2);
        personality.Executes = (in call, _) =>
        {
            placed = overlay.TryPlace(Place) && overlay.TryPlace(Place + 0x1000);
            return true;
        };
        machine.Connect();

        // Without paging, for the tables end before it: mov edi, Place; mov eax, [edi] (nothing is there yet); out EAh, al; nop; inc dword [edi]; lock cmpxchg of what is there; mov ecx, [edi+ffch]; call
        // of code in the second page; hlt.
        machine.Write(
            Layout.Code,
            [
                0xbf, 0, 0, 0, 0x20, 0x8b, 0x07, .. HypercallPort.Instruction, 0xff, 0x07, 0xb8, 1, 0, 0, 0, 0xba, 0x78, 0x56, 0x34, 0x12, 0xf0, 0x0f, 0xb1, 0x17, 0x8b, 0x8f, 0xfc, 0x0f, 0, 0,
                0xc6, 0x87, 0, 0x10, 0, 0, 0x43, 0xc6, 0x87, 1, 0x10, 0, 0, 0xc3, 0x8d, 0x87, 0, 0x10, 0, 0, 0xff, 0xd0, 0xf4,
            ]);
        machine.StartProtected(Layout.Code);
        ProcessorState state = machine.Save();
        state.GeneralRegisters[4] = Layout.KernelStack;
        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.True(placed);
        Assert.Equal(0x1234_5678UL, machine.Read(Place));
        ProcessorState after = machine.Save();
        Assert.Equal((0UL, 1UL), (after.GeneralRegisters[1], after.GeneralRegisters[3]));

        // Afterwards there is nothing again.
        overlay.Clear();
        machine.Write(Layout.Code, [0xbf, 0, 0, 0, 0x20, 0x8b, 0x07, 0xf4]);
        machine.StartProtected(Layout.Code);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(0xffff_ffffUL, machine.Save().GeneralRegisters[0]);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallReadsAndWritesVectors(string name)
    {
        byte[] seen = new byte[96];
        TestPersonality personality = new();
        personality.Executes = (in call, _) =>
        {
            call.Caller!.ReadVectors(seen);
            call.Caller.WriteVectors(16 + 8, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();

        // mov eax, 12345678h; movd xmm5, eax; pxor xmm1, xmm1; the call; movups [180000h], xmm1; movups [180010h], xmm2; hlt
        machine.Write(
            Layout.Code,
            [
                0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0x0f, 0x6e, 0xe8, 0x66, 0x0f, 0xef, 0xc9, .. HypercallPort.Instruction,
                0x0f, 0x11, 0x0c, 0x25, 0, 0, 0x18, 0, 0x0f, 0x11, 0x14, 0x25, 0x10, 0, 0x18, 0, 0xf4,
            ]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([0x78, 0x56, 0x34, 0x12, 0], seen.AsSpan(80, 5).ToArray());
        Assert.Equal((0UL, 0x0807_0605_0403_0201UL, 9UL), (machine.Read(Layout.Data), machine.Read(Layout.Data + 8), machine.Read(Layout.Data + 16)));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AProgramThatMayUseThePortMakesNoHypercalls(string name)
    {
        TestPersonality personality = new();
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();
        machine.Write(Layout.Code, CallAndHalt);

        // The task has no map of ports.
        Assert.True(machine.Memory.TryWrite(Layout.TaskState + 0x66, (ushort)0x68));
        machine.StartLong(Layout.Code, 3);

        // Without the right it is a fault, and no call.
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Handlers + (GeneralProtection * 16) + 6, machine.Save().Rip);
        Assert.Equal(Layout.Code, machine.Read(machine.Save().GeneralRegisters[4] + 16));
        Assert.Empty(personality.Privileges);

        // With it, by IOPL, it is a write to a port where nothing is: then HLT faults.
        machine.StartLong(Layout.Code, 3);
        ProcessorState state = machine.Save();
        state.Rflags |= 0x3000;
        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.DoesNotContain(0, personality.Privileges);

        // A KVM without hardware may fault in either case.
        ulong end = machine.Read(machine.Save().GeneralRegisters[4] + 16);
        Assert.True(end == Layout.Code + 3 || (end == Layout.Code && name == Accelerators.Kvm && personality.Privileges.Count == 0), $"It faults at {end:x}.");
    }

    [Theory]
    [MemberData(nameof(All))]
    public void ItsPortsAnswerInRegisters(string name)
    {
        TestPersonality personality = new();
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();

        // mov edx, 5658h; mov ecx, 9; in eax, dx; mov esi, ebx; out dx, al; hlt
        machine.Write(Layout.Code, [0xba, 0x58, 0x56, 0, 0, 0xb9, 9, 0, 0, 0, 0xed, 0x89, 0xde, 0xee, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        ulong[] registers = machine.Save().GeneralRegisters;
        Assert.Equal((0xa4a3_a2a1UL, 9UL, 77UL, 78UL), (registers[0], registers[1], registers[6], registers[3]));
        Assert.Equal([0xa1], personality.Written);
        Assert.Equal([9UL], personality.Left);

        // cld; mov edi, 180000h; rep insb, of three; mov esi, 180000h; mov ecx, 3; rep outsb; hlt
        personality.Left.Clear();
        personality.Written.Clear();
        machine.Write(
            Layout.Code,
            [
                0xba, 0x58, 0x56, 0, 0, 0xfc, 0xb9, 3, 0, 0, 0, 0xbf, 0, 0, 0x18, 0, 0xf3, 0x6c,
                0xbe, 0, 0, 0x18, 0, 0xb9, 3, 0, 0, 0, 0xf3, 0x6e, 0xf4,
            ]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        registers = machine.Save().GeneralRegisters;
        Assert.Equal((0UL, Layout.Data + 3, Layout.Data + 3, 78UL), (registers[1], registers[7], registers[6], registers[3]));
        Assert.Equal([3UL, 2UL, 1UL], personality.Left);
        Assert.Equal([0xa1, 0xa2, 0xa3], personality.Written);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallFindsGuestMemoryByTheGuestsTables(string name)
    {
        bool[] found = new bool[4];
        ulong[] physical = new ulong[4];
        TestPersonality personality = new();
        personality.Executes = (in call, _) =>
        {
            found[0] = call.Translation!.TryTranslate(Layout.Data + 0x123, true, out physical[0]);
            found[1] = call.Translation.TryTranslate(Page + 0x45, false, out physical[1]);
            found[2] = call.Translation.TryTranslate(Page + 0x45, true, out physical[2]);
            found[3] = call.Translation.TryTranslate(0x8000_0000_0000, false, out physical[3]);
            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();
        machine.Write(Layout.Tables + 0x2010, Table | 7);
        machine.Write(Table, Frames | 5);
        machine.Write(Layout.Code, CallAndHalt);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([true, true, false, false], found);
        Assert.Equal((Layout.Data + 0x123, Frames + 0x45), (physical[0], physical[1]));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallThatWaitsHaltsAndIsExecutedAgain(string name)
    {
        int waits = 2;
        TestPersonality personality = new();
        personality.Executes = (in call, _) =>
        {
            if (waits-- > 0)
            {
                call.Wait();
            }
            else
            {
                call.Registers[GuestCall.Rax]++;
            }

            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        TestController controller = machine.Connect();

        // sti; nop; the call; hlt
        machine.Write(Layout.Code, [0xfb, 0x90, .. CallAndHalt]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal((Layout.Code + 2, 0UL, true), (machine.Save().Rip, machine.Save().GeneralRegisters[0], machine.Save().Halted));

        // Nothing has come: it stays so. A kick has it ask again, and an interrupt is delivered before the call.
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(1, waits);
        machine.Processor.SignalKick();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal((0, Layout.Code + 2), (waits, machine.Save().Rip));
        controller.Raise(Vector);
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Code + 2, machine.Read(machine.Save().GeneralRegisters[4] + 8));

        // Another processor's body goes on with it.
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal((-1, Layout.Code + 6, 1UL), (waits, machine.Save().Rip, machine.Save().GeneralRegisters[0]));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallThatHaltsIsDoneAndAnyInterruptEndsTheHalt(string name)
    {
        int calls = 0;
        TestPersonality personality = new();
        personality.Executes = (in call, _) =>
        {
            calls++;
            call.Registers[GuestCall.Rax]++;
            call.Halt();
            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        TestController controller = machine.Connect();

        // The call, twice; hlt; sti; nop; hlt. HLT alone does not hear of masked interrupts.
        machine.Write(Layout.Code, [.. HypercallPort.Instruction, .. CallAndHalt, 0xfb, 0x90, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(1, calls);
        machine.Processor.SignalKick();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(2, calls);
        controller.Raise(Vector);
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal((Layout.Code + 7, 2UL, true, 2), (machine.Save().Rip, machine.Save().GeneralRegisters[0], machine.Save().Halted, calls));
        machine.Processor.SignalKick();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([Vector], controller.Taken);

        // What waits in a call is behind it and awake where it is restored.
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal((Layout.Code + 2, 1UL, false, 3), (machine.Save().Rip, machine.Save().GeneralRegisters[0], machine.Save().Halted, calls));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AHypercallThatContinuesIsExecutedAgainWithItsRegisters(string name)
    {
        List<ulong> found = [];
        TestPersonality personality = new();
        personality.Executes = (in call, _) =>
        {
            found.Add(call.Registers[GuestCall.Rsi]);
            if (++call.Registers[GuestCall.Rsi] < 3)
            {
                call.Continue();
            }

            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality);
        machine.Connect();
        machine.Write(Layout.Code, CallAndHalt);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([0UL, 1UL, 2UL], found);
        Assert.Equal((Layout.Code + 4, 3UL), (machine.Save().Rip, machine.Save().GeneralRegisters[GuestCall.Rsi]));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AKickEndsTheNextHalt(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name, new TestPersonality());
        machine.Connect();
        machine.Write(Layout.Code, [0xf4, 0x90, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        machine.Processor.SignalKick();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Code + 3, machine.Save().Rip);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void TranslationsOfAnotherProcessorAreGoneAfterTheCall(string name)
    {
        const int Rounds = 200;
        TestPersonality personality = new();
        personality.Executes = static (in call, _) =>
        {
            call.Caller!.DropTranslations(3, withGlobal: true, []);
            return true;
        };
        using ProcessorMachine machine = Accelerators.CreateMachine(name, personality, processors: 2);
        machine.Connect();
        machine.Write(Layout.Tables + 0x2010, Table | 7);
        machine.Write(Table, Frames | 7);
        machine.Write(Frames, 0UL);
        machine.Write(Frames + 0x1_0000, 1UL);

        // For i = n..1: [table] = frame of i's lowest bit; the call; [flag] = i; wait for 0. hlt
        machine.Write(
            Layout.Code,
            [
                0xb9, .. Bytes(Rounds), 0x89, 0xc8, 0x83, 0xe0, 0x01, 0xc1, 0xe0, 0x10, 0x05, .. Bytes((uint)Frames + 7), 0x48, 0x89, 0x04, 0x25, .. Bytes((uint)Table), .. HypercallPort.Instruction,
                0x89, 0x0c, 0x25, .. Bytes((uint)Flag), 0x83, 0x3c, 0x25, .. Bytes((uint)Flag), 0, 0x75, 0xf6, 0xff, 0xc9, 0x75, 0xd3, 0xf4,
            ]);

        // A program: for each flag that is not 0, [page] must be its lowest bit; [flag] = 0. Otherwise it says so, and goes round in itself.
        machine.Write(
            OtherCode,
            [
                0x8b, 0x04, 0x25, .. Bytes((uint)Flag), 0x85, 0xc0, 0x74, 0xf5, 0x83, 0xe0, 0x01, 0x39, 0x04, 0x25, .. Bytes((uint)Page), 0x75, 0x0d,
                0xc7, 0x04, 0x25, .. Bytes((uint)Flag), 0, 0, 0, 0, 0xeb, 0xdc, 0xff, 0x04, 0x25, .. Bytes((uint)Flag + 8), 0xeb, 0xfe,
            ]);
        machine.StartLong(OtherCode, 3, 1);
        machine.StartLong(Layout.Code, 0);
        ProcessorExit other = default;
        Thread thread = new(() => other = machine.Run(1));
        thread.Start();
        ProcessorExit one = machine.Run();
        machine.Processors[1].RequestExit();
        Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "The other processor does not stop.");
        Assert.Equal(0UL, machine.Read(Flag + 8));
        Assert.Equal((ProcessorExitReason.Halted, ProcessorExitReason.Requested), (one.Reason, other.Reason));
    }

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);
}
