using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>A hypercall drops what other processors have cached: after it, none of them uses an old translation.</summary>
public sealed unsafe class DropTranslationTests
{
    private const int Done = 0x80;
    private const uint Code = Layout.Code;
    private const uint Reader = Code + 0x1000;
    private const uint Data = TestMachine.Frames;
    private const uint Frames = Data + 0x10_0000;
    private const int Rcx = 1;
    private const int Rbx = 3;
    private const int Rbp = 5;
    private const int Rsi = 6;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void NoProcessorUsesWhatWasDropped(bool translates, bool single)
    {
        Dropper dropper = new() { Single = single };
        using TestMachine machine = Create(dropper, translates);

        // For i = n..1: [entry] = frame of i's lowest bit; vmcall; [flag] = i; wait for 0.
        machine.Load(Code, Convert.FromHexString("89c8" + "83e001" + "c1e00c" + "0d03005000" + "8906" + "0f01c1" + "890b" + "f390" + "833b00" + "75f9" + "ffc9" + "75e1" + "c703ffffffff" + "cd80"));

        // Waits for the flag, reads the page, and notes in EBP whether that was another frame than the flag says; [flag] = 0.
        machine.Load(Reader, Convert.FromHexString("f390" + "8b13" + "85d2" + "74f8" + "7811" + "8b06" + "83e201" + "29d0" + "09c5" + "c70300000000" + "ebe5" + "cd80"));
        machine.At<uint>(Frames) = 0;
        machine.At<uint>(Frames + 0x1000) = 1;
        dropper.Page = machine.Map(0, Frames | 3);
        ulong* writer = machine.Get(0).Context->Registers;
        ulong* reader = machine.Get(1).Context->Registers;
        writer[Rcx] = 200;
        writer[Rbx] = reader[Rbx] = Data;
        writer[Rsi] = Layout.PageTables + 0x5000;
        reader[Rsi] = dropper.Page;
        Both(machine, Code, Reader);
        Assert.Equal(0UL, reader[Rbp]);
    }

    [Fact]
    public void ProcessorsMayAskEachOther()
    {
        using TestMachine machine = Create(new Dropper(), translates: true);

        // vmcall; dec ecx; jnz; int 80h
        machine.Load(Code, Convert.FromHexString("0f01c1" + "ffc9" + "75f9" + "cd80"));
        for (int n = 0; n < 2; n++)
        {
            machine.Get(n).Context->Registers[Rcx] = 300;
        }

        Both(machine, Code, Code);
    }

    [Fact]
    public void AProcessorThatRestsIsNotWaitedForAndDropsBeforeItGoesOn()
    {
        Dropper dropper = new();
        using TestMachine machine = Create(dropper, translates: false);

        // mov eax,[rsi]; hlt
        machine.Load(Reader, Convert.FromHexString("8b06" + "f4" + "8b06" + "f4"));
        machine.Load(Code, Convert.FromHexString("0f01c1" + "f4"));
        machine.At<uint>(Frames + 0x1000) = 1;
        dropper.Page = machine.Map(0, Frames | 3);
        machine.Get(1).Context->Registers[Rsi] = dropper.Page;
        Assert.Equal(-1, machine.Run(Reader, 1));
        machine.Map(0, (Frames + 0x1000) | 3);
        Assert.Equal(-1, machine.Run(Reader, 1));
        Assert.Equal(0UL, machine.Get(1).Context->Registers[0]);
        Assert.Equal(-1, machine.Run(Code));
        Assert.Equal(-1, machine.Run(Reader, 1));
        Assert.Equal(1UL, machine.Get(1).Context->Registers[0]);
    }

    [Fact]
    public void ThePersonalityHearsWhichProcessorsExecute()
    {
        Dropper dropper = new();
        using TestMachine machine = Create(dropper, translates: false);
        machine.Load(Reader, Convert.FromHexString("8b06" + "f4"));
        machine.At<uint>(Frames + 0x1000) = 1;
        uint page = machine.Map(0, Frames | 3);
        machine.Get(1).Context->Registers[Rsi] = page;
        Assert.Equal(-1, machine.Run(Reader, 1));
        machine.Map(0, (Frames + 0x1000) | 3);
        dropper.Drops = true;
        Assert.Equal(-1, machine.Run(Reader, 1));
        Assert.Equal(1UL, machine.Get(1).Context->Registers[0]);
        Assert.Equal(["enter 1", "leave 1", "enter 1", "leave 1"], dropper.Heard);
    }

    [Fact]
    public void VectorRegistersAreReadAndWrittenAsRows()
    {
        using TestMachine machine = Create(new Dropper(), translates: false);
        SoftwareProcessor processor = machine.Processor;
        processor.WriteVectors(14, [1, 2, 3]);
        Assert.Equal((1, 2, 3), (processor.Context->Vectors[14], processor.Context->Vectors[15], processor.Context->Vectors[32]));
        byte[] read = new byte[17];
        processor.ReadVectors(read);
        Assert.Equal((1, 2, 3), (read[14], read[15], read[16]));
    }

    private static TestMachine Create(Dropper dropper, bool translates)
    {
        TestMachine machine = new(processors: 2, personality: dropper, translates: translates);
        for (int n = 0; n < 2; n++)
        {
            machine.EnterLong(0, n);
            machine.Get(n).Context->Registers[4] -= (ulong)n * 0x400;
        }

        return machine;
    }

    private static void Both(TestMachine machine, uint first, uint second)
    {
        int other = 0;
        Thread thread = new(() => other = machine.Run(second, 1));
        thread.Start();
        int one = machine.Run(first);
        Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "The other processor waits for ever.");
        Assert.Equal((Done, Done), (one, other));
    }

    private sealed class Dropper : IPersonality, IProcessorPresence
    {
        public List<string> Heard { get; } = [];

        public bool Single { get; init; }

        public uint Page { get; set; }

        public bool Drops { get; set; }

        public string Name => "dropper";

        public IReadOnlyList<CpuidEntry> Leaves => [];

        public ushort FirstPort => 0;

        public int PortCount => 0;

        public bool HasHypercalls => true;

        public bool HasHypercallPage => true;

        public bool UsesHypercallInstruction => true;

        public bool NeedsLocalApics => false;

        public bool DependsOnTimeStamp(uint index) => true;

        public bool OnEnter(int processor)
        {
            lock (Heard)
            {
                Heard.Add($"enter {processor}");
            }

            return Drops;
        }

        public void OnLeave(int processor)
        {
            lock (Heard)
            {
                Heard.Add($"leave {processor}");
            }
        }

        public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
        {
        }

        public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
        {
            value = 0;
            return false;
        }

        public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value) => false;

        public void OnTimeStampSet(int processor, ulong timeStamp)
        {
        }

        public bool TryHypercall(in GuestCall call, bool byInstruction = true)
        {
            ReadOnlySpan<ulong> page = [Page];
            call.Caller!.DropTranslations(0b11, withGlobal: false, Single ? page : []);
            return true;
        }

        public void ReadPort(in GuestCall call, ushort port, Span<byte> data)
        {
        }

        public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
        {
        }

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
