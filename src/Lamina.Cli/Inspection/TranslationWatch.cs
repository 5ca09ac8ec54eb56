using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Everything that looks at translated code in this run.</summary>
internal sealed class TranslationWatch : ITranslationObserver, IDisposable
{
    private readonly PerfMap? _map;
    private readonly BlockDump? _dump;

    private readonly bool _shows;

    private TranslationWatch(PerfMap? map, BlockDump? dump, bool shows, TranslatorInspection inspection, LockstepMonitor? lockstep)
    {
        _map = map;
        _dump = dump;
        _shows = shows;
        Options = new TranslatorOptions { Observer = this, Lockstep = lockstep, StrictCode = inspection.StrictCode };
    }

    /// <summary>For the accelerator.</summary>
    public TranslatorOptions Options { get; }

    /// <summary>Opens the files.</summary>
    /// <param name="inspection">What is to be told.</param>
    /// <param name="summary">Say at the end what was translated.</param>
    /// <exception cref="LaminaException">One cannot be written.</exception>
    public static TranslationWatch Create(TranslatorInspection inspection, bool summary = false)
    {
        LockstepMonitor? lockstep = inspection.LockstepAll ? new LockstepMonitor { Interval = 1 } : inspection.Lockstep ? new LockstepMonitor() : null;
        string path = inspection.DumpFile ?? PerfMap.DefaultPath;
        try
        {
            BlockDump? dump = inspection.DumpFile == null ? null : new BlockDump(inspection.DumpFile);
            path = PerfMap.DefaultPath;
            return new TranslationWatch(inspection.PerfMap ? new PerfMap(path) : null, dump, summary, inspection, lockstep);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"'{path}' cannot be written: {e.Message}", e);
        }
    }

    /// <summary>What was translated.</summary>
    public TranslationSummary Counts { get; } = new();

    /// <summary>What is to be said of it at the end, if anything.</summary>
    public string? Summary => _shows ? Counts.ToString() : null;

    /// <summary>Says what lockstep found, if it was on.</summary>
    public void WriteLockstep(TextWriter output)
    {
        if (Options.Lockstep is not { } monitor)
        {
            return;
        }

        if (monitor.Difference is { } difference)
        {
            foreach (string line in difference.Details)
            {
                output.WriteLine($"  {line}");
            }

            output.WriteLine(" guest code:");
            CodeListing.WriteGuest(output, difference.GuestCode.ToArray(), difference.Rip);
            output.WriteLine(" host code:");
            CodeListing.WriteHost(output, difference.HostCode.ToArray(), (ulong)difference.HostAddress, difference.CallData);
        }

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"lockstep: {monitor.Compared} pieces with {monitor.Instructions} instructions compared, {monitor.Skipped} skipped, {monitor.Repeated} differed only once."));
    }

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        _map?.Translated(block);
        _dump?.Translated(block);
        Counts.Translated(block);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _map?.Dispose();
        _dump?.Dispose();
    }
}
