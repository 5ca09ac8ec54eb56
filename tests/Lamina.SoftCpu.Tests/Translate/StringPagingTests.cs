using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Repeated moves and stores over pages that come, go and change while they run: random tables of several address spaces, in both privileges, with pages that are absent, read-only, global, the same twice,
/// a device's, or being executed. Both accelerators must do what a model of a few lines does. <c>LAMINA_FUZZ_SECONDS</c> makes it longer, <c>LAMINA_FUZZ_SEED</c> repeats a round.
/// </summary>
public sealed class StringPagingTests
{
    private const double DefaultSeconds = 2;
    private const int Rounds = 300;
    private const int EntrySize = 192;
    private const int ResultOffset = 128;
    private const int Spaces = 3;
    private const int Pages = 16;
    private const int Frames = 7;
    private const int CodeFrame = Frames - 1;
    private const int DeviceFrame = Frames;
    private const ulong PageSize = 0x1000;
    private const ulong Kernel = Map.Code + 0x100;
    private const ulong Routines = Map.Code + 0x1000;
    private const ulong Fault = Map.Code + 0x2000;
    private const ulong SystemCall = Map.Code + 0x3000;
    private const ulong CodePage = Map.Code + 0x8000;
    private const ulong CodeEntry = CodePage + 0xf80;
    private const ulong Tables = 0x6_0000;
    private const ulong Script = 0xc_0000;

    // Pages of all spaces, whose faults are repaired, and of each, whose faults end the instruction. They have the same places in the TLB's first level, and so have both at the upper addresses.
    private const ulong Common = 0x1a_0000;
    private const ulong Own = 0x4000_0000 + Common;
    private const ulong FsBase = 0x1000;
    private const ulong NoFlush = 1UL << 63;
    private const uint Status = 0xcd5;

    // What code may consist of: XCHG EAX, EDX; CWDE; CDQ; NOP.
    private static readonly byte[] _instructions = [0x92, 0x98, 0x99, 0x90];

    private static readonly Form[] _forms =
    [
        new([0xf3, 0xa4], true, 1), new([0xf3, 0x66, 0xa5], true, 2), new([0xf3, 0xa5], true, 4), new([0xf3, 0x48, 0xa5], true, 8),
        new([0xf3, 0xaa], false, 1), new([0xf3, 0x66, 0xab], false, 2), new([0xf3, 0xab], false, 4), new([0xf3, 0x48, 0xab], false, 8),
        new([0xf2, 0xa4], true, 1), new([0x67, 0xf3, 0xa5], true, 4), new([0x67, 0xf3, 0xaa], false, 1), new([0x64, 0xf3, 0xa4], true, 1),
    ];

    [Fact]
    public void RepeatedInstructionsDoWhatTheTablesSay()
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
        using Comparison machines = new();
        bool hasDevice = seed % 4 == 3;
        Model? model = null;
        foreach (ConformanceMachine machine in machines.Both)
        {
            model = Prepare(machine, new Random(seed), hasDevice);
            StartState start = new() { Rip = Kernel, FsBase = FsBase };
            start.Registers[4] = Map.Stack;
            start.Registers[8] = Script;
            start.Registers[9] = Script + (Rounds * EntrySize);
            start.EnableSystemCalls(SystemCall);
            start.Msrs[0xc000_0084] = 0;
            machine.Start(start);
        }

        // Whoever is asked to look up leaves in the middle.
        SoftwareProcessor translator = machines.Translator.Processors[0];
        machines.Translator.Device.Written = translator.SignalInterrupt;
        Assert.Equal(ProcessorExitReason.Halted, machines.Interpreter.Run());
        Assert.Equal(ProcessorExitReason.Halted, machines.Translator.Run());
        if (!hasDevice)
        {
            foreach (ConformanceMachine machine in machines.Both)
            {
                for (int round = 0; round < Rounds; round++)
                {
                    ulong entry = Script + ((ulong)round * EntrySize) + ResultOffset;
                    string results = string.Join(' ', Enumerable.Range(0, 6).Select(n => $"{machine.Read<ulong>(entry + (ulong)(8 * n)):x}"));
                    Assert.True(results == model!.Results[round], $"{Name(machine)} has {results} in round {round}, the model {model.Results[round]}: {model.Texts[round]}");
                }

                for (int frame = 0; frame < Frames; frame++)
                {
                    int common = machine.Ram.Slice((int)AddressOf(frame), (int)PageSize).CommonPrefixLength(model!.Memory[frame]);
                    Assert.True(common == (int)PageSize, $"{Name(machine)} differs from the model in page {frame} at 0x{common:x}");
                }
            }
        }

        Assert.Null(machines.Difference(0));

        string Name(ConformanceMachine machine) => machine == machines.Translator ? "the translator" : "the interpreter";
    }

    private static ulong AddressOf(int frame) => frame == DeviceFrame ? Map.Device : frame == CodeFrame ? CodePage : Map.Data + ((ulong)frame * PageSize);

    private static ulong TableOf(int space, int level) => Tables + ((ulong)space << 14) + ((ulong)level << 12);

    // Of a page of a space's own, or of all.
    private static ulong EntryOf(int space, int page) => (space < Spaces ? TableOf(space, 3) : Map.PageTable) + (((Common >> 12) + (ulong)page) * 8);

    // Writes everything that the guest has, and answers what comes of it.
    private static Model Prepare(ConformanceMachine machine, Random random, bool hasDevice)
    {
        WriteCode(machine);
        Model model = new();
        for (int frame = 0; frame < Frames; frame++)
        {
            Fill(random, model.Memory[frame]);
            machine.Write(AddressOf(frame), model.Memory[frame]);
        }

        // What it goes on to.
        machine.Write(CodePage + PageSize, (byte)0xc3);
        for (int space = 0; space < Spaces; space++)
        {
            machine.Write(TableOf(space, 0), TableOf(space, 1) | 7);
            machine.Write(TableOf(space, 0) + 0x800, TableOf(space, 1) | 7);
            machine.Write(TableOf(space, 1), (Map.Tables + 0x2000) | 7);
            machine.Write(TableOf(space, 1) + 8, TableOf(space, 2) | 7);
            machine.Write(TableOf(space, 2), TableOf(space, 3) | 7);
        }

        for (int space = 0; space <= Spaces; space++)
        {
            for (int page = 0; page < Pages; page++)
            {
                Page entry = model.Tables[space, page] = RandomPage(random, space, hasDevice);
                machine.Write(EntryOf(space, page), entry.Value);
            }
        }

        // What SYSRET has loaded, for the handlers' IRET.
        machine.Write(Map.Gdt + 0x18, 0x00cf_f300_0000_ffffUL);
        machine.Write(Map.Gdt + 0x20, 0x00af_fb00_0000_ffffUL);
        machine.Write(FaultHandlers.Resume, Fault);
        int current = -1;
        bool[] mustFlush = new bool[Spaces];
        for (int round = 0; round < Rounds; round++)
        {
            ulong entry = Script + ((ulong)round * EntrySize);
            int next = current < 0 || random.Next(4) == 0 ? random.Next(Spaces) : current;
            bool load = next != current;
            machine.Write(entry + 24, 4UL);
            if (current >= 0 && random.Next(2) == 0)
            {
                int space = random.Next(Spaces + 1);
                int page = random.Next(Pages);
                Page before = model.Tables[space, page];
                Page after = model.Tables[space, page] = RandomPage(random, space, hasDevice);
                machine.Write(entry, EntryOf(space, page));
                machine.Write(entry + 8, after.Value);
                if (space == Spaces || space == current)
                {
                    bool one = before.Global || after.Global || random.Next(2) == 0;
                    bool all = !one && random.Next(2) == 0;
                    machine.Write(entry + 16, one ? (space < Spaces ? Own : Common) + ((ulong)page << 12) : 0);
                    machine.Write(entry + 24, all ? (ulong)random.Next(2, 4) : 4);
                    load |= !one && !all;
                    for (int other = 0; other < Spaces; other++)
                    {
                        mustFlush[other] |= !all && (space == Spaces ? !(one && other == current) : !one && other == current);
                    }
                }
                else
                {
                    mustFlush[space] = true;
                }
            }

            if (load || mustFlush[next])
            {
                bool flush = mustFlush[next] || random.Next(6) == 0;
                mustFlush[next] = false;

                // What must be forgotten of the space that is left is to be forgotten when it comes back.
                machine.Write(entry + 32, TableOf(next, 0) | ((ulong)next + 1) | (flush ? 0 : NoFlush));
                current = next;
            }

            model.Execute(round);
            (int form, Operands operands) = RandomOperands(random, hasDevice, current, model);
            machine.Write(entry + 40, operands.Source - (_forms[form].Bytes[0] == 0x64 ? FsBase : 0));
            machine.Write(entry + 48, operands.Target);
            machine.Write(entry + 56, operands.Count);
            machine.Write(entry + 64, operands.Value);
            machine.Write(entry + 72, Routines + (ulong)(form * 32));
            machine.Write(entry + 80, operands.Flags);
            machine.Write(entry + 88, operands.User ? 1UL : 0);
            if (!hasDevice)
            {
                model.Repeat(round, _forms[form], operands, current);
            }
        }

        return model;
    }

    private static void Fill(Random random, Span<byte> bytes)
    {
        foreach (ref byte b in bytes)
        {
            b = _instructions[random.Next(_instructions.Length)];
        }
    }

    private static Page RandomPage(Random random, int space, bool hasDevice)
    {
        int frame = hasDevice ? random.Next(4) == 0 ? DeviceFrame : random.Next(CodeFrame) : random.Next(Frames);
        int kind = random.Next(8);
        return new Page(frame, kind > 0, kind > 1, space == Spaces && random.Next(4) == 0);
    }

    private static (int Form, Operands Operands) RandomOperands(Random random, bool hasDevice, int space, Model model)
    {
        int form = random.Next(_forms.Length);
        int size = _forms[form].Size;
        bool isShort = _forms[form].Bytes[0] == 0x67;
        bool down = random.Next(6) == 0;
        int length = random.Next(8) switch
        {
            0 => 0,
            1 or 2 => random.Next(1, 40),
            3 or 4 => random.Next(1, 0x1100),
            _ => random.Next(1, 0x4000),
        };
        int count = length / size;
        length = count * size;
        ulong source = RandomAddress(random, length, isShort, down, size);
        ulong target = random.Next(4) == 0 ? source + (ulong)(random.Next(-40, 40)) : RandomAddress(random, length, isShort, down, size);
        foreach (ulong end in (ReadOnlySpan<ulong>)[target - (ulong)(down ? length : 0), target + (ulong)(down ? 8 : length)])
        {
            target = IsInside(end) ? target : source;
        }

        Span<byte> value = stackalloc byte[8];
        Fill(random, value);
        return (form, new Operands
        {
            Source = source,
            Target = target,
            Count = (ulong)count,
            Value = BitConverter.ToUInt64(value),
            Down = down,
            Flags = (uint)random.Next() & Status & ~0x400u | 2 | (down ? 0x400u : 0),
            User = random.Next(2) == 0,
        });
    }

    private static ulong RandomAddress(Random random, int length, bool isShort, bool down, int size)
    {
        int room = (int)(Pages * PageSize) - length - 16;
        int offset = random.Next(3) switch
        {
            0 => (random.Next(1, Pages) * (int)PageSize) - random.Next(20),
            1 => (random.Next(1, Pages) * (int)PageSize) - length + random.Next(-20, 20),
            _ => random.Next(room),
        };
        offset = Math.Clamp(offset & (random.Next(2) == 0 ? -1 : -size), 8, room) + (down ? length : 0);
        return (random.Next(2) == 0 ? Common : Own) + (isShort || random.Next(2) == 0 ? 0 : Map.High) + (ulong)offset;
    }

    private static bool IsInside(ulong address) => (address & ~Map.High) - Common < Pages * PageSize || (address & ~Map.High) - Own < Pages * PageSize;

    private static void WriteCode(ConformanceMachine machine)
    {
        Programs.Write(machine, Kernel, a =>
        {
            a.mov(rax, cr4);
            a.or(eax, 1 << 17);
            a.mov(cr4, rax);
            a.jmp(Kernel + 0x40);
        });
        Programs.Write(machine, Kernel + 0x40, a =>
        {
            Label written = a.CreateLabel();
            Label invalidated = a.CreateLabel();
            Label loaded = a.CreateLabel();
            Label user = a.CreateLabel();
            Label done = a.CreateLabel();
            a.cmp(r8, r9);
            a.je(done);
            a.mov(rax, __[r8]);
            a.test(rax, rax);
            a.je(written);
            a.mov(rdx, __[r8 + 8]);
            a.mov(__[rax], rdx);
            a.Label(ref written);
            a.mov(rdx, __[r8 + 16]);
            a.invlpg(__byte_ptr[rdx]);
            a.mov(rax, Map.High);
            a.or(rdx, rax);
            a.invlpg(__byte_ptr[rdx]);
            a.mov(rax, __[r8 + 24]);
            a.cmp(eax, 3);
            a.ja(invalidated);
            a.invpcid(rax, __[r8 + 112]);
            a.Label(ref invalidated);
            a.mov(rax, __[r8 + 32]);
            a.test(rax, rax);
            a.je(loaded);
            a.mov(cr3, rax);
            a.Label(ref loaded);
            a.mov(eax, r8d);
            a.mov(edx, 0x8765_4321);
            a.call(CodeEntry);
            a.mov(__[r8 + ResultOffset], rax);
            a.mov(__[r8 + ResultOffset + 8], rdx);
            a.mov(rsi, __[r8 + 40]);
            a.mov(rdi, __[r8 + 48]);
            a.mov(r14, __[r8 + 56]);
            a.mov(rax, __[r8 + 64]);
            a.mov(rcx, __[r8 + 72]);
            a.mov(r11, __[r8 + 80]);
            a.cmp(__qword_ptr[r8 + 88], 0);
            a.jne(user);
            a.push(r11);
            a.popfq();
            a.jmp(rcx);
            a.Label(ref user);
            a.sysretq();
            a.Label(ref done);
            a.hlt();
        });
        for (int form = 0; form < _forms.Length; form++)
        {
            Programs.Write(machine, Routines + (ulong)(form * 32), a =>
            {
                a.mov(rcx, r14);
                a.db(_forms[form].Bytes);
                a.mov(r13, rcx);
                a.syscall();
            });
        }

        Programs.Write(machine, Fault, a =>
        {
            a.mov(r13, rcx);
            a.syscall();
        });
        Programs.Write(machine, SystemCall, a =>
        {
            a.mov(rsp, Map.Stack);
            a.mov(rdx, r11);
            a.cld();
            a.and(edx, (int)Status);
            a.mov(__[r8 + ResultOffset + 16], rdx);
            a.mov(__[r8 + ResultOffset + 24], rsi);
            a.mov(__[r8 + ResultOffset + 32], rdi);
            a.mov(__[r8 + ResultOffset + 40], r13);
            a.add(r8, EntrySize);
            a.jmp(Kernel + 0x40);
        });
    }

    // An instruction.
    private sealed record Form(byte[] Bytes, bool Moves, int Size);

    // An entry of a page table.
    private readonly record struct Page(int Frame, bool Present, bool Writable, bool Global)
    {
        public ulong Value => AddressOf(Frame) | 4 | (Present ? 1UL : 0) | (Writable ? 2UL : 0) | (Global ? 0x100UL : 0);
    }

    private struct Operands
    {
        public ulong Source;
        public ulong Target;
        public ulong Count;
        public ulong Value;
        public bool Down;
        public uint Flags;
        public bool User;
    }

    /// <summary>What each instruction is to do.</summary>
    private sealed class Model
    {
        public byte[][] Memory { get; } = [.. Enumerable.Range(0, Frames).Select(static _ => new byte[PageSize])];

        /// <summary>The pages of each space, and behind them those of all.</summary>
        public Page[,] Tables { get; } = new Page[Spaces + 1, Pages];

        /// <summary>EAX and EDX behind the page of code, flags, RSI, RDI and RCX behind the instruction, in each round.</summary>
        public string[] Results { get; } = new string[Rounds];

        /// <summary>What each was.</summary>
        public string[] Texts { get; } = new string[Rounds];

        /// <summary>Executes the page of code.</summary>
        public void Execute(int round)
        {
            uint a = (uint)Script + (uint)(round * EntrySize);
            uint d = 0x8765_4321;
            foreach (byte instruction in Memory[CodeFrame].AsSpan((int)(CodeEntry & 0xfff)))
            {
                switch (instruction)
                {
                    case 0x92:
                        (a, d) = (d, a);
                        break;
                    case 0x98:
                        a = (uint)(short)a;
                        break;
                    case 0x99:
                        d = (uint)((int)a >> 31);
                        break;
                    default:
                        break;
                }
            }

            Results[round] = $"{a:x} {d:x}";
        }

        /// <summary>Executes a repeated instruction.</summary>
        public void Repeat(int round, Form form, in Operands operands, int space)
        {
            ulong source = operands.Source;
            ulong target = operands.Target;
            ulong count = operands.Count;
            ulong step = (ulong)(operands.Down ? -form.Size : form.Size);
            Span<byte> element = stackalloc byte[sizeof(ulong)];
            while (count > 0)
            {
                BitConverter.TryWriteBytes(element, operands.Value);
                if ((form.Moves && !Reach(source, form.Size, space, write: false)) || !Reach(target, form.Size, space, write: true))
                {
                    break;
                }

                for (int n = 0; n < form.Size && form.Moves; n++)
                {
                    element[n] = At(source + (ulong)n, space);
                }

                for (int n = 0; n < form.Size; n++)
                {
                    At(target + (ulong)n, space) = element[n];
                }

                source += form.Moves ? step : 0;
                target += step;
                count--;
            }

            Results[round] += $" {operands.Flags & Status:x} {source - (form.Bytes[0] == 0x64 ? FsBase : 0):x} {target:x} {count:x}";
            Texts[round] = $"{Convert.ToHexString(form.Bytes)} of {operands.Count} from 0x{operands.Source:x} to 0x{operands.Target:x} in space {space}, user {operands.User}, down {operands.Down}; {count} are left";
        }

        private ref Page PageOf(ulong address, int space)
        {
            ulong low = address & ~Map.High;
            return ref low >= Own ? ref Tables[space, (int)((low - Own) >> 12)] : ref Tables[Spaces, (int)((low - Common) >> 12)];
        }

        private ref byte At(ulong address, int space) => ref Memory[PageOf(address, space).Frame][(int)(address & 0xfff)];

        // False: the instruction ends there. The handler maps pages of all spaces, for writing too.
        private bool Reach(ulong address, int size, int space, bool write)
        {
            foreach (ulong part in (ReadOnlySpan<ulong>)[address, address + (ulong)size - 1])
            {
                ref Page page = ref PageOf(part, space);
                if (page.Present && (page.Writable || !write))
                {
                    continue;
                }

                if ((part & ~Map.High) >= Own)
                {
                    return false;
                }

                page = page with { Present = true, Writable = true };
            }

            return true;
        }
    }
}
