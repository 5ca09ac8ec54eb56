using System.Globalization;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Writes each block to a file as it is translated: the guest's instructions, then the host's.</summary>
internal sealed class BlockDump(string path) : ITranslationObserver, IDisposable
{
    private readonly StreamWriter _file = new(path) { NewLine = "\n" };
    private long _guestBytes;
    private long _hostBytes;
    private long _count;

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        _count++;
        _guestBytes += block.GuestCode.Length;
        _hostBytes += block.HostCode.Length;
        _file.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"block {_count}: guest {block.Rip:x}, physical {block.Physical:x}, {block.GuestCode.Length} bytes; host {block.HostAddress:x}, {block.HostCode.Length} bytes"));
        CodeListing.WriteGuest(_file, block.GuestCode, block.Rip);
        _file.WriteLine(" host:");
        CodeListing.WriteHost(_file, block.HostCode, (ulong)block.HostAddress);
        _file.WriteLine();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        double expansion = _guestBytes == 0 ? 0 : (double)_hostBytes / _guestBytes;
        _file.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_count} blocks, {_guestBytes} guest bytes, {_hostBytes} host bytes: {expansion:F1} for one."));
        _file.Dispose();
    }
}
