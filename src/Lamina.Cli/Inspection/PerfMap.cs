using System.Globalization;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Names translated blocks in the file that <c>perf</c> reads for code that belongs to no file: lines of start, size and name.</summary>
internal sealed class PerfMap : ITranslationObserver, IDisposable
{
    private readonly StreamWriter _file;

    public PerfMap(string path)
    {
        // The runtime may write its own code's names to the same file.
        _file = new StreamWriter(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { NewLine = "\n", AutoFlush = true };
    }

    /// <summary>Where <c>perf</c> looks for this process's code.</summary>
    public static string DefaultPath => $"/tmp/perf-{Environment.ProcessId}.map";

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        _file.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{block.HostAddress:x} {block.HostCode.Length:x} guest:{block.Rip:x}"));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
