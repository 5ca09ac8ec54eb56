using System.Text;
using Iced.Intel;
using Lamina.Machine.Processors;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Two machines that must agree: one interprets, one translates.</summary>
internal sealed class Comparison : IDisposable
{
    private readonly byte[] _data = new byte[Map.DataSize + 0x2000];

    public Comparison(int codeSize = 4 << 20, TranslatorOptions? options = null)
    {
        Interpreter = new ConformanceMachine(translates: false);
        Translator = new ConformanceMachine(translates: true, codeSize: codeSize, options: options ?? new TranslatorOptions { HotThreshold = 2 });
        foreach (ConformanceMachine machine in Both)
        {
            FaultHandlers.Install(machine);
        }
    }

    public ConformanceMachine Interpreter { get; }

    public ConformanceMachine Translator { get; }

    public ConformanceMachine[] Both => [Interpreter, Translator];

    /// <summary>Faults in the last program.</summary>
    public ulong FaultCount { get; private set; }

    /// <summary>Gives the pages of data their frames in reverse order, so that what follows in an address space does not in memory.</summary>
    public void ReverseFrames()
    {
        foreach (ConformanceMachine machine in Both)
        {
            for (ulong offset = 0; offset < Map.DataSize; offset += 0x1000)
            {
                machine.SetPage(Map.Data + offset, (Map.Data + Map.DataSize - 0x1000 - offset) | 7);
            }
        }
    }

    /// <summary>Runs code in both, from a start, with random data. Null if they agree, else a report.</summary>
    public string? Run(byte[] code, StartState start, int seed)
    {
        new Random(seed).NextBytes(_data);
        foreach (ConformanceMachine machine in Both)
        {
            machine.Write(start.Rip, code);
            _data.CopyTo(machine.Ram[(int)Map.Data..]);
            machine.Start(start);
        }

        ProcessorExitReason a = Interpreter.Run();
        ProcessorExitReason b = Translator.Run();
        string? difference = a != ProcessorExitReason.Halted || a != b ? $"ended by: interpreter {a}, translator {b}" : Difference(0);
        return difference == null ? null : $"seed {seed}: {difference}\n{Disassemble(code, start.Rip)}";
    }

    /// <summary>Runs a random program in both. Null if they agree, else a report.</summary>
    public string? Run(RandomProgram program) => Run(program, program.Start.Rip - program.Physical, again: false);

    /// <summary>The same through another mapping of its memory. The program is there already, if it is to be run <paramref name="again"/>.</summary>
    public string? Run(RandomProgram program, ulong alias, bool again)
    {
        ulong rip = program.Start.Rip;
        ulong moved = alias + program.Physical - rip;
        new Random(program.Seed).NextBytes(_data);
        foreach (ConformanceMachine machine in Both)
        {
            if (!again)
            {
                // As a device writes them: translations of what lay there before must go.
                machine.Write(program.Physical, program.Bytes);
            }

            _data.CopyTo(machine.Ram[(int)Map.Data..]);
            _data.AsSpan(0, 0x4000).CopyTo(machine.Ram[(int)(Map.Stack - 0x2000)..]);
            foreach ((ulong address, ulong value) in program.Pointers)
            {
                machine.Write(address, value + moved);
            }

            if (program.Faults)
            {
                // One data page is a device's.
                FaultHandlers.Reset(machine);
                machine.SetPage(Map.Data + 0x3000, Map.Device | 3);
            }

            program.Start.Rip = rip + moved;
            machine.Start(program.Start);
            program.Start.Rip = rip;
        }

        ProcessorExitReason a = Interpreter.Run();
        ProcessorExitReason b = Translator.Run();
        if (program.Faults)
        {
            foreach (ConformanceMachine machine in Both)
            {
                machine.Ram[FaultHandlers.StackBytes].Clear();
                FaultCount = machine.Read<ulong>(FaultHandlers.Count);
                for (ulong page = Map.Data & 0xf_f000; page < Map.Data + Map.DataSize; page += 0x1000)
                {
                    machine.SetPage(page, page | 7);
                    machine.SetPage(page + 0x10_0000, page | 7);
                }
            }
        }

        string? difference = a != ProcessorExitReason.Halted || a != b ? $"ended by: interpreter {a}, translator {b}" : Difference(program.Undefined);
        return difference == null ? null : $"seed {program.Seed}: {difference}\n{Disassemble(program.Bytes, program.Start.Rip)}";
    }

    /// <summary>The first difference of state, or null.</summary>
    public string? Difference(uint undefinedFlags)
    {
        ProcessorState a = Interpreter.Save();
        ProcessorState b = Translator.Save();
        StringBuilder text = new();
        string[] names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
        for (int n = 0; n < 16; n++)
        {
            Compare(text, n < 8 ? names[n] : $"r{n}", a.GeneralRegisters[n], b.GeneralRegisters[n]);
        }

        Compare(text, "rip", a.Rip, b.Rip);
        Compare(text, "rflags", a.Rflags & ~(ulong)undefinedFlags, b.Rflags & ~(ulong)undefinedFlags);
        Compare(text, "cr2", a.Cr2, b.Cr2);
        foreach (ProcessorState state in (ProcessorState[])[a, b])
        {
            // FOP, FIP and FDP: translated code does not record them.
            state.XsaveArea.AsSpan(6, 18).Clear();
        }

        int vector = a.XsaveArea.AsSpan().CommonPrefixLength(b.XsaveArea);
        if (vector < a.XsaveArea.Length)
        {
            text.Append($"xsave area differs at {vector}; ");
        }

        for (int n = 0; n < 6; n++)
        {
            if (a.Segments[n] != b.Segments[n])
            {
                text.Append($"segment {n}: {a.Segments[n]} {b.Segments[n]}; ");
            }
        }

        int memory = Interpreter.Ram.CommonPrefixLength(Translator.Ram);
        if (memory < Map.MemorySize)
        {
            int word = memory & ~7;
            Compare(text, $"[{word:x}]", Interpreter.Read<ulong>((ulong)word), Translator.Read<ulong>((ulong)word));
        }

        Compare(text, "device", Interpreter.Device.Sum, Translator.Device.Sum);
        return text.Length == 0 ? null : text.ToString();
    }

    public static string Disassemble(ReadOnlySpan<byte> code, ulong rip)
    {
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(64, new ByteArrayCodeReader(code.ToArray()));
        decoder.IP = rip;
        NasmFormatter formatter = new();
        StringOutput output = new();
        StringBuilder text = new();
        while (decoder.IP < rip + (ulong)code.Length)
        {
            Instruction i = decoder.Decode();
            formatter.Format(i, output);
            text.AppendLine($"{i.IP:x} {output.ToStringAndReset()}");
        }

        return text.ToString();
    }

    public void Dispose()
    {
        Interpreter.Dispose();
        Translator.Dispose();
    }

    private static void Compare(StringBuilder text, string name, ulong a, ulong b)
    {
        if (a != b)
        {
            text.Append($"{name}: interpreter {a:x}, translator {b:x}; ");
        }
    }
}
