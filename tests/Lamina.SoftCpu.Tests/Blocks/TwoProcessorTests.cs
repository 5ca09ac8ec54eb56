using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Blocks;

/// <summary>Two processors on two threads: locked operations, code that one changes for the other, TLB shootdown.</summary>
public sealed unsafe class TwoProcessorTests : IDisposable
{
    private const int Done = 0x80;
    private const uint Code = Layout.Code;
    private const uint Data = TestMachine.Frames;
    private const int Rcx = 1;
    private const int Rbx = 3;
    private const int Rbp = 5;
    private const int Rsi = 6;

    private readonly TestMachine _machine = new(processors: 2);

    public TwoProcessorTests()
    {
        for (int n = 0; n < 2; n++)
        {
            _machine.EnterLong(0, n);
            Registers(n)[4] -= (ulong)n * 0x400;
        }
    }

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData("f0830301", 0x100u, 50_000)]
    [InlineData("f048830301", 0x100u, 50_000)]
    [InlineData("f066830301", 0x13fu, 1_000)]
    [InlineData("f048830301", 0x13cu, 1_000)]
    [InlineData("f048830301", 0xffcu, 1_000)]
    [InlineData("f0ff03", 0xffeu, 1_000)]
    [InlineData("be01000000f00fc133", 0x200u, 20_000)]
    [InlineData("488b03488d7001f0480fb13375f2", 0x200u, 20_000)]
    [InlineData("488b03488d7001f0480fb13375f2", 0xffcu, 300)]
    public void LockedIncrements(string increment, uint offset, int count)
    {
        byte[] body = Convert.FromHexString(increment);
        _machine.Load(Code, [.. body, 0xff, 0xc9, 0x75, (byte)-(body.Length + 4), 0xcd, 0x80]);
        for (int n = 0; n < 2; n++)
        {
            Registers(n)[Rcx] = (ulong)count;
            Registers(n)[Rbx] = Data + offset;
        }

        Both(Code, Code);
        Assert.Equal(2UL * (ulong)count, _machine.At<ulong>(Data + offset) & 0xff_ffff);
    }

    [Fact]
    public void SpinLock()
    {
        // l: mov eax,1; xchg [rbx],eax; test eax,eax; jz go; pause; jmp l; go: inc qword [rbp] (plain); mov dword [rbx],0; dec ecx; jnz l
        _machine.Load(Code, Convert.FromHexString("b801000000" + "8703" + "85c0" + "7404" + "f390" + "ebf1" + "48ff4500" + "c70300000000" + "ffc9" + "75e3" + "cd80"));
        for (int n = 0; n < 2; n++)
        {
            Registers(n)[Rcx] = 5_000;
            Registers(n)[Rbx] = Data;
            Registers(n)[Rbp] = Data + 0x800;
        }

        Both(Code, Code);
        Assert.Equal(10_000UL, _machine.At<ulong>(Data + 0x800));
    }

    [Fact]
    public void CodeChangedForTheOther()
    {
        // Writer: for i = n..1: [code+1] = i; [flag] = i; wait until [flag] = 0.
        // l: mov [rsi],ecx; mov [rbx],ecx; w: pause; cmp dword [rbx],0; jne w; dec ecx; jnz l; mov dword [rbx],-1
        _machine.Load(Code, Convert.FromHexString("890e" + "890b" + "f390" + "833b00" + "75f9" + "ffc9" + "75f1" + "c703ffffffff" + "cd80"));

        // Reader: w: pause; mov edx,[rbx]; test edx,edx; jz w; js out; call code; sub eax,edx; or ebp,eax; mov dword [rbx],0; jmp w
        const uint reader = Code + 0x1000;
        const uint routine = Code + 0x3000;
        _machine.Load(reader, Convert.FromHexString("f390" + "8b13" + "85d2" + "74f8" + "7811" + "e800000000" + "29d0" + "09c5" + "c70300000000" + "ebe5" + "cd80"));
        _machine.At<int>(reader + 11) = (int)(routine - (reader + 15));
        _machine.Load(routine, 0xb8, 0, 0, 0, 0, 0xc3);
        Registers(0)[Rcx] = 1000;
        Registers(0)[Rbx] = Registers(1)[Rbx] = Data;
        Registers(0)[Rsi] = routine + 1;
        Both(Code, reader);
        Assert.Equal(0UL, Registers(1)[Rbp]);
    }

    [Fact]
    public void Shootdown()
    {
        // Writer: for i = n..1: alternate the page-table entry between two frames; [flag] = i; wait for 0. Frame contents are 0 and 1.
        // l: mov eax,ecx; and eax,1; shl eax,12; or eax,Frames+0x1000*... ; mov [rsi],eax; mov [rbx],ecx; w: pause; cmp [rbx],0; jne w; dec ecx; jnz l; mov [rbx],-1
        const uint frames = Data + 0x10_0000;
        _machine.Load(Code, Convert.FromHexString("89c8" + "83e001" + "c1e00c" + "0d03005000" + "8906" + "890b" + "f390" + "833b00" + "75f9" + "ffc9" + "75e4" + "c703ffffffff" + "cd80"));

        // Reader: w: pause; mov edx,[rbx]; test edx,edx; jz w; js out; invlpg [rsi]; mov eax,[rsi]; and edx,1; sub eax,edx; or ebp,eax; mov dword [rbx],0; jmp w
        const uint reader = Code + 0x1000;
        _machine.Load(reader, Convert.FromHexString("f390" + "8b13" + "85d2" + "74f8" + "7814" + "0f013e" + "8b06" + "83e201" + "29d0" + "09c5" + "c70300000000" + "ebe2" + "cd80"));
        _machine.At<uint>(frames) = 0;
        _machine.At<uint>(frames + 0x1000) = 1;
        uint linear = _machine.Map(0, frames | 3);
        Registers(0)[Rcx] = 2000;
        Registers(0)[Rbx] = Registers(1)[Rbx] = Data;
        Registers(0)[Rsi] = Layout.PageTables + 0x5000;
        Registers(1)[Rsi] = linear;
        Both(Code, reader);
        Assert.Equal(0UL, Registers(1)[Rbp]);
    }

    private ulong* Registers(int n) => _machine.Get(n).Context->Registers;

    private void Both(uint first, uint second)
    {
        int other = 0;
        Thread thread = new(() => other = _machine.Run(second, 1));
        thread.Start();
        int one = _machine.Run(first);
        Assert.True(thread.Join(TimeSpan.FromSeconds(60)));
        Assert.Equal((Done, Done), (one, other));
    }
}
