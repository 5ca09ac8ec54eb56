using System.Runtime.InteropServices;
using Lamina.Machine.Memory;

namespace Lamina.Tests.Fakes;

/// <summary>A few MiB of guest memory, with a place for each thing a test puts there.</summary>
internal sealed unsafe class GuestRam : IDisposable
{
    public const ulong Start = 0x10_0000;
    public const ulong Length = 4 << 20;
    private readonly void* _bytes;
    private ulong _next = Start;

    public GuestRam()
        : this(1)
    {
    }

    /// <summary>Makes some that lies in several regions, all of which but the last are of one page.</summary>
    public GuestRam(int regions)
    {
        const ulong Page = 4096;
        ulong first = (ulong)(regions - 1) * Page;
        _bytes = NativeMemory.AlignedAlloc((nuint)Length, 4096);
        NativeMemory.Clear(_bytes, (nuint)Length);
        Memory = new GuestMemory(
        [
            .. Enumerable.Range(0, regions - 1).Select(i => new GuestMemoryRegion(Start + ((ulong)i * Page), Page, (nint)_bytes + (i * (nint)Page))),
            new GuestMemoryRegion(Start + first, Length - first, (nint)_bytes + (nint)first),
        ]);
    }

    public GuestMemory Memory { get; }

    public ulong Allocate(int length)
    {
        ulong address = _next;
        _next += ((ulong)length + 63) & ~63UL;
        Assert.True(_next <= Start + Length, "The test's guest memory is full.");
        return address;
    }

    public ulong Put(ReadOnlySpan<byte> bytes)
    {
        ulong address = Allocate(bytes.Length);
        Assert.True(Memory.TryWrite(address, bytes));
        return address;
    }

    public byte[] Get(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(Memory.TryRead(address, bytes));
        return bytes;
    }

    public T Get<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(Memory.TryRead(address, out T value));
        return value;
    }

    public void Set<T>(ulong address, T value)
        where T : unmanaged => Assert.True(Memory.TryWrite(address, value));

    /// <summary>Another with the same content.</summary>
    public GuestRam Copy()
    {
        GuestRam copy = new();
        Buffer.MemoryCopy(_bytes, copy._bytes, (long)Length, (long)Length);
        return copy;
    }

    public void Dispose()
    {
        Memory.Dispose();
        NativeMemory.AlignedFree(_bytes);
    }
}
