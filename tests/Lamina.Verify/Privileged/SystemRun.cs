using System.Diagnostics;
using System.Globalization;

namespace Lamina.Verify.Privileged;

/// <summary>The comparison of privileged cases with the model.</summary>
internal sealed class SystemRun(VerifyOptions options, TextWriter output)
{
    private const int CasesBetweenLooks = 256;

    /// <summary>Runs random cases.</summary>
    /// <returns>The number of differences.</returns>
    public int Run(SystemMutation? mutation)
    {
        using SystemComparer comparer = new(options.Subject, mutation);
        SystemShrinker shrinker = new(comparer);
        SystemGenerator generator = new(options.SystemMode ?? SystemMode.All);
        Coverage coverage = new([]);
        MachineImage machine = new();
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
            generator.Make(options.Seed, (ulong)number, machine);
            if (options.OnlyCase >= 0)
            {
                output.WriteLine(SystemVector.Write(machine, "as it was drawn"));
                output.Flush();
            }

            string? difference = comparer.Run(machine);
            if (comparer.IsJudged)
            {
                coverage.Count(comparer.Instruction, comparer.Vector);
            }

            if (difference != null)
            {
                failures++;
                Report(comparer, shrinker, machine, number, difference);
            }
        }

        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{coverage.Cases} cases in {seconds:F1} s, {coverage.Cases / (Environment.CpuUsage.TotalTime - used).TotalSeconds:F0} for each second of processor time, {comparer.Shutdowns} of them shutdowns, {failures} differences, {comparer.Unjudged} more that no manual says the end of, {comparer.Unstopped} more after which the translator cannot be stopped"));
        if (options.CoverageFile != null)
        {
            using StreamWriter file = new(options.CoverageFile);
            coverage.Write(file);
        }

        return failures;
    }

    /// <summary>Compares kept machines.</summary>
    /// <returns>The number of differences.</returns>
    public int Replay(IReadOnlyCollection<string> files, SystemMutation? mutation)
    {
        int failures = 0;
        using SystemComparer comparer = new(options.Subject, mutation);
        foreach (string file in files)
        {
            if (comparer.Run(SystemVector.Read(File.ReadAllText(file))) is { } difference)
            {
                failures++;
                output.WriteLine($"{file}: {difference}");
            }
        }

        return failures;
    }

    private void Report(SystemComparer comparer, SystemShrinker shrinker, MachineImage machine, long number, string difference)
    {
        MachineImage small = shrinker.Shrink(machine);
        string smaller = comparer.Run(small) ?? difference;
        string source = string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed} case {number}");
        string vector = SystemVector.Write(small, $"{source}\n{smaller}");
        output.WriteLine($"{source}: {difference}");
        output.WriteLine(vector);
        if (options.Vectors != null)
        {
            Directory.CreateDirectory(options.Vectors);
            File.WriteAllText(Path.Combine(options.Vectors, string.Create(CultureInfo.InvariantCulture, $"{options.Seed}-{number}.txt")), vector);
        }
    }
}
