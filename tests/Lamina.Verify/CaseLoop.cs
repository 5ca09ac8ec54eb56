using System.Diagnostics;
using System.Globalization;

namespace Lamina.Verify;

/// <summary>Draws cases and has them compared, for as long as the options say; prints what differs, and the summary.</summary>
internal sealed class CaseLoop(VerifyOptions options, TextWriter output)
{
    /// <summary>Runs random cases.</summary>
    /// <returns>The number of differences.</returns>
    public int Run(ICaseStream cases, Coverage coverage)
    {
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
            if (number % cases.CasesBetweenLooks == 0 && IsOver(progress, began))
            {
                break;
            }

            progress?.Reach(number);
            cases.Draw(options.Seed, (ulong)number);
            if (options.OnlyCase >= 0)
            {
                output.WriteLine(cases.Describe());
                output.Flush();
            }

            if (cases.Compare(coverage) is { } difference)
            {
                failures++;
                Report(cases, number, difference);
            }
        }

        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{coverage.Cases} cases in {seconds:F1} s, {coverage.Cases / (Environment.CpuUsage.TotalTime - used).TotalSeconds:F0} for each second of processor time, {cases.Summarize(coverage, failures)}"));
        if (options.CoverageFile != null)
        {
            using StreamWriter file = new(options.CoverageFile);
            coverage.Write(file);
        }

        return failures;
    }

    private bool IsOver(ProgressFile? progress, long began)
    {
        if (progress is { IsStopped: true })
        {
            output.WriteLine("stopped by a signal");
            return true;
        }

        return options.Seconds >= 0 && Stopwatch.GetElapsedTime(began).TotalSeconds >= options.Seconds;
    }

    private void Report(ICaseStream cases, long number, string difference)
    {
        string source = string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed} case {number}");
        string vector = cases.Shrink(source, difference);
        output.WriteLine($"{source}: {difference}");
        output.WriteLine(vector);
        if (options.Vectors != null)
        {
            Directory.CreateDirectory(options.Vectors);
            File.WriteAllText(Path.Combine(options.Vectors, string.Create(CultureInfo.InvariantCulture, $"{options.Seed}-{number}.txt")), vector);
        }
    }
}
