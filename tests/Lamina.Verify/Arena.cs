using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Lamina.Verify;

/// <summary>
/// The few pages at a fixed low address that an instruction under test has, for the host and for the guest at the same addresses: code that can be read and executed, data, and data that cannot
/// be written. What lies between is not mapped.
/// </summary>
internal sealed unsafe partial class Arena : IDisposable
{
    public const ulong Start = 0x2000_0000;
    public const int PageSize = 0x1000;
    public const ulong Code = Start;
    public const ulong Slot = Code + 0x800;
    public const ulong Data = Start + (2 * PageSize);
    public const int DataSize = 2 * PageSize;
    public const ulong ReadOnly = Start + (5 * PageSize);
    public const int Size = 8 * PageSize;

    /// <summary>Bytes where instructions are written. What is there is not the same for all that execute a case.</summary>
    public const int InstructionsSize = 256;

    /// <summary>Where the host's own addresses begin.</summary>
    public const ulong FirstKernelAddress = 0x7fff_ffff_f000;
    private const int Read = 1;
    private const int Write = 2;
    private const int Execute = 4;
    private const int Shared = 1;
    private const int FixedNoReplace = 0x10_0000;
    private const byte Breakpoint = 0xcc;
    private readonly byte* _codeAlias;
    private readonly byte* _readOnlyAlias;

    public Arena()
    {
        int file = CreateMemoryFile("lamina-verify", 0);
        if (file < 0 || SetLength(file, Size) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        _codeAlias = Map(0, PageSize, Read | Write, Shared, file, 0);
        _readOnlyAlias = Map(0, PageSize, Read | Write, Shared, file, (nint)(ReadOnly - Start));
        Span<byte> readOnly = new(_readOnlyAlias, PageSize);
        new Random(1).NextBytes(readOnly);
        new Span<byte>(_codeAlias, PageSize).Fill(Breakpoint);
        Map((nint)Code, PageSize, Read | Execute, Shared | FixedNoReplace, file, 0);
        Map((nint)Data, DataSize, Read | Write, Shared | FixedNoReplace, file, (nint)(Data - Start));
        Map((nint)ReadOnly, PageSize, Read, Shared | FixedNoReplace, file, (nint)(ReadOnly - Start));
        _ = Close(file);

        // Present from now on, so that a write to it is a fault of protection.
        _ = *(byte*)ReadOnly;
    }

    /// <summary>Where instructions are written.</summary>
    public Span<byte> Instructions => new(_codeAlias + (Slot - Code), InstructionsSize);

    /// <summary>The page of code as it can be written.</summary>
    public nint CodeAlias => (nint)_codeAlias;

    /// <summary>The page that cannot be written as it can.</summary>
    public nint ReadOnlyAlias => (nint)_readOnlyAlias;

    /// <summary>The data pages.</summary>
    public static Span<byte> Bytes => new((void*)Data, DataSize);

    public void Dispose()
    {
        _ = Unmap(CodeAlias, PageSize);
        _ = Unmap(ReadOnlyAlias, PageSize);
        _ = Unmap((nint)Start, Size);
    }

    private static byte* Map(nint address, int length, int protection, int flags, int file, nint offset)
    {
        nint p = MapMemory(address, (nuint)length, protection, flags, file, offset);
        return p == -1 ? throw new Win32Exception(Marshal.GetLastPInvokeError(), $"mapping {length} bytes at {address:x}") : (byte*)p;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MapMemory(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int CreateMemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int SetLength(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
