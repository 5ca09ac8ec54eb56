using System.Runtime.InteropServices;

namespace Lamina.Interop.Memory;

/// <summary>Readable and writable host memory outside the garbage-collected heap, zero at first. Unmapped when disposed or finalized.</summary>
public sealed class MemoryMapping : SafeHandle
{
    /// <summary>Bytes in a huge page; every mapping begins at a multiple of it.</summary>
    public const int HugePageSize = 2 << 20;

    private const int ReadWrite = 0x1 | 0x2;
    private const int Shared = 0x1;
    private const int Private = 0x2;
    private const int PrivateAnonymous = 0x2 | 0x20;
    private const int NoReserve = 0x4000;
    private const int Fixed = 0x10;
    private const int HugePagesAdvice = 14;
    private const int NoDumpAdvice = 16;
    private readonly nint _reservation;
    private readonly nuint _reservedLength;

    private MemoryMapping(nint reservation, nuint reservedLength, nint address, ulong length)
        : base(0, ownsHandle: true)
    {
        _reservation = reservation;
        _reservedLength = reservedLength;
        Length = length;
        SetHandle(address);
    }

    /// <summary>Address of the first byte. Valid until disposal.</summary>
    public nint Address => handle;

    /// <summary>Length in bytes.</summary>
    public ulong Length { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>
    /// Maps private memory. Pages appear when they are touched, huge ones where the host allows that; nothing is set aside before, so a host that has too little
    /// fails late. Core dumps leave it out.
    /// </summary>
    /// <exception cref="SystemCallException">The host cannot map that much.</exception>
    public static MemoryMapping CreateAnonymous(ulong length, bool hugePages = true)
    {
        MemoryMapping mapping = Reserve(length);
        if (hugePages)
        {
            // Advice: a host without huge pages refuses it, and nothing is lost.
            _ = NativeMethods.Advise(mapping.Address, (nuint)length, HugePagesAdvice);
        }

        _ = NativeMethods.Advise(mapping.Address, (nuint)length, NoDumpAdvice);
        return mapping;
    }

    /// <summary>
    /// Maps private memory that will be filled from its beginning on, as <see cref="CreateAnonymous"/> does: the first pages are small, so that what stays short takes little, and all behind them huge.
    /// </summary>
    /// <exception cref="SystemCallException">The host cannot map that much.</exception>
    public static MemoryMapping CreateGrowing(ulong length)
    {
        MemoryMapping mapping = CreateAnonymous(length, hugePages: false);
        AdviseGrowing(mapping.Address, (nuint)length);
        return mapping;
    }

    /// <summary>Maps a memory file, shared with every other mapping of it.</summary>
    /// <exception cref="SystemCallException">The host cannot map it.</exception>
    public static MemoryMapping CreateShared(MemoryFile file)
    {
        MemoryMapping mapping = Reserve(file.Length);
        if (NativeMethods.Map(mapping.Address, (nuint)file.Length, ReadWrite, Shared | Fixed, file.Descriptor, 0) == -1)
        {
            SystemCallException failure = SystemCallException.FromLastError("mmap");
            mapping.Dispose();
            throw failure;
        }

        return mapping;
    }

    /// <summary>Maps a file, of which this mapping sees the content and does not change it: a page that is written to becomes its own. Nothing is read before it is touched.</summary>
    /// <param name="file">The file, which may be closed afterwards. Where it becomes shorter, touching what is gone ends the process.</param>
    /// <param name="length">Bytes, no more than it has.</param>
    /// <exception cref="SystemCallException">The host cannot map it.</exception>
    public static MemoryMapping CreatePrivate(Microsoft.Win32.SafeHandles.SafeFileHandle file, ulong length)
    {
        ArgumentNullException.ThrowIfNull(file);
        MemoryMapping mapping = Reserve(length);
        if (NativeMethods.Map(mapping.Address, (nuint)length, ReadWrite, Private | Fixed | NoReserve, (int)file.DangerousGetHandle(), 0) == -1)
        {
            SystemCallException failure = SystemCallException.FromLastError("mmap");
            mapping.Dispose();
            throw failure;
        }

        _ = NativeMethods.Advise(mapping.Address, (nuint)length, NoDumpAdvice);
        return mapping;
    }

    /// <summary>Has a range of private memory begin with a file's content instead, as <see cref="CreatePrivate"/> does.</summary>
    /// <param name="offset">Where in this memory, and in the file: a multiple of the page size.</param>
    /// <param name="length">Bytes, in whole pages.</param>
    /// <param name="file">The file, which may be closed afterwards.</param>
    /// <exception cref="SystemCallException">The host cannot map it.</exception>
    public void Overlay(ulong offset, ulong length, Microsoft.Win32.SafeHandles.SafeFileHandle file)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        ArgumentNullException.ThrowIfNull(file);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
        if (NativeMethods.Map(handle + (nint)offset, (nuint)length, ReadWrite, Private | Fixed | NoReserve, (int)file.DangerousGetHandle(), (long)offset) == -1)
        {
            throw SystemCallException.FromLastError("mmap");
        }

        _ = NativeMethods.Advise(handle + (nint)offset, (nuint)length, NoDumpAdvice);
    }

    /// <summary>The bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range leaves the mapping.</exception>
    public unsafe Span<byte> GetSpan(ulong offset, int length)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)length, Length - offset);

        // SAFETY: the range was bounded; the caller keeps the mapping alive as long as the span.
        return new Span<byte>((byte*)handle + offset, length);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Unmap(_reservation, _reservedLength) == 0;

    /// <summary>Has memory that begins with a huge page and is filled from there on consist of huge pages, but for the first.</summary>
    internal static void AdviseGrowing(nint address, nuint length)
    {
        if (length > HugePageSize)
        {
            _ = NativeMethods.Advise(address + HugePageSize, length - HugePageSize, HugePagesAdvice);
        }
    }

    private static MemoryMapping Reserve(ulong length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        if (length > long.MaxValue - HugePageSize)
        {
            throw new SystemCallException("mmap", ErrorNumber.OutOfMemory);
        }

        // One huge page more than asked for, so that the address can be aligned. The rest costs address space only.
        nuint reserved = (nuint)length + HugePageSize;
        nint start = NativeMethods.Map(0, reserved, ReadWrite, PrivateAnonymous | NoReserve, -1, 0);
        if (start == -1)
        {
            throw SystemCallException.FromLastError("mmap");
        }

        nint aligned = (start + HugePageSize - 1) & ~(HugePageSize - 1);
        return new MemoryMapping(start, reserved, aligned, length);
    }
}
