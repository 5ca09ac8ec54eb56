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

    // Requests that a killed process had under way keep its files open, and locked, until the kernel has done with them, a moment after the process is gone.
    private const int Attempts = 100;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    /// <summary>Takes the locks; they end with the file. Who else has them is given a second to let go.</summary>
    /// <exception cref="StorageException">Somebody else uses the image in a way that does not go together.</exception>
    public static void Take(BlockFile file, bool writable) => Take(file, writable, Thread.Sleep);

    /// <inheritdoc cref="Take(BlockFile, bool)"/>
    /// <param name="file">The image's file.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="wait">Lets so much time pass.</param>
    internal static void Take(BlockFile file, bool writable, Action<TimeSpan> wait)
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
        for (int attempt = 1; IsInUse(file, does, forbids); attempt++)
        {
            if (attempt == Attempts)
            {
                string what = writable ? "written" : "read";
                throw new StorageException($"'{file.Path}' is in use by another machine or program, so it cannot be {what} here. Stop that one first.");
            }

            wait(Pause);
        }
    }

    private static bool IsInUse(BlockFile file, ReadOnlySpan<int> does, ReadOnlySpan<int> forbids)
    {
        foreach (int bit in does)
        {
            if (file.IsByteLocked(ForbidsBase + bit))
            {
                return true;
            }
        }

        foreach (int bit in forbids)
        {
            if (file.IsByteLocked(DoesBase + bit))
            {
                return true;
            }
        }

        return false;
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
}
