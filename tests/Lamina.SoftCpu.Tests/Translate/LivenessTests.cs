using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Flags that are read far behind the instruction that writes them.</summary>
public sealed class LivenessTests
{
    private const ulong Head = Map.Code + 0x80;
    private const ulong Target = Map.Code + 0x100;
    private const ulong Reader = Map.Code + 0x180;
    private const int Rounds = 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BehindAnIndirectJumpNobodyKnows(bool memory)
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            0,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(r8d, (uint)Reader);
                a.mov(__[Map.Data], r8);
                a.mov(ebx, -1);
                a.jmp(Head);
            }
        ),
            (Head, a =>
            {
                a.add(ebx, ebx);
                a.jmp(Target);
            }
        ),
            (Target, a =>
            {
                a.dec(edx);
                if (memory)
                {
                    a.jmp(__qword_ptr[Map.Data]);
                }
                else
                {
                    a.jmp(r8);
                }

                // Never executed: what it does to the flags does not matter.
                a.xor(esi, esi);
            }
        ),
            (Reader, a =>
            {
                a.adc(eax, 0);
                a.mov(ebx, -1);
                a.dec(ecx);
                a.jne(Head);
                a.hlt();
            }
        ));
        Assert.Equal((ulong)Rounds, registers[0]);
    }

    [Fact]
    public void ACallThroughTheSlotOfItsOwnReturnAddress()
    {
        using Comparison machines = new();
        ulong[] registers = Programs.RunBoth(
            machines,
            0,
            (Map.Code, a =>
            {
                a.mov(ecx, Rounds);
                a.mov(r8d, (uint)Target);
                a.jmp(Head);
            }
        ),
            (Head, a =>
            {
                // Each time another target: the look-up misses.
                a.mov(__byte_ptr[r8], 0xc3);
                a.mov(__[rsp - 8], r8);
                a.call(__qword_ptr[rsp - 8]);
                a.inc(r8);
                a.inc(eax);
                a.dec(ecx);
                a.jne(Head);
                a.hlt();
            }
        ));
        Assert.Equal((ulong)Rounds, registers[0]);
    }
}
