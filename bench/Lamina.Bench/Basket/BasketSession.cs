using System.Diagnostics;
using System.Globalization;
using Lamina.Cli;

namespace Lamina.Bench.Basket;

/// <summary>Runs a process that is the guest program, or a machine with it, and reads what it prints.</summary>
internal sealed class BasketSession
{
    private const string Prefix = "@basket";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(45);

    // A guest's clock may differ from the host's by this much: the lines come through a serial port.
    private const double ClockTolerance = 0.15;
    private const double ClockGranularity = 30e6;
    private readonly Dictionary<string, long> _started = [];
    private readonly Dictionary<string, Measurement> _measurements = [];
    private readonly List<string> _errors = [];
    private readonly List<string> _other = [];
    private bool _ended;

    /// <summary>What was measured, by member.</summary>
    public IReadOnlyDictionary<string, Measurement> Measurements => _measurements;

    /// <summary>What went wrong, a line each.</summary>
    public IReadOnlyList<string> Errors => _errors;

    /// <summary>Runs it to its end.</summary>
    public static BasketSession Run(string program, IEnumerable<string> arguments, string? directory = null, IEnumerable<(string Name, string Value)>? environment = null)
    {
        ProcessStartInfo info = new(program)
        {
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
            WorkingDirectory = directory ?? "",
        };
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        foreach ((string name, string value) in environment ?? [])
        {
            info.Environment[name] = value;
        }

        using Process process = Process.Start(info) ?? throw new LaminaException($"{program} does not start.");
        process.StandardInput.Close();
        using Timer limit = new(_ => process.Kill(), null, Limit, Timeout.InfiniteTimeSpan);
        BasketSession session = new();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            session.Take(line);
        }

        process.WaitForExit();
        if (!session._ended)
        {
            string last = string.Join('\n', session._other.TakeLast(30));
            session._errors.Add($"{Path.GetFileName(program)} ended with status {process.ExitCode} before the basket did:\n{last}");
        }

        return session;
    }

    private void Take(string line)
    {
        int start = line.IndexOf(Prefix, StringComparison.Ordinal);
        string[] words = start < 0 ? [] : line[start..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        switch (words)
        {
            case [Prefix + "-start", string name]:
                _started[name] = Stopwatch.GetTimestamp();
                break;
            case [Prefix + "-end"]:
                _ended = true;
                break;
            case [Prefix + "-error", ..]:
                _errors.Add(line[(start + Prefix.Length + "-error ".Length)..]);
                break;
            case [Prefix, string name, string units, string nanoseconds, string checksum, string unit]:
                Add(new Measurement(name, unit, long.Parse(units, CultureInfo.InvariantCulture), long.Parse(nanoseconds, CultureInfo.InvariantCulture), checksum));
                break;
            default:
                _other.Add(line);
                break;
        }
    }

    private void Add(Measurement measurement)
    {
        _measurements[measurement.Name] = measurement;
        if (_started.TryGetValue(measurement.Name, out long start))
        {
            double here = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
            if (Math.Abs(here - measurement.Nanoseconds) > (ClockTolerance * here) + ClockGranularity)
            {
                _errors.Add(string.Create(CultureInfo.InvariantCulture, $"{measurement.Name}: took {measurement.Nanoseconds / 1e6:F0} ms by its own clock, {here / 1e6:F0} ms by this one"));
            }
        }
    }
}
