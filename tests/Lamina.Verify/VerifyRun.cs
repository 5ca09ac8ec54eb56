using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Lamina.Verify.Legacy;
using Lamina.Verify.Privileged;

namespace Lamina.Verify;

/// <summary>The comparison itself, in the process that it may bring down.</summary>
internal sealed class VerifyRun(VerifyOptions options, TextWriter output)
{
    private const int CasesBetweenLooks = 1024;

    /// <summary>Runs.</summary>
    /// <returns>The number of differences.</returns>
    public int Run()
    {
        SystemMutation? system = options.Mutate == null ? null : SystemMutation.Find(options.Mutate);
        List<string> machines = [.. options.Files.Where(static f => SystemVector.IsOne(File.ReadAllText(f)))];
        if (machines.Count > 0)
        {
            return ReplayMachines(machines, system);
        }

        if (options.SystemMode != null || system != null)
        {
            return new SystemRun(options, output).Run(system);
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
        return RunRandom(comparer, sequence != 0 ? new SequenceGenerator(instructions, sequence, Math.Max(options.Jumps, mutation?.Jumps ?? 0)) : Source(bits, instructions, mode), new Coverage([.. instructions.Select(static t => t[0].Code)]), bits != 64 && mode == CodeMode.Protected);
    }

    // Machines, and behind them the other vectors.
    private int ReplayMachines(List<string> machines, SystemMutation? mutation)
    {
        int failures = new SystemRun(options, output).Replay(machines, mutation);
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

    private int RunRandom(Comparer comparer, ICaseSource generator, Coverage coverage, bool hasSegments)
    {
        Shrinker shrinker = new(comparer, generator);
        TestCase test = new();
        using ProgressFile? progress = options.Progress == null ? null : new(options.Progress);
        using StopSignals? signals = progress == null ? null : new(progress.Stop);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed}"));
        long began = Stopwatch.GetTimestamp();
        TimeSpan used = Environment.CpuUsage.TotalTime;
        int failures = 0;
        long first = Math.Max(options.OnlyCase, 0);
        long end = options.OnlyCase >= 0 ? options.OnlyCase + 1 : options.Count < 0 ? long.MaxValue : options.Count;
        for (long number = first; number < end && failures < options.Failures; number++)
        {
            if (number % CasesBetweenLooks == 0)
            {
                if (progress is { IsStopped: true })
                {
                    output.WriteLine("stopped by a signal");
                    break;
                }

                if (options.Seconds >= 0 && Stopwatch.GetElapsedTime(began).TotalSeconds >= options.Seconds)
                {
                    break;
                }
            }

            progress?.Reach(number);
            Instruction i = generator.Make(options.Seed, (ulong)number, test);
            if (options.OnlyCase >= 0)
            {
                output.WriteLine(VectorFile.Write(test, i.IsInvalid ? "no instruction" : i.ToString()));
                output.Flush();
            }

            string? difference = comparer.Run(test, i);
            if (comparer.IsJudged)
            {
                coverage.Count(i, comparer.Vector);
            }

            if (difference != null)
            {
                failures++;
                Report(comparer, generator, shrinker, test, number, difference);
            }
        }

        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{coverage.Cases} cases in {seconds:F1} s, {coverage.Cases / (Environment.CpuUsage.TotalTime - used).TotalSeconds:F0} for each second of processor time, {coverage.Invalid} of them no instructions, {failures} differences, {comparer.Unconfirmed} that did not show again, {comparer.Unjudged} more that nothing says the end of, {coverage.Missing.Count()} forms not met"));
        if (hasSegments)
        {
            output.WriteLine(comparer.HasNative
                ? string.Create(CultureInfo.InvariantCulture, $"{comparer.NativeCases} of them the host executed as they are, with its own segments")
                : "the host has no segments for such code: the model, and 64-bit code, in place of it");
        }

        if (options.CoverageFile != null)
        {
            using StreamWriter file = new(options.CoverageFile);
            coverage.Write(file);
        }

        return failures;
    }

    private void Report(Comparer comparer, ICaseSource generator, Shrinker shrinker, TestCase test, long number, string difference)
    {
        TestCase small = shrinker.Shrink(test);
        Instruction i = generator.Decode(small.IsSequence ? small.Split()[^1] : small.Instruction);
        string smaller = comparer.Run(small, i) ?? difference;
        string source = string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed} case {number}");
        string vector = VectorFile.Write(small, $"{source}\n{smaller}");
        output.WriteLine($"{source}: {difference}");
        output.WriteLine(vector);
        if (options.Vectors != null)
        {
            Directory.CreateDirectory(options.Vectors);
            File.WriteAllText(Path.Combine(options.Vectors, string.Create(CultureInfo.InvariantCulture, $"{options.Seed}-{number}.txt")), vector);
        }
    }
}
