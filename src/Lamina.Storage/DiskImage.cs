using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage;

/// <summary>
/// An open disk image. Calls may come from several threads at once, and wait for the host. They answer with 0 or an errno value; offsets and lengths are inside
/// the disk.
/// </summary>
public abstract class DiskImage : IDisposable
{
    /// <summary>Its format.</summary>
    public abstract DiskFormat Format { get; }

    /// <summary>The file's name.</summary>
    public abstract string Path { get; }

    /// <summary>The image below, or null.</summary>
    public abstract string? BackingPath { get; }

    /// <summary>Bytes of the disk.</summary>
    public abstract ulong Length { get; }

    /// <summary>Whether it was opened for reading only.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>Whether <see cref="Discard"/> gives space back.</summary>
    public abstract bool CanDiscard { get; }

    /// <summary>The length in bytes that requests best have: a power of two.</summary>
    public abstract uint PreferredBlock { get; }

    /// <summary>Reads.</summary>
    public abstract int Read(ulong offset, ReadOnlySpan<IoVector> buffers);

    /// <summary>Writes.</summary>
    public abstract int Write(ulong offset, ReadOnlySpan<IoVector> buffers);

    /// <summary>Makes durable what was written.</summary>
    public abstract int Flush();

    /// <summary>Says that a range is of no interest any more. It then reads as zeroes or as before.</summary>
    public abstract int Discard(ulong offset, ulong length);

    /// <summary>Makes a range read as zeroes.</summary>
    /// <param name="offset">Where.</param>
    /// <param name="length">How much.</param>
    /// <param name="mayDiscard">It need not keep its space.</param>
    public abstract int WriteZeroes(ulong offset, ulong length, bool mayDiscard);

    /// <summary>Reads without waiting, if the host has all of it in memory.</summary>
    /// <returns>Whether that was done.</returns>
    public abstract bool TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length);

    /// <summary>Writes without waiting, if the host can take it.</summary>
    /// <returns>Whether that was done.</returns>
    public abstract bool TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length);

    /// <summary>Whether <see cref="BeginRing"/> gives files.</summary>
    internal virtual bool SuitsRing => false;

    /// <summary>The file in which a request can be done as it is; null if it takes more than that, or waiting. <see cref="EndRing"/> follows, whether or not it is done so.</summary>
    /// <param name="operation">Reading, writing, or flushing.</param>
    /// <param name="offset">Where on the disk.</param>
    /// <param name="length">How much.</param>
    /// <param name="buffers">The memory.</param>
    /// <param name="place">Where in the file.</param>
    internal virtual BlockFile? BeginRing(BlockOperation operation, ulong offset, ulong length, ReadOnlySpan<IoVector> buffers, out ulong place)
    {
        place = 0;
        return null;
    }

    /// <summary>What <see cref="BeginRing"/> gave a file for has ended. Any thread; never waits.</summary>
    internal virtual void EndRing()
    {
    }

    /// <summary>Begins to copy the file, not those below it, into a new one, after what was written is in it and while nothing is.</summary>
    /// <exception cref="Lamina.Interop.SystemCallException">The host refuses.</exception>
    internal abstract FileCopy BeginCopy(BlockFile target);

    /// <summary>Changes the disk's length. What is new reads as zeroes.</summary>
    public abstract int Resize(ulong length);

    /// <summary>Finds how far from an offset the disk is of one kind.</summary>
    /// <param name="offset">Where, before the end.</param>
    /// <param name="extent">What is there.</param>
    /// <returns>0, or an errno value.</returns>
    public abstract int GetExtent(ulong offset, out DiskExtent extent);

    /// <summary>Closes it.</summary>
    public abstract void Dispose();
}
