using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Memory;

/// <summary>
/// A region of memory that the process may write machine code to and execute. By default one anonymous mapping that is both, of huge pages behind the first 2 MiB where the host has them, because
/// hosts keep few translations of pages that code comes from; strict regions map the same pages twice, once writable and once executable. Thread-safe to use, not to dispose.
/// </summary>
public sealed unsafe partial class ExecutableMemory : IDisposable
{
    private const int ProtectRead = 1;
    private const int ProtectWrite = 2;
    private const int ProtectExecute = 4;
    private const int MapShared = 1;
    private const int MapPrivate = 2;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;
    private const uint MemfdCloseOnExec = 1;

    private readonly byte* _write;
    private readonly byte* _execute;
    private readonly byte* _reservation;
    private readonly nuint _reservedSize;
    private bool _disposed;

    private ExecutableMemory(byte* write, byte* execute, nuint size)
    {
        _write = write;
        _execute = execute;
        _reservation = write;
        _reservedSize = size;
        Size = size;
    }

    // Both, in a part of what is mapped.
    private ExecutableMemory(byte* both, nuint size, byte* reservation, nuint reservedSize)
        : this(both, both, size)
    {
        _reservation = reservation;
        _reservedSize = reservedSize;
    }

    /// <summary>Where code is written.</summary>
    public byte* WritePointer => _write;

    /// <summary>Where the same bytes are executed; equal to <see cref="WritePointer"/> unless the region is strict.</summary>
    public byte* ExecutePointer => _execute;

    /// <summary>Size in bytes, a multiple of the page size.</summary>
    public nuint Size { get; }

    /// <summary>Maps a region. Its pages take memory when they are first written.</summary>
    /// <param name="size">Bytes; rounded up to pages.</param>
    /// <param name="strict">No page is writable and executable through one mapping.</param>
    /// <param name="near">An address to map close to, or null; a wish only.</param>
    /// <exception cref="Win32Exception">The host refused; the message names the call.</exception>
    public static ExecutableMemory Map(nuint size, bool strict = false, void* near = null)
    {
        nuint page = (nuint)Environment.SystemPageSize;
        size = (size + page - 1) & ~(page - 1);
        if (!strict)
        {
            // One huge page more, so that the address can be aligned; of what is small, nothing is gained by that.
            nuint reserved = size > MemoryMapping.HugePageSize ? size + MemoryMapping.HugePageSize : size;
            byte* start = MapOrThrow(near, reserved, ProtectRead | ProtectWrite | ProtectExecute, MapPrivate | MapAnonymous | MapNoReserve, -1);
            byte* both = reserved == size ? start : (byte*)(((nuint)start + MemoryMapping.HugePageSize - 1) & ~(nuint)(MemoryMapping.HugePageSize - 1));
            MemoryMapping.AdviseGrowing((nint)both, size);
            return new ExecutableMemory(both, size, start, reserved);
        }

        int file = MemfdCreate("lamina-code", MemfdCloseOnExec);
        if (file < 0)
        {
            throw Failed("memfd_create");
        }

        try
        {
            if (Ftruncate(file, (nint)size) != 0)
            {
                throw Failed("ftruncate");
            }

            byte* write = MapOrThrow(null, size, ProtectRead | ProtectWrite, MapShared, file);
            try
            {
                return new ExecutableMemory(write, MapOrThrow(near, size, ProtectRead | ProtectExecute, MapShared, file), size);
            }
            catch (Win32Exception)
            {
                _ = Munmap(write, size);
                throw;
            }
        }
        finally
        {
            _ = Close(file);
        }
    }

    /// <summary>Unmaps the region. No thread may be executing in it.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _ = Munmap(_reservation, _reservedSize);
        if (_execute != _write)
        {
            _ = Munmap(_execute, Size);
        }
    }

    private static byte* MapOrThrow(void* near, nuint size, int protection, int flags, int file)
    {
        void* p = Mmap(near, size, protection, flags, file, 0);
        return (nint)p == -1 ? throw Failed("mmap of executable memory") : (byte*)p;
    }

    private static Win32Exception Failed(string call)
    {
        int error = Marshal.GetLastPInvokeError();
        return new Win32Exception(error, $"{call}: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void* Mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Munmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Ftruncate(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int file);
}
