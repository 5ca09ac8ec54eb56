using System.Globalization;
using Lamina.SoftCpu;

namespace Lamina.Cli.Inspection;

/// <summary>Writes each block to a file as it is translated: the guest's instructions, then the host's.</summary>
internal sealed class BlockDump(string path) : ITranslationObserver, IDisposable
{
    private readonly StreamWriter _file = new(path) { NewLine = "\n" };
    private readonly TranslationSummary _summary = new();
    private long _count;

    /// <inheritdoc/>
    public void Translated(in TranslatedBlock block)
    {
        _count++;
        _summary.Translated(block);
        _file.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"block {_count}: guest {block.Rip:x}, physical {block.Physical:x}, {block.GuestCode.Length} bytes; host {block.HostAddress:x}, {block.HostCode.Length} bytes"));
        ReadOnlySpan<TranslatedPart> parts = block.Parts.IsEmpty ? [new TranslatedPart(block.Rip, block.GuestCode.Length)] : block.Parts;
        ReadOnlySpan<byte> code = block.GuestCode;
        foreach (TranslatedPart part in parts)
        {
            CodeListing.WriteGuest(_file, code[..part.Length], part.Rip);
            code = code[part.Length..];
        }

        _file.WriteLine(" host:");
        CodeListing.WriteHost(_file, block.HostCode, (ulong)block.HostAddress, block.CallData);
        _file.WriteLine();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _file.WriteLine(_summary);
        _file.Dispose();
    }
}
