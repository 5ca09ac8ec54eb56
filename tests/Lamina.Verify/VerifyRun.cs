using Iced.Intel;
using Lamina.Verify.Legacy;
using Lamina.Verify.Privileged;

namespace Lamina.Verify;

/// <summary>The comparison itself, in the process that it may bring down.</summary>
internal sealed class VerifyRun(VerifyOptions options, TextWriter output)
{
    /// <summary>Runs.</summary>
    /// <returns>The number of differences.</returns>
    public int Run()
    {
        SystemMutation? system = options.Mutate == null ? null : SystemMutation.Find(options.Mutate);
        ProgramMutation? program = options.Mutate == null ? null : ProgramMutation.Find(options.Mutate);
        List<string> kept = [.. options.Files.Where(static f => SystemVector.IsOne(File.ReadAllText(f)))];
        if (kept.Count > 0)
        {
            return ReplayMachines(kept, system, program);
        }

        if (options.SystemMode != null || system != null || program != null)
        {
            int steps = options.Sequence == 0 && program != null ? SystemGenerator.MaximumSteps : options.Sequence;
            using SystemComparer machines = new(options.Subject, system, program);
            return new CaseLoop(options, output).Run(new SystemCases(machines, new SystemGenerator(options.SystemMode ?? SystemMode.All, steps)), new Coverage([]));
        }

        Mutation? mutation = options.Mutate == null ? null : Mutation.Find(options.Mutate) ?? throw new FormatException($"There is no mutation '{options.Mutate}'.");
        using Comparer comparer = new(options.Subject, options.Oracle, mutation);
        if (options.Files.Count > 0)
        {
            return Replay(comparer);
        }

        int bits = options.Bits != 0 ? options.Bits : mutation?.Bits ?? 64;
        List<List<Template>> instructions = InstructionList.Find(bits);
        int sequence = options.Sequence != 0 ? options.Sequence : mutation?.Sequence ?? 0;
        CodeMode mode = options.Mode != CodeMode.Protected ? options.Mode : mutation?.Mode ?? CodeMode.Protected;
        ICaseSource source = sequence != 0 ? new SequenceGenerator(instructions, sequence, Math.Max(options.Jumps, mutation?.Jumps ?? 0)) : Source(bits, instructions, mode);
        Coverage coverage = new([.. instructions.Select(static t => t[0].Code)]);
        return new CaseLoop(options, output).Run(new HostCases(comparer, source, bits != 64 && mode == CodeMode.Protected), coverage);
    }

    // Machines, and behind them the other vectors.
    private int ReplayMachines(List<string> machines, SystemMutation? mutation, ProgramMutation? programMutation)
    {
        int failures = 0;
        using (SystemComparer comparer = new(options.Subject, mutation, programMutation))
        {
            foreach (string file in machines)
            {
                if (comparer.Run(SystemVector.Read(File.ReadAllText(file))) is { } difference)
                {
                    failures++;
                    output.WriteLine($"{file}: {difference}");
                }
            }
        }

        options.Files.RemoveAll(machines.Contains);
        if (options.Files.Count > 0)
        {
            using Comparer comparer = new(options.Subject, options.Oracle, null);
            failures += Replay(comparer);
        }

        output.WriteLine($"{machines.Count} machines replayed, {failures} differences");
        return failures;
    }

    private static ICaseSource Source(int bits, List<List<Template>> instructions, CodeMode mode = CodeMode.Protected) => bits == 64 ? new CaseGenerator(instructions) : new LegacyCaseGenerator(instructions, bits, mode);

    private int Replay(Comparer comparer)
    {
        int failures = 0;
        int replayed = 0;
        foreach (string file in options.Files)
        {
            TestCase test = VectorFile.Read(File.ReadAllText(file));
            replayed++;
            ICaseSource source = Source(test.Bits, []);
            if (test.IsSequence && !(new SequenceFlow().Look(test, source) && test.IsBounded))
            {
                throw new FormatException($"{file}: an instruction of the sequence looks at flags that are undefined, or it may not come to its end.");
            }

            Instruction i = source.Decode(test.IsSequence ? test.Split()[^1] : test.Instruction);
            if (comparer.Run(test, i) is { } difference)
            {
                failures++;
                output.WriteLine($"{file}: {difference}");
            }
        }

        output.WriteLine($"{replayed} vectors, {failures} differences");
        return failures;
    }
}
