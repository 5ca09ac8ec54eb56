using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Tests.Machines;

/// <summary>Memory of this process below 2 GiB that can be read, written and executed: host addresses that 32-bit code can use too.</summary>
internal sealed unsafe partial class LowMemory : IDisposable
{
    private const int ReadWriteExecute = 7;
    private const int Private32Anonymous = 0x62;
    private readonly nuint _size;

    public LowMemory(int size)
    {
        _size = (nuint)size;
        nint p = Map(0, _size, ReadWriteExecute, Private32Anonymous, -1, 0);
        if (p == -1)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        Pointer = (byte*)p;
    }

    public byte* Pointer { get; }

    public ulong Address => (ulong)Pointer;

    public void Dispose() => _ = Unmap((nint)Pointer, _size);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);
}
