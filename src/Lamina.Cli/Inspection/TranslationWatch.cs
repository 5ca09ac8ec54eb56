using Lamina.Cli.Arguments;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Everything that looks at translated code in this run.</summary>
internal sealed class TranslationWatch : ITranslationObserver, IDisposable
{
    private readonly PerfMap? _map;
    private readonly BlockDump? _dump;

    private TranslationWatch(PerfMap? map, BlockDump? dump)
    {
        _map = map;
        _dump = dump;
        Options = new TranslatorOptions { Observer = map == null && dump == null ? null : this };
    }

    /// <summary>For the accelerator.</summary>
    public TranslatorOptions Options { get; }

    /// <summary>Opens the files.</summary>
    /// <exception cref="LaminaException">One cannot be written.</exception>
    public static TranslationWatch Create(TranslatorInspection inspection)
    {
        string path = inspection.DumpFile ?? PerfMap.DefaultPath;
        try
        {
            BlockDump? dump = inspection.DumpFile == null ? null : new BlockDump(inspection.DumpFile);
            path = PerfMap.DefaultPath;
            return new TranslationWatch(inspection.PerfMap ? new PerfMap(path) : null, dump);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"'{path}' cannot be written: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        _map?.Translated(block);
        _dump?.Translated(block);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _map?.Dispose();
        _dump?.Dispose();
    }
}
