using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>What the processor does not know itself goes to the machine's personality: registers, hypercalls, and ports that answer in registers.</summary>
public sealed unsafe class PersonalityTests
{
    private const int InvalidOpcode = 6;
    private const int GeneralProtection = 13;
    private const int Done = -1;
    private const ulong Code = Layout.Code;

    [Theory]
    [InlineData("0f01c1")]
    [InlineData("0f01d9")]
    public void HypercallsReadAndWriteRegisters(string instruction)
    {
        Recorder recorder = new();
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(0);
        machine.Context->Registers[GuestCall.Rax] = 41;
        Assert.Equal(Done, Run(machine, $"{instruction}f4"));
        Assert.Equal((42UL, 0, true), (machine.Context->Registers[GuestCall.Rax], recorder.Privilege, recorder.Is64Bit));
        Assert.Equal(Code + 4, machine.Context->Rip);
    }

    [Fact]
    public void ACallMaySeeAllOfItsProcessorAndWriteRegisters()
    {
        // MOV EAX, 5; CMP EAX, 6; VMCALL; HLT.
        Recorder recorder = new() { Looks = true };
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(0);
        machine.Context->Cr2 = 0x1234;
        Assert.Equal(Done, Run(machine, "b80500000083f8060f01c1f4"));
        ProcessorState state = recorder.Seen;
        Assert.Equal((5UL, Code + 8, 0x1234UL), (state.GeneralRegisters[0], state.Rip, state.Cr2));
        Assert.Equal(0x81UL, state.Rflags & 0xc1);
        Assert.Equal(machine.Context->Cr3, state.Cr3);
        Assert.Equal((true, 0xd01UL, true, 77UL), (recorder.ReadsEfer, recorder.Efer | 0x801, recorder.Writes, machine.Context->TscAux));
    }

    [Theory]
    [InlineData("0f01c1", true)]
    [InlineData("660f01c1", false)]
    [InlineData("f00f01c1", false)]
    public void AHypercallThatIsRefusedOrPrefixedIsUndefined(string instruction, bool refuses)
    {
        using TestMachine machine = new(personality: new Recorder { Refuses = refuses });
        machine.EnterLong(0);
        Assert.Equal(InvalidOpcode, Run(machine, $"{instruction}f4"));
    }

    [Fact]
    public void WithoutAPersonalityThereAreNone()
    {
        using TestMachine machine = new();
        machine.EnterLong(0);
        Assert.Equal(InvalidOpcode, Run(machine, "0f01c1f4"));
        machine.EnterLong(0);
        Assert.Equal(GeneralProtection, Run(machine, "b9000000400f32f4"));
    }

    [Fact]
    public void UnknownRegistersAreItsAndRefusedOnesFault()
    {
        Recorder recorder = new();
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(0);
        Assert.Equal(Done, Run(machine, "b9000000400f32f4"));
        Assert.Equal((0x5566_7788UL, 0x1122_3344UL), (machine.Context->Registers[GuestCall.Rax], machine.Context->Registers[GuestCall.Rdx]));
        machine.EnterLong(0);
        Assert.Equal(Done, Run(machine, "b900000040b807000000ba090000000f30f4"));
        Assert.Equal(0x9_0000_0007UL, recorder.Written);
        machine.EnterLong(0);
        Assert.Equal(GeneralProtection, Run(machine, "b9010000400f32f4"));
        machine.EnterLong(0);
        Assert.Equal(GeneralProtection, Run(machine, "b9010000400f30f4"));
    }

    [Fact]
    public void ItHearsOfTimeStampsThatAreSet()
    {
        Recorder recorder = new();
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(0);
        Assert.Equal(Done, Run(machine, "b910000000b8e803000031d20f30f4"));
        Assert.Equal(1000UL, recorder.TimeStamp);

        // Writing what is there sets nothing.
        recorder.Forget();
        machine.EnterLong(0);
        Assert.Equal(Done, Run(machine, "b93b0000000f320f30f4"));
        Assert.Equal(0UL, recorder.TimeStamp);
    }

    [Fact]
    public void ItsPortsAnswerInRegistersAtAnyPrivilege()
    {
        Recorder recorder = new();
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(3);
        machine.Context->Registers[GuestCall.Rdx] = Recorder.Port;
        machine.Load(TestMachine.UserCode, 0xed, 0xf4);

        // HLT at CPL 3 faults: it is where the program ends.
        Assert.Equal(GeneralProtection, machine.Run(TestMachine.UserCode));
        Assert.Equal((0xcafe_f00dUL, 77UL, 3), (machine.Context->Registers[GuestCall.Rax], machine.Context->Registers[GuestCall.Rbx], recorder.Privilege));
        machine.EnterLong(3);
        machine.Context->Registers[GuestCall.Rdx] = Recorder.Port + 1;
        Assert.Equal(GeneralProtection, machine.Run(TestMachine.UserCode));
        Assert.Equal(0UL, machine.Context->Registers[GuestCall.Rbx]);
        machine.EnterLong(3);
        machine.Context->Registers[GuestCall.Rdx] = Recorder.Port;
        machine.Context->Registers[GuestCall.Rax] = 0x1_2345_6789;
        machine.Load(TestMachine.UserCode, 0xef, 0xf4);
        Assert.Equal(GeneralProtection, machine.Run(TestMachine.UserCode));
        Assert.Equal((0x2345_6789UL, TestMachine.UserCode + 1UL), (recorder.Written, machine.Frame(1)));
    }

    [Fact]
    public void ItFindsGuestMemoryAsCpl0Does()
    {
        using TestMachine machine = new(personality: new Recorder());
        machine.EnterLong(3);
        uint page = machine.Map(0, TestMachine.Frames | 1u);
        Assert.True(machine.Processor.TryTranslate(page + 0x123, false, out ulong physical));
        Assert.Equal(TestMachine.Frames + 0x123UL, physical);
        Assert.False(machine.Processor.TryTranslate(page + 0x123, true, out _));
        Assert.False(machine.Processor.TryTranslate(machine.Map(1, 0), false, out _));
        Assert.False(machine.Processor.TryTranslate(0x8000_0000_0000, false, out _));
    }

    [Fact]
    public void AHypercallThatWaitsHaltsAndIsExecutedAgain()
    {
        Recorder recorder = new() { Waits = 3 };
        using TestMachine machine = new(personality: recorder);
        machine.EnterLong(0);
        machine.Context->Registers[GuestCall.Rax] = 41;
        Assert.Equal(Done, Run(machine, "900f01c1f4"));
        Assert.Equal((Code + 1, 41UL), (machine.Context->Rip, machine.Context->Registers[GuestCall.Rax]));
        Assert.Equal(Done, machine.Continue());
        Assert.Equal((Code + 1, 1), (machine.Context->Rip, recorder.Waits));

        // A kick ends the third wait.
        machine.Processor.SignalKick();
        Assert.Equal(Done, machine.Continue());
        Assert.Equal((Code + 5, 42UL, 0), (machine.Context->Rip, machine.Context->Registers[GuestCall.Rax], recorder.Waits));
    }

    [Fact]
    public void AKickEndsTheNextHalt()
    {
        using TestMachine machine = new(personality: new Recorder());
        machine.EnterLong(0);
        machine.Processor.SignalKick();
        Assert.Equal(Done, Run(machine, "f490f4"));
        Assert.Equal(Code + 3, machine.Context->Rip);
        Assert.Equal(Done, Run(machine, "f490f4"));
        Assert.Equal(Code + 1, machine.Context->Rip);
    }

    private static int Run(TestMachine machine, string code)
    {
        machine.Load(Code, Convert.FromHexString(code));
        return machine.Run(Code);
    }

    private sealed class Recorder : IPersonality
    {
        public const ushort Port = 0x5658;

        public bool Refuses { get; init; }

        /// <summary>Whether it looks at the calling processor's registers.</summary>
        public bool Looks { get; init; }

        public ProcessorState Seen { get; } = new();

        public bool ReadsEfer { get; private set; }

        public ulong Efer { get; private set; }

        public bool Writes { get; private set; }

        public int Privilege { get; private set; } = -1;

        public bool Is64Bit { get; private set; }

        public ulong Written { get; private set; }

        public ulong TimeStamp { get; private set; }

        public string Name => "recorder";

        public IReadOnlyList<CpuidEntry> Leaves => [];

        public ushort FirstPort => Port;

        public int PortCount => 1;

        public bool HasHypercalls => true;

        public bool HasHypercallPage => true;

        public bool UsesHypercallInstruction => true;

        public bool NeedsLocalApics => false;

        public bool DependsOnTimeStamp(uint index) => true;

        public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
        {
        }

        public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
        {
            value = 0x1122_3344_5566_7788;
            return index == 0x4000_0000;
        }

        public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value)
        {
            Written = value;
            return index == 0x4000_0000;
        }

        public int Waits { get; set; }

        public void Forget() => TimeStamp = 0;

        public void OnTimeStampSet(int processor, ulong timeStamp) => TimeStamp = timeStamp;

        public bool TryHypercall(in GuestCall call, bool byInstruction = true)
        {
            (Privilege, Is64Bit) = (call.PrivilegeLevel, call.Is64Bit);
            if (Looks && call.Caller is ICallingRegisters registers)
            {
                registers.SaveCaller(Seen);
                ReadsEfer = registers.TryReadCallerMsr(0xc000_0080, out ulong efer);
                Efer = efer;
                Writes = registers.TryWriteCallerMsr(0xc000_0103, 77) && !registers.TryWriteCallerMsr(0xfe, 1);
            }

            if (Waits > 0)
            {
                Waits--;
                call.Wait();
                return true;
            }

            call.Registers[GuestCall.Rax]++;
            return !Refuses;
        }

        public void ReadPort(in GuestCall call, ushort port, Span<byte> data)
        {
            Privilege = call.PrivilegeLevel;
            call.Registers[GuestCall.Rbx] = 77;
            BitConverter.TryWriteBytes(data, 0xcafe_f00du);
        }

        public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data) => Written = BitConverter.ToUInt32(data);

        public void Start()
        {
        }

        public void Stop()
        {
        }

        public void Reset()
        {
        }

        public void Save(IStateWriter state)
        {
        }

        public bool Restore(IStateReader state) => true;
    }
}
