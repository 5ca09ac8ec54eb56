using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary>
/// A regular file or block device that is read and written at offsets. Calls may come from several threads at once. What the host refuses comes back as an errno value, except
/// when opening.
/// </summary>
public sealed unsafe class BlockFile : SafeHandle
{
    /// <summary>Most vectors of one call.</summary>
    public const int MaximumVectors = 512;

    private const int ReadWrite = 0x2;
    private const int Create = 0x40;
    private const int Exclusive = 0x80;
    private const int CloseOnExec = 0x80000;
    private const int NoWait = 0x8;
    private const int MayWait = 0;
    private const long TmpfsMagic = 0x0102_1994;
    private const int KeepSize = 0x1;
    private const int PunchHole = 0x2;
    private const int ZeroRange = 0x10;
    private const int SeekEnd = 2;
    private const int DuplicateCommand = 1030;
    private const int SeekData = 3;
    private const int SeekHole = 4;
    private const int CreationMode = 0b110_110_110;
    private static readonly int Direct = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    private FileCopy? _copy;

    // With which flags what the host has in memory is read.
    private volatile int _promptly = NoWait;

    private BlockFile(int descriptor, string path)
        : base(-1, ownsHandle: true)
    {
        SetHandle(descriptor);
        Path = path;
    }

    /// <summary>The name it was opened by.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Whether a copy of it is being made, for which writing may have to wait.</summary>
    public bool IsBeingCopied => Copy != null;

    internal int Descriptor => (int)handle;

    /// <summary>The copy that is being made; null for none.</summary>
    internal FileCopy? Copy
    {
        get => Volatile.Read(ref _copy);
        set => Volatile.Write(ref _copy, value);
    }

    /// <summary>Opens a file that exists.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="direct">Past the host's page cache; buffers, offsets and lengths are then to be multiples of the device's block.</param>
    /// <exception cref="SystemCallException">The host refuses, or it is a directory.</exception>
    public static BlockFile Open(string path, bool writable, bool direct = false)
    {
        return Open(path, (writable ? ReadWrite : 0) | (direct ? Direct : 0));
    }

    /// <summary>Makes a new file.</summary>
    /// <exception cref="SystemCallException">The host refuses, or there is one of that name.</exception>
    public static BlockFile CreateNew(string path) => Open(path, ReadWrite | Create | Exclusive);

    /// <summary>Takes a descriptor over that another process has opened.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="path">What it is called.</param>
    public static BlockFile Adopt(int descriptor, string path) => new(descriptor, path);

    /// <summary>Another descriptor of the same open file.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static int Duplicate(int descriptor)
    {
        int number = NativeMethods.ControlFile(descriptor, DuplicateCommand, 0L);
        return number >= 0 ? number : throw SystemCallException.FromLastError("fcntl");
    }

    /// <summary>Its length in bytes; of a device, too.</summary>
    /// <exception cref="SystemCallException">It has none.</exception>
    public ulong GetLength()
    {
        long length = NativeMethods.Seek(Descriptor, 0, SeekEnd);
        return length >= 0 ? (ulong)length : throw SystemCallException.FromLastError("lseek");
    }

    /// <summary>Reads. What lies behind the end reads as zeroes.</summary>
    /// <returns>0, or the errno value.</returns>
    public int ReadAt(ulong offset, ReadOnlySpan<IoVector> buffers) => Transfer(write: false, offset, buffers, mayEnd: true);

    /// <summary>Reads what must all be there.</summary>
    /// <returns>0, or the errno value: EIO if the file ends before.</returns>
    public int ReadAllAt(ulong offset, ReadOnlySpan<IoVector> buffers) => Transfer(write: false, offset, buffers, mayEnd: false);

    /// <summary>Writes all of it.</summary>
    /// <returns>0, or the errno value.</returns>
    public int WriteAt(ulong offset, ReadOnlySpan<IoVector> buffers) => Transfer(write: true, offset, buffers, mayEnd: false);

    /// <summary>Reads into memory of this program.</summary>
    /// <returns>0, or the errno value.</returns>
    public int ReadAt(ulong offset, Span<byte> buffer)
    {
        // SAFETY: the buffer is pinned for the call.
        fixed (byte* p = buffer)
        {
            IoVector vector = new((nint)p, (nuint)buffer.Length);
            return ReadAt(offset, new ReadOnlySpan<IoVector>(in vector));
        }
    }

    /// <summary>Writes memory of this program.</summary>
    /// <returns>0, or the errno value.</returns>
    public int WriteAt(ulong offset, ReadOnlySpan<byte> data)
    {
        // SAFETY: the data is pinned for the call.
        fixed (byte* p = data)
        {
            IoVector vector = new((nint)p, (nuint)data.Length);
            return WriteAt(offset, new ReadOnlySpan<IoVector>(in vector));
        }
    }

    /// <summary>Reads what the host has in memory, all or nothing. A file that is nowhere else (tmpfs) is just read: its file system cannot say that it would have to wait, and seldom does.</summary>
    /// <returns>0; EAGAIN if it would have to wait; another errno value if it cannot do this at all.</returns>
    public int TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        int error = Read(offset, buffers, length, _promptly);
        if (error == ErrorNumber.NotSupported && _promptly == NoWait && IsInMemory())
        {
            _promptly = MayWait;
            error = Read(offset, buffers, length, _promptly);
        }

        return error;
    }

    /// <summary>Writes into the host's memory, all in one call. What was not written entirely is to be written again.</summary>
    /// <param name="offset">Where.</param>
    /// <param name="buffers">What.</param>
    /// <param name="length">Bytes of it.</param>
    /// <param name="mayWait">It may take its time.</param>
    /// <returns>0; EAGAIN if it would have to wait, or was not written entirely; another errno value if it cannot do this at all.</returns>
    public int TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length, bool mayWait)
    {
        if (Copy is { } copy && !copy.IsKept(offset, length))
        {
            return ErrorNumber.TryAgain;
        }

        // SAFETY: the caller vouches for the memory; the kernel reads at most what the vectors say.
        fixed (IoVector* p = buffers)
        {
            nint count = NativeMethods.WriteVectorNow(Descriptor, p, buffers.Length, (long)offset, mayWait ? MayWait : NoWait);
            return count < 0 ? Marshal.GetLastPInvokeError() : (ulong)count == length ? 0 : ErrorNumber.TryAgain;
        }
    }

    /// <summary>Makes durable what was written.</summary>
    /// <returns>0, or the errno value.</returns>
    public int Synchronize() => Result(NativeMethods.SynchronizeData(Descriptor));

    /// <summary>Gives the space of a range back; it reads as zeroes.</summary>
    /// <returns>0, or the errno value: EOPNOTSUPP where the file system cannot.</returns>
    public int Discard(ulong offset, ulong length)
    {
        Copy?.BeforeWrite(offset, length);
        return Result(NativeMethods.Allocate(Descriptor, PunchHole | KeepSize, (long)offset, (long)length));
    }

    /// <summary>Makes a range read as zeroes, and keeps its space.</summary>
    /// <returns>0, or the errno value: EOPNOTSUPP where the file system cannot.</returns>
    public int Zero(ulong offset, ulong length)
    {
        Copy?.BeforeWrite(offset, length);
        return Result(NativeMethods.Allocate(Descriptor, ZeroRange | KeepSize, (long)offset, (long)length));
    }

    /// <summary>Changes the length.</summary>
    /// <returns>0, or the errno value.</returns>
    public int Resize(ulong length)
    {
        Copy?.BeforeWrite(length, ulong.MaxValue - length);
        return Result(NativeMethods.Truncate(Descriptor, (long)length));
    }

    /// <summary>Finds the extent at an offset: its end, and whether there may be data in it.</summary>
    public (ulong End, bool HasData) GetExtent(ulong offset, ulong length)
    {
        long data = NativeMethods.Seek(Descriptor, (long)offset, SeekData);
        if (data < 0)
        {
            // ENXIO: no data any more. Other answers: the host does not know.
            return (length, Marshal.GetLastPInvokeError() != ErrorNumber.NoSuchDevice);
        }

        if ((ulong)data > offset)
        {
            return (Math.Min((ulong)data, length), false);
        }

        long hole = NativeMethods.Seek(Descriptor, (long)offset, SeekHole);
        return (hole < 0 ? length : Math.Min((ulong)hole, length), true);
    }

    /// <summary>Takes a shared lock on one byte, which belongs to this open file (not to the process).</summary>
    /// <returns>0, or the errno value.</returns>
    public int LockByte(long position)
    {
        FileLock value = FileLock.Shared(position);
        // SAFETY: one structure, of the layout of struct flock.
        return Result(NativeMethods.ControlFile(Descriptor, FileLock.SetOpenFile, &value));
    }

    /// <summary>Whether another open file has a byte locked.</summary>
    public bool IsByteLocked(long position)
    {
        FileLock value = FileLock.Exclusive(position);
        // SAFETY: one structure, of the layout of struct flock.
        return NativeMethods.ControlFile(Descriptor, FileLock.GetOpenFile, &value) == 0 && !value.IsUnlocked;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        // A process that is being started has the file open, too, until it executes its program, and would keep the locks.
        FileLock none = FileLock.None();
        // SAFETY: one structure, of the layout of struct flock.
        _ = NativeMethods.ControlFile((int)handle, FileLock.SetOpenFile, &none);
        return NativeMethods.Close((int)handle) == 0;
    }

    private static BlockFile Open(string path, int flags)
    {
        int descriptor = NativeMethods.Open(path, flags | CloseOnExec, CreationMode);
        return descriptor >= 0 ? new BlockFile(descriptor, path) : throw SystemCallException.FromLastError("open");
    }

    // Whether it is kept in memory, and nowhere else.
    private bool IsInMemory() => FolderCalls.GetSpace(Descriptor, out SpaceStatus status) == 0 && status.FileSystemType == TmpfsMagic;

    private int Read(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length, int flags)
    {
        // SAFETY: the caller vouches for the memory; the kernel writes at most what the vectors say.
        fixed (IoVector* p = buffers)
        {
            nint count = NativeMethods.ReadVectorNow(Descriptor, p, buffers.Length, (long)offset, flags);
            return count < 0 ? Marshal.GetLastPInvokeError() : (ulong)count == length ? 0 : ErrorNumber.TryAgain;
        }
    }

    private static int Result(int value) => value == 0 ? 0 : Marshal.GetLastPInvokeError();

    // Short transfers go on where they ended; a read at the end of the file gives zeroes.
    private int Transfer(bool write, ulong offset, ReadOnlySpan<IoVector> buffers, bool mayEnd)
    {
        if (write && Copy is { } copy)
        {
            ulong total = 0;
            foreach (IoVector buffer in buffers)
            {
                total += buffer.Length;
            }

            copy.BeforeWrite(offset, total);
        }

        IoVector* rest = stackalloc IoVector[1];
        int index = 0;
        nuint skipped = 0;
        while (index < buffers.Length)
        {
            // SAFETY: the caller vouches for the memory, and what is handed to the kernel is a part of it.
            fixed (IoVector* all = buffers)
            {
                IoVector* vectors = all + index;
                int count = Math.Min(buffers.Length - index, MaximumVectors);
                if (skipped != 0)
                {
                    *rest = new IoVector(all[index].Address + (nint)skipped, all[index].Length - skipped);
                    vectors = rest;
                    count = 1;
                }

                nint done = write
                    ? NativeMethods.WriteVector(Descriptor, vectors, count, (long)offset)
                    : NativeMethods.ReadVector(Descriptor, vectors, count, (long)offset);
                int error = done < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (error == ErrorNumber.Interrupted)
                {
                    continue;
                }

                if (error != 0 || (done == 0 && write))
                {
                    return error != 0 ? error : ErrorNumber.NoSpace;
                }

                if (done == 0 && !mayEnd)
                {
                    return ErrorNumber.InputOutput;
                }

                if (done == 0)
                {
                    Clear(all, buffers.Length, index, skipped);
                    return 0;
                }

                offset += (ulong)done;
                nuint left = (nuint)done;
                while (index < buffers.Length && left >= all[index].Length - skipped)
                {
                    left -= all[index].Length - skipped;
                    skipped = 0;
                    index++;
                }

                skipped += left;
            }
        }

        return 0;
    }

    private static void Clear(IoVector* vectors, int count, int index, nuint skipped)
    {
        for (; index < count; index++)
        {
            // SAFETY: inside memory that the caller vouches for.
            NativeMemory.Clear((byte*)vectors[index].Address + skipped, vectors[index].Length - skipped);
            skipped = 0;
        }
    }
}
