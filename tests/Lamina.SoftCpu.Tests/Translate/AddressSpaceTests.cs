using Iced.Intel;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Address spaces with process-context identifiers (Intel SDM volume 3, section 4.10): what a processor keeps of one while another is current is what its page tables say, if the kernel invalidates
/// what it changes by any of the means that it may choose.
/// </summary>
public sealed class AddressSpaceTests
{
    // More than are kept.
    private const int Spaces = SpaceTable.Count + 3;
    private const int Frames = 16;
    private const int Rounds = 900;
    private const int EntrySize = 64;
    private const ulong User = Map.Code;
    private const ulong Kernel = Map.Code + 0x1100;
    private const ulong Tables = 0x6_0000;
    private const ulong DataFrames = 0x9_0000;
    private const ulong FirstCodeFrames = 0xa_0000;
    private const ulong SecondCodeFrames = 0xb_0000;
    private const ulong Script = 0xc_0000;
    private const ulong GlobalPage = 0x1f_0000;
    private const ulong GlobalCode = 0x1e_0000;
    private const ulong NoFlush = 1UL << 63;

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    [InlineData(3, 1 << 20)]
    public void EachHasWhatItsTablesSay(int seed, int threshold)
    {
        Run(seed, new TranslatorOptions { HotThreshold = threshold });
    }

    // What lockstep tries and takes back, one time in seven, leaves the processor's spaces alone.
    [Fact]
    public void SoItHasInLockstep()
    {
        LockstepMonitor monitor = new() { Interval = 7, FirstRuns = 0 };
        Run(5, new TranslatorOptions { Lockstep = monitor });
        Assert.Null(monitor.Difference);
        Assert.True(monitor.Compared > Rounds / 10, $"{monitor.Compared}");
    }

    private static void Run(int seed, TranslatorOptions options)
    {
        using Comparison machines = new(options: options);
        foreach (ConformanceMachine machine in machines.Both)
        {
            ulong expected = Prepare(machine, new Random(seed));
            StartState start = new() { Rip = Kernel };
            start.Registers[4] = Map.Stack;
            start.Registers[8] = Script;
            start.Registers[9] = Script + (Rounds * EntrySize);
            start.EnableSystemCalls(Kernel + 0x20);
            machine.Start(start);
            Assert.Equal(ProcessorExitReason.Halted, machine.Run());
            Assert.Equal(expected, machine.Save().GeneralRegisters[3]);
        }
    }

    // A space's pages are at one of three addresses, so that what several have in common is executed at several.
    private static ulong BaseOf(int space) => 0x4000_0000UL + ((ulong)(space % 3) << 16);

    private static ulong TableOf(int space, int level) => Tables + ((ulong)space << 14) + ((ulong)level << 12);

    private static ulong EntryOf(int space, int page) => TableOf(space, 3) + ((((BaseOf(space) >> 12) & 0x1ff) + (ulong)page) * 8);

    // Writes code, tables and a script of what the kernel does; answers what the user code adds up.
    private static ulong Prepare(ConformanceMachine machine, Random random)
    {
        WriteCode(machine);
        ulong[][] values = [new ulong[Frames], new ulong[Frames], new ulong[Frames]];
        for (int frame = 0; frame < Frames; frame++)
        {
            values[0][frame] = (ulong)random.NextInt64();
            machine.Write(DataFrames + ((ulong)frame << 12), values[0][frame]);
            for (int page = 1; page < 3; page++)
            {
                int number = random.Next();
                values[page][frame] = (ulong)number;
                bool first = page == 1;
                ulong address = (first ? FirstCodeFrames : SecondCodeFrames) + ((ulong)frame << 12);

                // A jump to the page behind, wherever that is, or the return.
                Programs.Write(machine, address, a =>
                {
                    a.add(rbx, number);
                    if (first)
                    {
                        a.jmp(address + 0x1000);
                    }
                    else
                    {
                        a.ret();
                    }
                });
            }
        }

        int[,] frames = new int[Spaces, 3];
        for (int space = 0; space < Spaces; space++)
        {
            machine.Write(TableOf(space, 0), TableOf(space, 1) | 7);
            machine.Write(TableOf(space, 1), (Map.Tables + 0x2000) | 7);
            machine.Write(TableOf(space, 1) + 8, TableOf(space, 2) | 7);
            machine.Write(TableOf(space, 2), TableOf(space, 3) | 7);
            for (int page = 0; page < 3; page++)
            {
                frames[space, page] = random.Next(Frames);
                machine.Write(EntryOf(space, page), FrameEntry(page, frames[space, page]));
            }
        }

        int global = 0;
        int globalCode = 0;
        int current = 0;
        machine.SetPage(GlobalPage, FrameEntry(0, 0) | 0x100);
        machine.SetPage(GlobalCode, FrameEntry(2, 0) | 0x100);
        ulong sum = 0;
        bool[] mustFlush = new bool[Spaces];
        for (int round = 0; round < Rounds; round++)
        {
            ulong entry = Script + ((ulong)round * EntrySize);
            ulong operation = 5;
            int next = random.Next(3) == 0 ? current : random.Next(Spaces);
            bool flush = random.Next(6) == 0;
            if (random.Next(3) == 0)
            {
                int edited = random.Next(3) == 0 ? current : random.Next(Spaces);
                int page = random.Next(3);
                int frame = random.Next(Frames);
                frames[edited, page] = frame;
                machine.Write(entry, EntryOf(edited, page));
                machine.Write(entry + 8, FrameEntry(page, frame));
                machine.Write(entry + 24, (ulong)edited + 1);
                machine.Write(entry + 32, BaseOf(edited) + ((ulong)page << 12));

                // Page by page is for the current space. The last one is the load of CR3, without the bit that keeps what is there.
                bool isCurrent = edited == current && round > 0;
                operation = isCurrent && random.Next(2) == 0 ? 4 : (ulong)random.Next(6);
                operation = operation == 4 && !isCurrent ? 0 : operation;

                mustFlush[edited] |= operation == 5;
            }
            else if (random.Next(6) == 0)
            {
                int frame = random.Next(Frames);
                bool code = random.Next(2) == 0;
                (global, globalCode) = code ? (global, frame) : (frame, globalCode);
                machine.Write(entry, Map.PageTable + (((code ? GlobalCode : GlobalPage) >> 12) * 8));
                machine.Write(entry + 8, FrameEntry(code ? 2 : 0, frame) | 0x100);
                machine.Write(entry + 32, code ? GlobalCode : GlobalPage);
                operation = random.Next(3) == 0 ? 2UL : 4;
            }

            flush |= mustFlush[next];
            mustFlush[next] = false;
            machine.Write(entry + 16, operation);
            machine.Write(entry + 40, TableOf(next, 0) | ((ulong)next + 1) | (flush ? 0 : NoFlush));
            machine.Write(entry + 48, BaseOf(next));
            current = next;
            sum = 31 * (sum + values[2][globalCode] + (2 * values[0][frames[next, 0]]) + values[1][frames[next, 1]] + values[2][frames[next, 2]] + values[0][global]);
        }

        return sum;
    }

    private static ulong FrameEntry(int page, int frame)
    {
        return ((page == 0 ? DataFrames : page == 1 ? FirstCodeFrames : SecondCodeFrames) + ((ulong)frame << 12)) | 7;
    }

    private static void WriteCode(ConformanceMachine machine)
    {
        Programs.Write(machine, User, a =>
        {
            a.lea(rax, __[r12 + 0x1000]);
            a.call(rax);
            a.call(GlobalCode);
            a.add(rbx, __[r12]);
            a.add(rbx, __qword_ptr[GlobalPage]);
            a.imul(rbx, rbx, 31);
            a.syscall();
        });
        Programs.Write(machine, Kernel, a =>
        {
            a.mov(rax, cr4);
            a.or(eax, 1 << 17);
            a.mov(cr4, rax);
            a.jmp(Kernel + 0x20);
        });
        Programs.Write(machine, Kernel + 0x20, a =>
        {
            Label edited = a.CreateLabel();
            Label invalidated = a.CreateLabel();
            Label page = a.CreateLabel();
            Label load = a.CreateLabel();
            Label done = a.CreateLabel();
            a.cmp(r8, r9);
            a.je(done);
            a.mov(rax, __[r8]);
            a.test(rax, rax);
            a.je(edited);
            a.mov(rdx, __[r8 + 8]);
            a.mov(__[rax], rdx);
            a.Label(ref edited);
            a.mov(rax, __[r8 + 16]);
            a.cmp(eax, 4);
            a.ja(invalidated);
            a.je(page);
            a.invpcid(rax, __[r8 + 24]);
            a.jmp(invalidated);
            a.Label(ref page);
            a.mov(rdx, __[r8 + 32]);
            a.invlpg(__[rdx]);
            a.Label(ref invalidated);
            a.mov(rax, __[r8 + 40]);

            // At the beginning of a block, where lockstep tries it once.
            a.jmp(load);
            a.Label(ref load);
            a.mov(cr3, rax);
            a.mov(r12, __[r8 + 48]);

            // The kernel sees what the user does.
            a.add(rbx, __[r12]);
            a.add(r8, EntrySize);
            a.mov(ecx, (int)User);
            a.mov(r11d, 2);
            a.sysretq();
            a.Label(ref done);
            a.hlt();
        });
    }
}
