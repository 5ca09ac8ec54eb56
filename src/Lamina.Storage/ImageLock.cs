using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>
/// Keeps images from being written by two at once, or changed under a reader: shared locks on single bytes that say what an open file does, and what it cannot bear. The bytes are
/// those of QEMU, so that both see each other.
/// </summary>
internal static class ImageLock
{
    private const long DoesBase = 100;
    private const long ForbidsBase = 200;
    private const int ReadBit = 0;
    private const int WriteBit = 1;
    private const int ResizeBit = 3;

    /// <summary>Takes the locks; they end with the file.</summary>
    /// <exception cref="StorageException">Somebody else uses the image in a way that does not go together.</exception>
    public static void Take(BlockFile file, bool writable)
    {
        ReadOnlySpan<int> does = writable ? [ReadBit, WriteBit, ResizeBit] : [ReadBit];
        ReadOnlySpan<int> forbids = [WriteBit, ResizeBit];
        foreach (int bit in does)
        {
            Lock(file, DoesBase + bit);
        }

        foreach (int bit in forbids)
        {
            Lock(file, ForbidsBase + bit);
        }

        // Only after all are taken: of two that come at once, at least one sees the other.
        foreach (int bit in does)
        {
            Check(file, ForbidsBase + bit, writable);
        }

        foreach (int bit in forbids)
        {
            Check(file, DoesBase + bit, writable);
        }
    }

    private static void Lock(BlockFile file, long position)
    {
        int error = file.LockByte(position);

        // A file system without locks is used without them.
        if (error is not (0 or ErrorNumber.InvalidArgument or ErrorNumber.NotSupported or ErrorNumber.NoLocks))
        {
            throw new StorageException($"'{file.Path}' cannot be locked: {new SystemCallException("fcntl", error).Reason}");
        }
    }

    private static void Check(BlockFile file, long position, bool writable)
    {
        if (file.IsByteLocked(position))
        {
            string what = writable ? "written" : "read";
            throw new StorageException($"'{file.Path}' is in use by another machine or program, so it cannot be {what} here. Stop that one first.");
        }
    }
}
