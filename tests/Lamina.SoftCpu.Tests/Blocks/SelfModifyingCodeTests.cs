using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Blocks;

/// <summary>Code that changes: by itself, through another address, by a device, and a cache that runs full.</summary>
public sealed unsafe class SelfModifyingCodeTests : IDisposable
{
    private const int Done = 0x80;
    private const uint Code = Layout.Code;

    private readonly TestMachine _machine = new(arena: 64 << 10);

    public SelfModifyingCodeTests() => _machine.EnterLong(0);

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void NextInstructionOfTheSameBlock()
    {
        // mov byte [rip+1],0x42; mov eax,0x11; int 0x80
        _machine.Load(Code, Convert.FromHexString("c6050100000042" + "b811000000" + "cd80"));
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(0x42UL, _machine.Context->Registers[0]);
    }

    // A device that writes while a machine changes its accelerator knows of the cache that goes.
    [Fact]
    public void ACacheThatIsGoneDropsNothing()
    {
        _machine.Load(Code, Convert.FromHexString("b811000000" + "cd80"));
        Assert.Equal(Done, _machine.Run(Code));
        _machine.Partition.Blocks.Dispose();
        _machine.Partition.Blocks.InvalidateCode(Code, 1);
        Assert.NotEqual(0, *_machine.Memory.GetPageAttributes(Code) & (byte)Lamina.Machine.Memory.PageAttributes.Code);
    }

    [Fact]
    public void EarlierInstructionInALoop()
    {
        // top: add eax,1 (becomes add eax,2, 3, ...); inc byte [rip-9]; dec ecx; jnz top
        _machine.Load(Code, Convert.FromHexString("83c001" + "fe05f9ffffff" + "ffc9" + "75f3" + "cd80"));
        _machine.Context->Registers[1] = 10;
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(55UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void InstructionAcrossPages()
    {
        // mov eax,imm32 begins two bytes before a page's end; it is changed on both pages, twice.
        const uint at = Code + 0xffe;
        _machine.Load(at, Convert.FromHexString("b811223344" + "cd80"));
        Assert.Equal(Done, _machine.Run(at));
        Assert.Equal(0x4433_2211UL, _machine.Context->Registers[0]);

        // mov byte [at+1],0x99; mov byte [at+4],0x88; jmp at
        _machine.Load(Code + 0xf00, Convert.FromHexString("c60425ff0f010099" + "c604250210010088" + "e9e9000000"));
        Assert.Equal(Done, _machine.Run(Code + 0xf00));
        Assert.Equal(0x8833_2299UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void ThroughAnAlias()
    {
        uint alias = _machine.Map(3, TestMachine.Frames | 3);
        _machine.Load(TestMachine.Frames, Convert.FromHexString("b811000000" + "cd80"));
        _machine.Load(Code, Convert.FromHexString("c7042501004000" + "22000000" + "cd80")); // mov dword [Frames+1],0x22
        Assert.Equal(Done, _machine.Run(alias));
        Assert.Equal(Done, _machine.Run(TestMachine.Frames));
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(Done, _machine.Run(alias));
        Assert.Equal(0x22UL, _machine.Context->Registers[0]);
        _machine.Context->Registers[0] = 0;
        Assert.Equal(Done, _machine.Run(TestMachine.Frames));
        Assert.Equal(0x22UL, _machine.Context->Registers[0]);
    }

    [Theory]
    [InlineData("f3aa", 5)]
    [InlineData("f3a4", 5)]
    public void RepeatedStoreOverWhatFollows(string instruction, int count)
    {
        // rep stosb/movsb; five times inc ebx (2 bytes each): some are overwritten by NOPs.
        _machine.Load(Code, Convert.FromHexString(instruction + "ffc3ffc3ffc3ffc3ffc3" + "cd80"));
        new Span<byte>(_machine.Ram + TestMachine.Frames, 16).Fill(0x90);
        ulong* r = _machine.Context->Registers;
        r[0] = 0x90;
        r[1] = (ulong)count - 1;
        r[6] = TestMachine.Frames;
        r[7] = Code + 2;
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(3UL, r[3]);
    }

    [Fact]
    public void WriteByADevice()
    {
        _machine.Load(Code, Convert.FromHexString("b811000000" + "cd80"));
        Assert.Equal(Done, _machine.Run(Code));
        Assert.True(_machine.Memory.TryWrite(Code + 1, 0x55));
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(0x55UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void SecondPageIsAbsent()
    {
        uint first = _machine.Map(0, TestMachine.Frames | 3);
        _machine.Map(1, 0);
        _machine.Load(TestMachine.Frames + 0xffd, 0x48, 0xb8, 0x01);
        _machine.Load(TestMachine.Frames + 0x1000, 0, 0, 0, 0, 0, 0, 0x12, 0xcd, 0x80);
        _machine.Load(TestMachine.Frames + 0x2000, 0, 0, 0, 0, 0, 0, 0x34, 0xcd, 0x80);
        Assert.Equal(14, _machine.Run(first + 0xffd));
        Assert.Equal((0x10UL, first + 0xffdUL, first + 0x1000UL), (_machine.Frame(0), _machine.Frame(1), _machine.Context->Cr2));

        // Present: the same instruction runs. Mapped elsewhere, with INVLPG: it means something else.
        _machine.Map(1, (TestMachine.Frames + 0x1000) | 3);
        Assert.Equal(Done, _machine.Run(first + 0xffd));
        Assert.Equal(0x1200_0000_0000_0001UL, _machine.Context->Registers[0]);
        _machine.Map(1, (TestMachine.Frames + 0x2000) | 3);
        _machine.Load(Code, Convert.FromHexString("0f013b" + "cd80"));
        _machine.Context->Registers[3] = first + 0x1000;
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(Done, _machine.Run(first + 0xffd));
        Assert.Equal(0x3400_0000_0000_0001UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void CodePageRemapped()
    {
        uint page = _machine.Map(0, TestMachine.Frames | 3);
        _machine.Load(TestMachine.Frames, Convert.FromHexString("b811000000" + "cd80"));
        _machine.Load(TestMachine.Frames + 0x1000, Convert.FromHexString("b822000000" + "cd80"));
        Assert.Equal(Done, _machine.Run(page));
        _machine.Map(0, (TestMachine.Frames + 0x1000) | 3);
        _machine.Load(Code, Convert.FromHexString("0f013b" + "ffe3")); // invlpg [rbx]; jmp rbx
        _machine.Context->Registers[3] = page;
        Assert.Equal(Done, _machine.Run(Code));
        Assert.Equal(0x22UL, _machine.Context->Registers[0]);
    }

    [Fact]
    public void FullCache()
    {
        // 4000 blocks of inc eax; jmp +0, ten times over, with an arena that holds a few hundred.
        const int blocks = 4000;
        const uint start = TestMachine.Frames;
        for (uint n = 0; n < blocks; n++)
        {
            _machine.Load(start + (n * 4), 0xff, 0xc0, 0xeb, 0);
        }

        _machine.Load(start + (blocks * 4), 0xff, 0xc9, 0x0f, 0x85);
        _machine.At<int>(start + (blocks * 4) + 4) = -((blocks * 4) + 8);
        _machine.Load(start + (blocks * 4) + 8, 0xcd, 0x80);
        _machine.Context->Registers[1] = 10;
        int epoch = _machine.Partition.Blocks.Epoch;
        Assert.Equal(Done, _machine.Run(start));
        Assert.Equal(blocks * 10UL, _machine.Context->Registers[0]);
        Assert.True(_machine.Partition.Blocks.Epoch > epoch + 10);
    }
}
