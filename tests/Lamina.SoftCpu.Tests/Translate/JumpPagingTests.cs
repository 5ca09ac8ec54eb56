using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Direct jumps between pages whose frames change, in several address spaces and both privileges: pages that displace each other wherever pages of code are remembered, the same code at several addresses,
/// and code that runs between the change of a page table and the invalidation, when it may do either. Afterwards only what the tables say is right. <c>LAMINA_FUZZ_SECONDS</c> makes it longer,
/// <c>LAMINA_FUZZ_SEED</c> repeats a round.
/// </summary>
public sealed class JumpPagingTests
{
    private const double DefaultSeconds = 2;
    private const int Rounds = 400;
    private const int EntrySize = 128;
    private const int ResultOffset = 96;
    private const int Spaces = 3;
    private const int Pages = 12;
    private const int FarPages = 7;
    private const int Variants = 3;
    private const ulong Kernel = Map.Code + 0x100;
    private const ulong SystemCall = Map.Code + 0x1100;
    private const ulong Tables = 0x5_0000;
    private const ulong Frames = 0x8_0000;
    private const ulong Script = 0xc_0000;
    private const ulong NoFlush = 1UL << 63;

    // The far pages have one place for the numbers of their mappings, and one set of the pages that are fetched from, which has four.
    private const ulong Far = 256 << 20;

    [Fact]
    public void JumpsGoWhereTheTablesSay()
    {
        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : DefaultSeconds;
        int? only = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : null;
        int start = only ?? Random.Shared.Next(int.MaxValue / 2);
        int rounds = 0;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            int round = start + rounds++;
            try
            {
                Play(round);
            }
            catch (Exception e)
            {
                Assert.Fail($"Round LAMINA_FUZZ_SEED={round}: {e}");
            }
        }
        while (only == null && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        TestContext.Current.SendDiagnosticMessage($"{rounds} rounds from LAMINA_FUZZ_SEED={start}");
    }

    private static void Play(int seed)
    {
        TranslatorOptions options = new() { HotThreshold = seed % 3 == 0 ? 1 << 20 : seed % 3 * 2, SharesAll = seed % 4 == 1 };
        using Comparison machines = new(options: options);
        foreach (ConformanceMachine machine in machines.Both)
        {
            Random random = new(seed);
            ulong[] expected = Prepare(machine, random);
            StartState start = new() { Rip = Kernel };
            start.Registers[4] = Map.Stack;
            start.Registers[8] = Script;
            start.Registers[9] = Script + (Rounds * EntrySize);
            start.EnableSystemCalls(SystemCall);
            machine.Start(start);
            Assert.Equal(ProcessorExitReason.Halted, machine.Run());
            string name = machine == machines.Translator ? "the translator" : "the interpreter";
            for (int round = 0; round < Rounds; round++)
            {
                ulong result = machine.Read<ulong>(Script + ((ulong)round * EntrySize) + ResultOffset);
                Assert.True(result == expected[round], $"{name} got {result:x} in round {round}, not {expected[round]:x}");
            }
        }
    }

    private static ulong BaseOf(int space) => 0x4000_0000UL + ((ulong)space << 16);

    private static ulong OffsetOf(int page) => page < FarPages ? (ulong)page * Far : (ulong)(page - FarPages + 1) << 12;

    // The code of each page begins elsewhere, so that all can be found by their addresses at once.
    private static ulong EntryOf(int page) => OffsetOf(page) + 0x100 + ((ulong)page * 0x40);

    private static ulong TableOf(int space, int number) => Tables + ((ulong)(space * 16) << 12) + ((ulong)number << 12);

    // One table for each of the far pages; the first has the near ones too.
    private static ulong PageEntryOf(int space, int page)
    {
        ulong linear = BaseOf(space) + OffsetOf(page);
        return TableOf(space, 4 + (page < FarPages ? page : 0)) + (((linear >> 12) & 0x1ff) * 8);
    }

    private static ulong FrameOf(int page, int variant) => Frames + ((ulong)((page * Variants) + variant) << 12);

    private static ulong[] Prepare(ConformanceMachine machine, Random random)
    {
        (int Number, int Odd, int Even)[,] code = new (int, int, int)[Pages, Variants];
        for (int page = 0; page < Pages; page++)
        {
            for (int variant = 0; variant < Variants; variant++)
            {
                // All variants have the same instructions, for what begins in one may go on in another.
                (int number, int odd, int even) = code[page, variant] = (random.Next(1 << 20, 1 << 30), (page + random.Next(1, Pages)) % Pages, (page + random.Next(1, Pages)) % Pages);
                ulong rip = BaseOf(0) + EntryOf(page);
                Assembler a = new(64);
                Label isEven = a.CreateLabel();
                Label done = a.CreateLabel();
                a.imul(rbx, rbx, 31);
                a.add(rbx, number);
                a.dec(r14d);
                a.je(done);
                a.test(r14b, 1);
                a.je(isEven);
                a.jmp(BaseOf(0) + EntryOf(odd));
                a.Label(ref isEven);
                a.jmp(BaseOf(0) + EntryOf(even));
                a.Label(ref done);
                a.syscall();
                machine.Write(FrameOf(page, variant) + (rip & 0xfff), Programs.Assemble(a, rip));
            }
        }

        int[,] tables = new int[Spaces, Pages];
        for (int space = 0; space < Spaces; space++)
        {
            machine.Write(TableOf(space, 0), TableOf(space, 1) | 7);
            machine.Write(TableOf(space, 0) + 0x800, TableOf(space, 1) | 7);
            machine.Write(TableOf(space, 1), (Map.Tables + 0x2000) | 7);
            machine.Write(TableOf(space, 1) + 8, TableOf(space, 2) | 7);
            machine.Write(TableOf(space, 1) + 16, TableOf(space, 3) | 7);
            for (int page = 0; page < FarPages; page++)
            {
                ulong linear = BaseOf(space) + OffsetOf(page);
                machine.Write(TableOf(space, linear < 0x8000_0000 ? 2 : 3) + (((linear >> 21) & 0x1ff) * 8), TableOf(space, 4 + page) | 7);
            }

            for (int page = 0; page < Pages; page++)
            {
                tables[space, page] = random.Next(Variants);
                machine.Write(PageEntryOf(space, page), FrameOf(page, tables[space, page]) | 7);
            }
        }

        WriteCode(machine);
        ulong[] results = new ulong[Rounds];
        bool[] mustFlush = new bool[Spaces];
        int current = -1;
        int upper = 0;
        for (int round = 0; round < Rounds; round++)
        {
            ulong entry = Script + ((ulong)round * EntrySize);
            int next = current < 0 || random.Next(5) == 0 ? random.Next(Spaces) : current;
            int first = random.Next(Pages);
            int steps = random.Next(1, 60);
            upper = random.Next(8) == 0 ? 1 - upper : upper;
            if (current >= 0 && random.Next(3) == 0)
            {
                int space = random.Next(3) == 0 ? random.Next(Spaces) : current;
                int page = random.Next(Pages);
                machine.Write(entry, PageEntryOf(space, page));
                machine.Write(entry + 8, FrameOf(page, tables[space, page] = random.Next(Variants)) | 7);
                if (space == current)
                {
                    bool one = random.Next(3) != 0;
                    machine.Write(entry + 24, one ? BaseOf(space) + OffsetOf(page) : 0);
                    mustFlush[space] |= !one;

                    // What is not invalidated yet runs once, with a result that nobody looks at.
                    machine.Write(entry + 16, (ulong)random.Next(2));
                    machine.Write(entry + 64, BaseOf(space) + EntryOf(random.Next(Pages)) + (upper != 0 ? Map.High : 0));
                }
                else
                {
                    mustFlush[space] = true;
                }
            }

            if (next != current || mustFlush[next])
            {
                machine.Write(entry + 32, TableOf(next, 0) | ((ulong)next + 1) | (mustFlush[next] ? 0 : NoFlush));
                mustFlush[next] = false;
                current = next;
            }

            machine.Write(entry + 40, BaseOf(next) + EntryOf(first) + (upper != 0 ? Map.High : 0));
            machine.Write(entry + 48, (ulong)steps);

            // User code runs below only.
            machine.Write(entry + 56, (ulong)(upper != 0 || random.Next(4) == 0 ? 1 : 0));
            for (int page = first; steps > 0;)
            {
                (int number, int odd, int even) = code[page, tables[next, page]];
                results[round] = (results[round] * 31) + (ulong)number;
                page = (--steps & 1) == 0 ? even : odd;
            }
        }

        return results;
    }

    private static void WriteCode(ConformanceMachine machine)
    {
        const ulong loop = Kernel + 0x40;
        const ulong invalidate = Kernel + 0x100;
        const ulong run = Kernel + 0x200;
        Programs.Write(machine, Kernel, a =>
        {
            a.mov(rax, cr4);
            a.or(eax, 1 << 17);
            a.mov(cr4, rax);
            a.jmp(loop);
        });
        Programs.Write(machine, loop, a =>
        {
            Label written = a.CreateLabel();
            Label done = a.CreateLabel();
            a.cmp(r8, r9);
            a.je(done);
            a.mov(rax, __[r8]);
            a.test(rax, rax);
            a.je(written);
            a.mov(rdx, __[r8 + 8]);
            a.mov(__[rax], rdx);
            a.Label(ref written);
            a.mov(r15d, __dword_ptr[r8 + 16]);
            a.mov(rcx, __[r8 + 64]);
            a.test(r15d, r15d);
            a.je(invalidate);
            a.jmp(run);
            a.Label(ref done);
            a.hlt();
        });
        Programs.Write(machine, invalidate, a =>
        {
            Label loaded = a.CreateLabel();
            a.mov(rdx, __[r8 + 24]);
            a.invlpg(__byte_ptr[rdx]);
            a.mov(rax, Map.High);
            a.or(rdx, rax);
            a.invlpg(__byte_ptr[rdx]);
            a.mov(rax, __[r8 + 32]);
            a.test(rax, rax);
            a.je(loaded);
            a.mov(cr3, rax);
            a.Label(ref loaded);
            a.mov(rcx, __[r8 + 40]);
            a.jmp(run);
        });
        Programs.Write(machine, run, a =>
        {
            Label user = a.CreateLabel();
            a.xor(ebx, ebx);
            a.mov(r14d, __dword_ptr[r8 + 48]);
            a.mov(r11d, 2);
            a.cmp(__dword_ptr[r8 + 56], 0);
            a.je(user);
            a.jmp(rcx);
            a.Label(ref user);
            a.sysretq();
        });
        Programs.Write(machine, SystemCall, a =>
        {
            Label again = a.CreateLabel();
            a.test(r15d, r15d);
            a.jne(again);
            a.mov(__[r8 + ResultOffset], rbx);
            a.add(r8, EntrySize);
            a.jmp(loop);
            a.Label(ref again);
            a.xor(r15d, r15d);
            a.jmp(invalidate);
        });
    }
}
