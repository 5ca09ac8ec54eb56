using System.Runtime.InteropServices;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Tests;

/// <summary>Memory that stands for a guest's.</summary>
internal sealed unsafe class HostBuffer(int length) : IDisposable
{
    private readonly void* _bytes = NativeMemory.AlignedAlloc((nuint)length, 4096);

    public Span<byte> Bytes => new(_bytes, length);

    public IoVector Vector(int offset, int count) => new((nint)_bytes + offset, (nuint)count);

    public GuestBuffer Guest(int offset, int count) => new((ulong)offset, (nint)_bytes + offset, (uint)count);

    public void Dispose() => NativeMemory.AlignedFree(_bytes);
}
