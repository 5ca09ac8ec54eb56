using System.Buffers.Text;
using System.Globalization;
using Lamina.Personalities;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Processors;

/// <summary>How long the processors' threads waited for a host processor, as the host's scheduler counts it: the second number in <c>/proc/self/task/N/schedstat</c>.</summary>
internal sealed class StolenTime : IStolenTime, IDisposable
{
    private const int LongestLine = 64;
    private readonly ProcessorLoop?[] _loops;
    private readonly SafeFileHandle?[] _files;

    internal StolenTime(int processorCount)
    {
        _loops = new ProcessorLoop?[processorCount];
        _files = new SafeFileHandle?[processorCount];
    }

    /// <summary>Connects a processor. Before it runs.</summary>
    internal void Connect(int processor, ProcessorLoop loop) => _loops[processor] = loop;

    /// <inheritdoc/>
    public ulong GetStolen(int processor)
    {
        if (Open(processor) is not { } file)
        {
            return 0;
        }

        Span<byte> line = stackalloc byte[LongestLine];
        ReadOnlySpan<byte> text = line[..RandomAccess.Read(file, line, 0)];
        int second = text.IndexOf((byte)' ') + 1;
        return Utf8Parser.TryParse(text[second..], out ulong nanoseconds, out _) ? nanoseconds : 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafeFileHandle? file in _files)
        {
            file?.Dispose();
        }
    }

    // Null before the thread runs, and on a host whose scheduler does not count.
    private SafeFileHandle? Open(int processor)
    {
        if (_files[processor] == null && _loops[processor] is { ThreadNumber: > 0 } loop)
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"/proc/self/task/{loop.ThreadNumber}/schedstat");
            _files[processor] = File.Exists(path) ? File.OpenHandle(path) : null;
        }

        return _files[processor];
    }
}
