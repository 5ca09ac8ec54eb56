using System.Runtime.InteropServices;
using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>RDTSC and RDTSCP in translated code, which reads the host's clock where the counter counts that.</summary>
public sealed class TimeStampTests
{
    private const int Rounds = 400;
    private const ulong Offset = 12_345_678;
    private const uint Aux = 0x8765_4321;

    // Counters that were read, one behind the other.
    private const ulong Counters = Map.Data;

    [Theory]
    [InlineData(false, 2)]
    [InlineData(true, 2)]
    [InlineData(false, int.MaxValue)]
    [InlineData(true, int.MaxValue)]
    public void CountersAreThoseOfTheClockAndNeverGoBack(bool shared, int hotThreshold)
    {
        HostClock clock = new(Offset);
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = hotThreshold, SharesAll = shared }, clock: clock);
        ulong before = clock.Now;
        ulong[] counters = Read(machine, static a => a.rdtsc());
        ulong after = clock.Now;
        AssertOrder([before, .. counters, after]);
        Assert.True(machine.Processors[0].InstructionsRetired < Rounds, $"{machine.Processors[0].InstructionsRetired} instructions were interpreted in {Rounds} rounds, so the counter was not read by translated code");
    }

    [Fact]
    public void OtherFrequenciesAndOtherClocksAreTheInterpreters()
    {
        HostClock hidden = new(Offset, shown: false);
        using ConformanceMachine other = new(translates: true, clock: hidden);
        ulong before = hidden.Now;
        ulong[] counters = Read(other, static a => a.rdtsc());
        AssertOrder([before, .. counters, hidden.Now]);

        HostClock clock = new(Offset);
        using ConformanceMachine fast = new(translates: true, clock: clock, tscFrequency: 3_000_000_000);
        before = clock.Now * 3;
        counters = Read(fast, static a => a.rdtsc());
        AssertOrder([before, .. counters, clock.Now * 3]);
    }

    [Fact]
    public void ACounterThatIsSetGoesOnFromThere()
    {
        const ulong set = 0x7654_0000_0000_0000;
        HostClock clock = new(Offset);
        using ConformanceMachine machine = new(translates: true, clock: clock);
        ulong[] counters = Read(machine, static a =>
        {
            // In the middle.
            Label keep = a.CreateLabel();
            a.cmp(edi, Rounds / 2);
            a.jne(keep);
            a.mov(ecx, 0x10);
            a.xor(eax, eax);
            a.mov(edx, (int)(set >> 32));
            a.wrmsr();
            a.Label(ref keep);
            a.rdtsc();
        });
        AssertOrder(counters);
        Assert.InRange(counters[(Rounds / 2) - 1], 0UL, set - 1);
        Assert.InRange(counters[Rounds / 2], set, set + 60_000_000_000);
    }

    // Flags, general and vector registers, whatever the host's function does with them.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void NothingElseChanges(bool processor)
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 }, clock: new HostClock(Offset));
        StartState start = Programs.At(Map.Code);
        Random random = new(4);
        random.NextBytes(start.Vectors);
        random.NextBytes(start.UpperVectors);
        for (int n = 0; n < 16; n++)
        {
            start.Registers[n] = n is 4 ? Map.Stack : n is 7 ? Rounds : (ulong)random.NextInt64();
        }

        start.Msrs[0xc000_0103] = Aux;
        Programs.Write(machine, Map.Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            a.vmovaps(ymm1, ymm1);
            a.cmp(edi, 1);
            a.stc();
            if (processor)
            {
                a.rdtscp();
            }
            else
            {
                a.rdtsc();
            }

            a.setc(__byte_ptr[Map.Data]);
            a.setz(__byte_ptr[Map.Data + 1]);
            a.dec(edi);
            a.jne(loop);
            a.hlt();
        });
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        ProcessorState state = machine.Save();
        Assert.Equal(0x0101, machine.Read<ushort>(Map.Data));
        for (int n = 0; n < 16; n++)
        {
            ulong expected = n switch { 0 or 2 => state.GeneralRegisters[n] & uint.MaxValue, 1 when processor => Aux, 7 => 0, _ => start.Registers[n] };
            Assert.True(expected == state.GeneralRegisters[n], $"register {n} is {state.GeneralRegisters[n]:x} and should be {expected:x}");
        }

        Assert.Equal(start.Vectors, state.XsaveArea.AsSpan(160, 256).ToArray());
        Assert.Equal(start.UpperVectors, state.XsaveArea.AsSpan(576, 256).ToArray());
        Assert.True(machine.Processors[0].InstructionsRetired < Rounds, $"{machine.Processors[0].InstructionsRetired} instructions were interpreted in {Rounds} rounds");
    }

    [Fact]
    public void X87RegistersStay()
    {
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 }, clock: new HostClock(Offset));
        ulong[] counters = Read(machine, static a =>
        {
            a.fld1();
            a.rdtsc();
            a.fiadd(__dword_ptr[Map.Data - 0x1000]);
            a.fistp(__dword_ptr[Map.Data - 0x1000]);
        });
        AssertOrder(counters);
        Assert.Equal(Rounds, machine.Read<int>(Map.Data - 0x1000));
    }

    // CR4.TSD, which says so for all privileges but the highest (Intel SDM volume 2, RDTSC).
    [Fact]
    public void UsersReadItOnlyIfTheyMay()
    {
        const ulong kernel = Map.Code + 0x200;
        const ulong user = Map.Code + 0x400;
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { HotThreshold = 2 }, clock: new HostClock(Offset));
        FaultHandlers.Install(machine);
        machine.Write(FaultHandlers.Resume, kernel + 0x100);
        Programs.Write(machine, kernel, a =>
        {
            // The last time, forbidden.
            Label allowed = a.CreateLabel();
            a.rdtsc();
            a.dec(edi);
            a.jne(allowed);
            a.mov(rax, cr4);
            a.or(eax, 4);
            a.mov(cr4, rax);
            a.Label(ref allowed);
            a.mov(ecx, (int)user);
            a.mov(r11d, 2);
            a.sysretq();
        });
        Programs.Write(machine, kernel + 0x100, a => a.hlt());
        Programs.Write(machine, user, a =>
        {
            a.rdtsc();
            a.inc(rbx);
            a.syscall();
        });
        StartState start = Programs.At(kernel);
        start.Registers[7] = Rounds;
        start.EnableSystemCalls(kernel);
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());

        // The handlers' first record: behind the registers, the vector, an error code and where.
        Assert.Equal((13UL, 0UL, user), (machine.Read<ulong>(Map.Record + 120), machine.Read<ulong>(Map.Record + 128), machine.Read<ulong>(Map.Record + 136)));
        Assert.Equal((ulong)Rounds - 1, machine.Save().GeneralRegisters[3]);
    }

    // Runs a piece of code in a loop, which leaves a counter in RDX and RAX each time, as RDTSC does; RDI counts down.
    private static ulong[] Read(ConformanceMachine machine, Action<Assembler> write)
    {
        Programs.Write(machine, Map.Code, a =>
        {
            Label loop = a.CreateLabel();
            a.Label(ref loop);
            write(a);
            a.shl(rdx, 32);
            a.or(rax, rdx);
            a.mov(__qword_ptr[rsi], rax);
            a.add(rsi, 8);
            a.dec(edi);
            a.jne(loop);
            a.hlt();
        });
        StartState start = Programs.At(Map.Code);
        start.Registers[6] = Counters;
        start.Registers[7] = Rounds;
        machine.Start(start);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());
        return MemoryMarshal.Cast<byte, ulong>(machine.Ram.Slice((int)Counters, Rounds * 8)).ToArray();
    }

    private static void AssertOrder(ulong[] counters)
    {
        for (int n = 1; n < counters.Length; n++)
        {
            Assert.True(counters[n] >= counters[n - 1], $"counter {n} of {counters.Length} is {counters[n]}, behind {counters[n - 1]}");
        }
    }
}
