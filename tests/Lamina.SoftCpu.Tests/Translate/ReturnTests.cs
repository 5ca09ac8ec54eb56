using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Calls and returns that translated code pairs with the host's own, and programs that return elsewhere.</summary>
public sealed class ReturnTests
{
    private const ulong Function = Map.Code + 0x200;
    private const ulong Second = Map.Code + 0x300;
    private const ulong Loop = Map.Code + 0x100;
    private const int Rounds = 40;

    // More calls than the host's stack has room for pairs of.
    [Fact]
    public void RecursionMayBeDeep()
    {
        const int depth = 3000;
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(r12, rsp);
                a.mov(esp, (int)(Map.Data + Map.DataSize));
                a.mov(ebp, 10);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.mov(ecx, depth);
                a.call(Function);
                a.dec(ebp);
                a.jne(Loop);
                a.mov(rsp, r12);
                a.hlt();
            }
        ),
            (Function, a =>
            {
                Iced.Intel.Label end = a.CreateLabel();
                a.dec(ecx);
                a.je(end);
                a.call(Function);
                a.lea(rbx, __[rbx + rbx * 2 + 1]);
                a.Label(ref end);
                a.inc(rdx);
                a.ret();
            }
        ));
        Assert.Equal(10UL * depth, registers[2]);
        Assert.NotEqual(0UL, registers[3]);
    }

    // A function returns to an address that it has put in the place of its own, as retpolines do.
    [Fact]
    public void AReturnMayGoWhereNobodyHasCalledFrom()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.mov(eax, (int)Second);
                a.call(Function);
                a.lea(rbx, __[rbx + rdi * 2 + 3]);
                a.dec(edi);
                a.jne(Loop);
                a.hlt();
            }
        ),
            (Function, a =>
            {
                Iced.Intel.Label over = a.CreateLabel();
                a.call(over);
                a.lea(rbx, __[rbx + 1000]);
                a.hlt();
                a.Label(ref over);
                a.mov(__qword_ptr[rsp], rax);
                a.ret();
            }
        ),
            (Second, a =>
            {
                a.inc(rdx);
                a.ret();
            }
        ));
        Assert.Equal((ulong)Rounds, registers[2]);
        Assert.NotEqual(0UL, registers[3]);
    }

    // Frames are left without returning, and calls that come back twice: what is paired then does not match.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void FramesMayBeLeftOut(int frames)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(Loop);
            }
        ),
            (Loop, a =>
            {
                a.mov(ecx, 6);
                a.call(Function);
                a.lea(rbx, __[rbx + rdi * 2 + 3]);
                a.dec(edi);
                a.jne(Loop);
                a.hlt();
            }
        ),
            (Function, a =>
            {
                Iced.Intel.Label deeper = a.CreateLabel();
                a.dec(ecx);
                a.jne(deeper);
                a.lea(rsp, __[rsp + (8 * frames)]);
                a.ret();
                a.Label(ref deeper);
                a.call(Function);
                a.lea(rbx, __[rbx + rcx * 4 + 1]);
                a.ret();
            }
        ));
        Assert.NotEqual(0UL, registers[3]);
    }

    // The page of the caller becomes another while the function runs: the return executes what is there now.
    [Fact]
    public void AReturnExecutesWhatIsMappedNow()
    {
        const ulong page = Map.Code + 0x2000;
        const ulong other = Map.Code + 0x3000;
        const ulong entry = Map.PageTable + ((page >> 12) * 8);
        using Comparison machines = new();
        Iced.Intel.Assembler there = new(64);
        there.call(Function);
        there.lea(rbx, __[rbx + rbx * 2 + 5]);
        there.dec(edi);
        there.jne(page);
        there.hlt();
        foreach (ConformanceMachine machine in machines.Both)
        {
            machine.Write(other, Programs.Assemble(there, page));
        }

        ulong[] registers = Programs.RunBoth(
            machines,
            Map.Code,
            (Map.Code, a =>
            {
                a.mov(edi, Rounds);
                a.jmp(page);
            }
        ),
            (page, a =>
            {
                a.call(Function);
                a.lea(rbx, __[rbx + rdi * 2 + 3]);
                a.dec(edi);
                a.jne(page);
                a.hlt();
            }
        ),
            (Function, a =>
            {
                Iced.Intel.Label end = a.CreateLabel();
                a.inc(rdx);
                a.test(edi, 3);
                a.jne(end);
                a.mov(rax, __qword_ptr[entry]);
                a.xor(rax, (int)(page ^ other));
                a.mov(__qword_ptr[entry], rax);
                a.invlpg(__[page]);
                a.Label(ref end);
                a.ret();
            }
        ));
        Assert.Equal((ulong)Rounds, registers[2]);
        Assert.NotEqual(0UL, registers[3]);
    }
}
